// A place on the real disk for one test.

internal import Foundation
internal import Glibc

/// A directory below /tmp, removed when released.
package final class TemporaryDirectory: Sendable {
    package let path: String

    package init() {
        var template = Array("/tmp/apus-test-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? ""
        }
        precondition(!path.isEmpty, "no temporary directory: errno \(errno)")
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
