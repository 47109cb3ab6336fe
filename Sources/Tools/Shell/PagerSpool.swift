// What a pager has not read yet, in a file without a name.
//
// A person looks at the first page for minutes, and a server does not wait for so long: it takes a
// reader that stands still for one that has gone. So the answer is taken from the server and kept
// here until the pager wants it.

internal import Glibc

/// A queue of bytes on disk. For one thread.
final class PagerSpool {
    private let descriptor: Int32
    /// Offsets of the next byte to read, and of the one to write.
    private var readOffset = 0
    private var writeOffset = 0

    /// Nil if there is no place for it.
    init?(folder: String) {
        var template = Array("\(folder)/apus-answer-XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else { return nil }
        unlink(template)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit { close(descriptor) }

    var byteCount: Int { writeOffset - readOffset }

    /// False if the disk did not take all of it; nothing was added then.
    func append(_ bytes: ArraySlice<UInt8>) -> Bool {
        if byteCount == 0 { (readOffset, writeOffset) = (0, 0) }
        let piece = Array(bytes)
        guard pwrite(descriptor, piece, piece.count, off_t(writeOffset)) == piece.count else {
            return false
        }
        writeOffset += piece.count
        return true
    }

    /// The next bytes, which stay until `drop`.
    func first(bytesMax: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: min(bytesMax, byteCount))
        let count = pread(descriptor, &bytes, bytes.count, off_t(readOffset))
        return Array(bytes.prefix(max(0, count)))
    }

    func drop(_ count: Int) { readOffset += count }
}
