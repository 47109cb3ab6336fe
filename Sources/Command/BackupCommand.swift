// `apus backup`: a consistent copy of a store, running or not.

import ApusStorage
import ApusTools
import ArgumentParser
import Glibc
import Synchronization

struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Makes a consistent copy of a data directory, also beside a running server.",
        usage: """
            apus backup DIR DEST
            apus backup DIR --to DEST
            """,
        discussion: """
            DEST appears whole, verified, or not at all. All that was acknowledged before the start \
            is in it. On DIR's file system, files are hard links and take no room of their own \
            until the store drops them; for a copy that outlives the disk, choose another one. \
            Opening DEST is restoring it: apus serve --data DEST.

            Exits with 64 if DEST can't be meant so, 65 if something in DIR is damaged (named), 74 if \
            a file can't be read or written (a full disk, say), 75 if another process holds DEST.

            Examples:
              apus backup ./apus-data /backups/monday
              apus backup ./apus-data --to /backups/daily     (adds what is new)
              apus serve --data /backups/monday
            """)

    @Argument(help: "The data directory.")
    var directory: String

    @Argument(help: "Where the backup is to be: a directory that doesn't exist yet, or is empty.")
    var destination: String?

    @Option(
        name: .customLong("to"),
        help: "An earlier backup to bring up to date; only new files are added.")
    var existing: String?

    func validate() throws {
        guard (destination == nil) != (existing == nil) else {
            throw ValidationError("give DEST, for a new backup, or --to DEST, for an older one")
        }
    }

    func run() throws {
        let line = ProgressLine()
        // The work directory; nil while it is being made.
        let unfinished = Mutex<String?>("")
        let interruption = Interruption {
            var path = unfinished.withLock { $0 }
            while path == nil {
                usleep(1_000)
                path = unfinished.withLock { $0 }
            }
            BackupDirectory.discard(path: path ?? "")
            line.clear()
            Failure.report("interrupted; nothing was left behind")
        }
        let report: Backup.Report
        do throws(BackupFault) {
            let show: @Sendable (BackupDirectory.Step) -> Void = { step in
                if case .beginning = step { unfinished.withLock { $0 = nil } }
                if case .begun(let path) = step { unfinished.withLock { $0 = path } }
                if case .naming = step { interruption.finish() }
                line.show(BackupText.step(step))
            }
            if let existing {
                report = try BackupDirectory.update(
                    from: directory, to: existing, progress: show)
            } else {
                report = try BackupDirectory.create(
                    from: directory, at: destination ?? "", progress: show)
            }
        } catch {
            unfinished.withLock { $0 = $0 ?? "" }
            interruption.finish()
            line.clear()
            switch error {
            case .refused(let text): throw Failure.exit(ExitCodes.usage, text)
            case .noStore(let text): throw Failure.exit(ExitCodes.format, text)
            case .store(let error): throw Failure.exit(error)
            case .damaged(let findings):
                for finding in findings.dropFirst() { Failure.report(finding.description) }
                throw Failure.exit(
                    ExitCodes.format,
                    findings.first.map { "\($0); there is no backup" } ?? "damaged")
            }
        }
        line.clear()
        for text in BackupText.summary(report, at: existing ?? destination ?? "") {
            Failure.say(text, to: STDOUT_FILENO)
        }
    }
}
