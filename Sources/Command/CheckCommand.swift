// `apus check`: verifies what is on disk.

import ApusStorage
import ArgumentParser
import Glibc

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Verifies every checksum and invariant of a data directory.",
        discussion: """
            Exits with 0 if all is well, 1 if something is damaged (each damage named: file, offset, \
            what), 2 if it could not look.

            Example:
              apus check ./apus-data
            """)

    @Argument(help: "The data directory.")
    var directory: String

    func run() throws {
        let report: IntegrityCheck.Report
        do throws(StorageError) { report = try IntegrityCheck.run(directory: directory) } catch {
            throw Failure.exit(2, error.description)
        }
        for finding in report.findings {
            Failure.write(line: finding.description, to: STDOUT_FILENO)
        }
        for note in report.notes { Failure.write(line: "note: \(note)", to: STDERR_FILENO) }
        let summary =
            "\(report.filesChecked) files, \(report.bytesChecked) bytes, \(report.findings.count) damaged"
        Failure.write(line: summary, to: STDERR_FILENO)
        guard report.findings.isEmpty else { throw ExitCode(1) }
    }
}
