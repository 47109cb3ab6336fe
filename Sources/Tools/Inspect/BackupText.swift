// What `apus backup` and `apus check` tell a person.

package import ApusStorage

package enum BackupText {
    package static func step(_ step: BackupDirectory.Step) -> String {
        switch step {
        case .beginning, .begun: "beginning"
        case .copying(let progress):
            "copying  \(Quantity.bytes(progress.bytesDone)) of "
                + "\(Quantity.bytes(progress.bytesTotal))  \(progress.file)"
        case .verifying(let progress):
            "verifying  \(Quantity.bytes(progress.bytesChecked))  \(progress.file)"
        case .naming: "finishing"
        }
    }

    /// Two lines: what there is, and how it came about.
    package static func summary(_ report: Backup.Report, at destination: String) -> [String] {
        let counts = [report.linked, report.copied, report.reused, report.log]
        // Two of MANIFEST.
        let files = counts.reduce(2) { $0 + $1.files }
        var parts: [String] = []
        for (count, how) in [
            (report.linked, "linked"), (report.copied, "copied"),
            (report.reused, "already there"), (report.log, "of the log written"),
        ] where count.files > 0 {
            parts.append("\(count.files) \(how) (\(Quantity.bytes(count.bytes)))")
        }
        return [
            "backup at \(destination): \(files) files, verified, "
                + "all up to record \(report.lastSequence)",
            parts.isEmpty ? "the store is empty" : parts.joined(separator: ", "),
        ]
    }
}
