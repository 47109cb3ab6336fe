internal import Glibc

/// What can go wrong between a caller and the bytes on disk.
///
/// Cases say what the caller can do next, not where in the code the error arose. An error names
/// files, offsets, tables and limits; it never holds users' values.
public enum StorageError: Error, Equatable, Sendable {
    /// The bytes are not what was written. Restore this file from a copy; a retry won't help.
    case corrupt(file: String, offset: UInt64, reason: String)
    /// The file was written by a newer release. Open it with that release or a later one.
    case unsupportedFormat(file: String, found: UInt32, newestKnown: UInt32)
    /// The file system refused. `errno` is the system's number, `call` what was tried.
    case io(file: String, call: String, errno: Int32)
    /// There is no room left on the device. Nothing was stored; free some and send again.
    case diskFull(file: String)
    /// Another process has the directory open. Stop it, or choose another directory.
    case locked(directory: String, holder: String)
    /// Writes arrive faster than they are flushed. Nothing was stored; send again later.
    case overloaded(pendingBytes: Int, pendingBytesMax: Int)
    /// A log sync failed earlier. Reads go on; reopen the store to write again.
    case readOnly(reason: String)
    /// The store was closed while the call was under way. Nothing was stored.
    case closed
    /// The request passes a limit. Nothing was stored; the text names limit and offender.
    case limit(String)
    /// The request can't mean anything: a name that may not be one, a partition too short. Nothing
    /// was stored; the text says what.
    case invalid(String)
    /// There is no database of that name.
    case unknownDatabase(String)
    /// There is no table of that name.
    case unknownTable(database: String, table: String)
    /// Something of that name exists already.
    case exists(String)
    /// The caller asked for its work to stop.
    case cancelled
}

extension StorageError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .corrupt(let file, let offset, let reason):
            "\(file) is damaged at byte \(offset): \(reason)"
        case .unsupportedFormat(let file, let found, let newest):
            "\(file) has format \(found), this release reads up to \(newest): use a newer release"
        case .io(let file, "realpath", let errno), .io(let file, "open", let errno):
            "cannot open \(file): \(errnoText(errno))"
        case .io(let file, let call, let errno):
            "\(call) failed on \(file): \(errnoText(errno))"
        case .diskFull(let file):
            "no space left on the device while writing \(file)"
        case .locked(let directory, let holder):
            "\(directory) is held by \(holder)"
        case .overloaded(let pending, let limit):
            "overloaded: \(pending) bytes wait to be flushed, the limit is \(limit)"
        case .readOnly(let reason):
            "the store is read-only: \(reason)"
        case .closed: "the store is closed"
        case .limit(let text), .invalid(let text): text
        case .unknownDatabase(let name): "database not found: \"\(name)\""
        case .unknownTable(let database, let table):
            "table not found: \"\(table)\" in database \"\(database)\""
        case .exists(let what): "\(what) exists already"
        case .cancelled: "cancelled"
        }
    }
}

/// The system's words for an error number.
package func errnoText(_ number: Int32) -> String {
    strerror(number).map { String(cString: $0) } ?? "error \(number)"
}
