// `apus stats`: what a directory holds.

import ApusStorage
import ApusTools
import ArgumentParser
import Glibc

struct StatsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Accounts for every byte of a data directory, by file, table and column.",
        discussion: """
            Reads one version of MANIFEST and changes nothing, so a server may be running. Rows that \
            are in the log only, and not flushed yet, are not counted; a row that lies in two \
            segments counts twice until they are merged.

            Exits with 0, 1 if something is damaged (named), 65 if DIR is no data directory, 74 if a \
            file can't be read.

            Examples:
              apus stats ./apus-data
              apus stats --json ./apus-data
            """)

    @Argument(help: "The data directory.")
    var directory: String

    @Flag(help: "Prints one JSON object.")
    var json = false

    func run() throws {
        let found: StoreStatistics?
        let holder: String?
        do throws(StorageError) {
            let fileSystem = try PosixFileSystem(root: directory, create: false)
            holder = DirectoryLock.holder(of: fileSystem.root)
            found = try StoreStatistics.read(fileSystem)
        } catch { throw Failure.exit(error) }
        guard let statistics = found else {
            throw Failure.exit(
                ExitCodes.format,
                "\(directory) is no data directory of Apus: it holds no MANIFEST")
        }
        if json {
            let text = StatisticsJSON.json(statistics, directory: directory, holder: holder).text
            Failure.write(line: text, to: STDOUT_FILENO)
        } else {
            let lines = StatisticsText.lines(
                statistics, directory: directory, holder: holder,
                width: Terminal.columnCount(STDOUT_FILENO) ?? .max)
            Failure.write(line: lines.joined(separator: "\n"), to: STDOUT_FILENO)
        }
        guard statistics.findings.isEmpty else { throw ExitCode(1) }
    }
}
