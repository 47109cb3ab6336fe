internal import ApusKernels

/// A read-only view of a whole sealed file. Unmapped when the last reference goes.
///
/// Safe: the bytes never change while mapped, since segments are immutable once named by MANIFEST —
/// but for pages that can't be read any more. These turn into zeros, and `isPoisoned` tells:
/// whoever relies on bytes asks after having used them.
package final class MappedFile: @unchecked Sendable {
    package let path: String
    package let bytes: UnsafeRawBufferPointer
    private let release: @Sendable (UnsafeRawBufferPointer) -> Void
    /// Its number among the guarded mappings, or -1.
    private let guardNumber: Int32

    /// - Parameter isMapping: Whether the bytes are those of a file, which can fail to be read.
    package init(
        path: String, bytes: UnsafeRawBufferPointer, isMapping: Bool = false,
        release: @escaping @Sendable (UnsafeRawBufferPointer) -> Void
    ) {
        self.path = path
        self.bytes = bytes
        self.release = release
        guardNumber = isMapping ? apus_guard_mapping(bytes.baseAddress, bytes.count) : -1
    }

    deinit {
        apus_release_mapping(guardNumber)
        release(bytes)
    }

    /// Whether bytes that were read may have been zeros in place of the file's.
    package var isPoisoned: Bool { apus_mapping_is_poisoned(guardNumber) != 0 }

    /// What is to be said once the mapping is poisoned: `corrupt`, for no byte in particular.
    var failure: StorageError? {
        guard isPoisoned else { return nil }
        return .corrupt(
            file: path, offset: 0,
            reason: "the system can't read a part of it: the device fails, or the file was cut "
                + "short")
    }

    /// - Throws: `failure`.
    func checkReadable() throws(StorageError) {
        if let failure { throw failure }
    }
}
