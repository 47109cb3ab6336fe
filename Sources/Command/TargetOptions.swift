// Where a command that works by hand finds its data: a running server, or a directory.

import Apus
import ApusClient
import ApusConfiguration
import ArgumentParser
import Glibc

struct TargetOptions: ParsableArguments {
    enum Place {
        case server(ServerAddress)
        case directory(String)
    }

    static let defaultURL = "http://127.0.0.1:8086"

    @Option(
        help: "Where the server listens: http://HOST:PORT, with a path prefix if need be.")
    var url: String?

    @Option(
        name: .customLong("data"),
        help: ArgumentHelp(
            "A data directory that no server has open, instead of --url.", valueName: "dir"))
    var directory: String?

    @Option(help: ArgumentHelp("The database.", valueName: "name"))
    var db = "default"

    @Option(help: "The token for a server that wants one; APUS_TOKEN keeps it out of sight.")
    var token: String?

    func validate() throws {
        if url != nil, directory != nil {
            throw ValidationError("--url and --data exclude each other")
        }
        if db.isEmpty { throw ValidationError("--db: the name is empty") }
        _ = try place()
    }

    func place() throws -> Place {
        if let directory { return .directory(directory) }
        do throws(ServerAddressError) {
            return .server(
                try ServerAddress(
                    url: url ?? Self.defaultURL, token: Self.token(given: token), agent: "apus"))
        } catch {
            throw ValidationError(error.description)
        }
    }

    /// The flag's token, or else the environment's.
    static func token(given: String?) -> String? {
        given ?? getenv("APUS_TOKEN").map { String(cString: $0) }
    }

    /// With as much memory as `apus serve` takes unless told.
    static func storeOptions() -> StoreOptions {
        var options = StoreOptions()
        options.bound(memoryBytes: StoreOptions.memoryBytes(ofMachine: MachineMemory.bytes))
        return options
    }
}
