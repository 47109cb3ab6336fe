/// A read-only view of a whole sealed file. Unmapped when the last reference goes.
///
/// Safe: the bytes never change while mapped, since segments are immutable once named by MANIFEST.
package final class MappedFile: @unchecked Sendable {
    package let path: String
    package let bytes: UnsafeRawBufferPointer
    private let release: @Sendable (UnsafeRawBufferPointer) -> Void

    package init(
        path: String, bytes: UnsafeRawBufferPointer,
        release: @escaping @Sendable (UnsafeRawBufferPointer) -> Void
    ) {
        self.path = path
        self.bytes = bytes
        self.release = release
    }

    deinit { release(bytes) }
}
