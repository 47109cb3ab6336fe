// Files of a kind, and their bytes.

package struct FileCount: Sendable, Equatable {
    package var files = 0
    package var bytes = 0

    package init() {}

    mutating func add(_ byteCount: Int) {
        files += 1
        bytes += byteCount
    }
}
