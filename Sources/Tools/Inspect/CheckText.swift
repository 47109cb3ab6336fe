// What `apus check` tells scripts, and people while it runs.

package import ApusStorage
internal import Glibc

package enum CheckText {
    package static func progress(_ progress: IntegrityCheck.Progress) -> String {
        "checking  \(Quantity.count(progress.filesChecked)) files, "
            + "\(Quantity.bytes(progress.bytesChecked))  \(progress.file)"
    }

    /// One object with everything that was found.
    package static func json(_ report: IntegrityCheck.Report, directory: String) -> JSONValue {
        let findings = report.findings.map { finding in
            JSONValue.object([
                ("file", .string(finding.file)), ("offset", .integer(finding.offset)),
                ("what", .string(finding.what)),
            ])
        }
        let notes = report.notes.map { note in
            JSONValue.object([("file", .string(note.file)), ("what", .string(note.what))])
        }
        return .object([
            ("directory", .string(directory)),
            ("clean", .boolean(report.findings.isEmpty)),
            ("closed_cleanly", .boolean(report.wasClosedCleanly)),
            ("files", .integer(report.filesChecked)), ("bytes", .integer(report.bytesChecked)),
            ("findings", .array(findings)), ("notes", .array(notes)),
        ])
    }

    /// Why nothing could be looked at, in a sentence.
    package static func reason(_ error: StorageError, directory: String) -> String {
        if case .io(let file, "open", ENOENT) = error, file.hasSuffix("/MANIFEST") {
            return "\(directory) is no data directory of Apus: it holds no MANIFEST"
        }
        return error.description
    }

    package static func json(failure: String, directory: String) -> JSONValue {
        .object([("directory", .string(directory)), ("error", .string(failure))])
    }
}
