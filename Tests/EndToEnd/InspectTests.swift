// `apus stats`, `apus inspect` and `apus check` of the real binary, beside a running server.

import ApusTestKit
import Glibc
import Testing

@Suite(.serialized) struct InspectCommands {
    private static func serve(_ data: String) throws -> ServerProcess {
        let server = try ServerProcess(data: data)
        let client = try LoopbackConnection(port: server.httpPort)
        var lines = ""
        for index in 0..<500 {
            let time = 1_700_000_000_000_000_000 + index * 1_000_000_000
            lines += "cpu,host=h\(index % 3) usage=\(index).5,state=\"s\(index % 4)\" \(time)\n"
        }
        #expect(try client.request("POST", "/write", text: lines).status == 204)
        #expect(try client.request("POST", "/sql", text: "FLUSH").status == 200)
        return server
    }

    private static func files(below directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var found: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            let path = directory + "/" + name
            found += entry.pointee.d_type == 4 ? files(below: path) : [path]
        }
        return found
    }

    private static func byteCount(_ paths: [String]) -> Int {
        paths.reduce(0) { sum, path in
            var status = stat()
            return stat(path, &status) == 0 ? sum + Int(status.st_size) : sum
        }
    }

    @Test func `stats accounts for every byte beside a running server`() throws {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        let server = try Self.serve(data)
        let text = try Binary.run(["stats", data])
        #expect(text.code == 0, "\(text.errors)")
        #expect(text.output.contains("held by process \(server.processID)"))
        #expect(text.output.contains("500 rows, 3 series, 1,000 values"))
        #expect(server.stop() == 0)
        let json = try Binary.run(["stats", "--json", data])
        let bytes = Self.byteCount(Self.files(below: data))
        #expect(json.output.contains("\"bytes\": \(bytes),"), "\(bytes): \(json.output)")
        #expect(json.output.contains("\"holder\": null"))
        let other = try Binary.run(["stats", directory.path])
        #expect(other.code == 65 && other.errors.split(separator: "\n").count == 1)
    }

    @Test func `inspect shows every file, and a damaged one as far as it goes`() throws {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        let server = try Self.serve(data)
        for path in Self.files(below: data)
        where !path.hasSuffix("LOCK") && !path.contains("spare") {
            for mode in [[], ["--hex"], ["--json"]] as [[String]] {
                let result = try Binary.run(["inspect"] + mode + [path])
                #expect(result.code == 0, "\(path) \(mode): \(result.errors)")
                #expect(result.output.count > 50)
            }
        }
        #expect(server.stop() == 0)
        let segment = try #require(
            Self.files(below: data).first { $0.hasSuffix(".segment") })
        let descriptor = open(segment, O_RDWR)
        _ = pwrite(descriptor, [0xFF] as [UInt8], 1, 20)
        _ = ftruncate(descriptor, lseek(descriptor, 0, Int32(SEEK_END)) - 8)
        close(descriptor)
        let damaged = try Binary.run(["inspect", segment])
        #expect(damaged.code == 1 && damaged.output.contains("damaged at byte"))
        let check = try Binary.run(["check", "--json", data])
        #expect(check.code == 1 && check.output.contains("\"clean\": false"))
        let backup = try Binary.run(["backup", data, directory.path + "/b"])
        #expect(backup.code == 65 && backup.errors.contains(".segment"), "\(backup.errors)")
        #expect(access(directory.path + "/b", F_OK) != 0)
        #expect(try Binary.run(["inspect", directory.path]).code == 74)
        #expect(try Binary.run(["inspect", "--hex", "--json", segment]).code == 64)
    }
}
