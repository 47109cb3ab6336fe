// Where answers go: a descriptor, or a pager.

internal import Glibc

package enum OutputFault: Error, Equatable {
    /// The reader has gone, as `head` does: nothing to complain about.
    case closed
    case failed(code: Int32)
}

/// Writes to a descriptor. SIGPIPE has to be ignored in the process.
package final class DescriptorOutput: ByteOutput {
    private let descriptor: Int32

    package init(_ descriptor: Int32) { self.descriptor = descriptor }

    package func write(_ bytes: ArraySlice<UInt8>) throws {
        var rest = bytes
        while !rest.isEmpty {
            // An array passed as a pointer; a slice of one would be copied for every call.
            let piece = rest.count == bytes.count ? Array(bytes) : Array(rest)
            let count = Glibc.write(descriptor, piece, piece.count)
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&request, 1, -1)
            } else if errno != EINTR {
                throw errno == EPIPE ? OutputFault.closed : .failed(code: errno)
            }
        }
    }

    package func write(_ text: String) throws { try write(Array(text.utf8)[...]) }
}

/// Keeps what is written, for tests and for short texts.
package final class MemoryOutput: ByteOutput {
    private var bytes: [UInt8] = []

    package init() {}

    package var text: String { String(decoding: bytes, as: UTF8.self) }
    package func write(_ more: ArraySlice<UInt8>) { bytes += more }
}
