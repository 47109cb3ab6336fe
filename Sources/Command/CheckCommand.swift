// `apus check`: verifies what is on disk.

import ApusStorage
import ApusTools
import ArgumentParser
import Glibc

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Verifies every checksum and invariant of a data directory.",
        discussion: """
            No process may have the directory open meanwhile; what a running server has is checked by \
            checking a backup of it, which apus backup does by itself.

            Exits with 0 if all is well, 1 if something is damaged (each damage named: file, offset, \
            what), 2 if it could not look.

            Examples:
              apus check ./apus-data
              apus check --json ./apus-data
            """)

    @Argument(help: "The data directory.")
    var directory: String

    @Flag(help: "Prints one JSON object instead of lines.")
    var json = false

    func run() throws {
        let line = ProgressLine()
        let interruption = Interruption {
            line.clear()
            Failure.report("interrupted; nothing was changed")
        }
        let report: IntegrityCheck.Report
        do throws(StorageError) {
            report = try IntegrityCheck.run(directory: directory) { progress in
                line.show(CheckText.progress(progress))
            }
        } catch {
            interruption.finish()
            line.clear()
            let reason = CheckText.reason(error, directory: directory)
            if json {
                let failure = CheckText.json(failure: reason, directory: directory)
                Failure.write(line: failure.text, to: STDOUT_FILENO)
            }
            throw Failure.exit(2, reason)
        }
        interruption.finish()
        line.clear()
        if json {
            let text = CheckText.json(report, directory: directory).text
            Failure.write(line: text, to: STDOUT_FILENO)
        } else {
            write(report)
        }
        guard report.findings.isEmpty else { throw ExitCode(1) }
    }

    private func write(_ report: IntegrityCheck.Report) {
        for finding in report.findings {
            Failure.say(finding.description, to: STDOUT_FILENO)
        }
        for note in report.notes { Failure.say("note: \(note)", to: STDERR_FILENO) }
        Failure.write(
            line: "\(Quantity.things(report.filesChecked, "file")), "
                + "\(Quantity.count(report.bytesChecked)) bytes, "
                + "\(report.findings.count) damaged", to: STDERR_FILENO)
    }
}
