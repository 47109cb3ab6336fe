internal import ApusKernels
internal import Glibc

/// The machine's files below one directory.
///
/// Interrupted calls are repeated, short reads and writes are finished, and a full device or quota
/// becomes `StorageError.diskFull`. Paths are checked name by name, so that none leaves the root.
package final class PosixFileSystem: FileSystem {
    package let root: String

    /// Opens a directory, and makes it with its parents if `create` is set.
    ///
    /// - Throws: `StorageError.io` if it isn't there, can't be made, or is no directory.
    package init(root: String, create: Bool = true) throws(StorageError) {
        if create { try PosixFileSystem.makeDirectories(root) }
        guard let resolved = realpath(root, nil) else {
            throw .io(file: root, call: "realpath", errno: errno)
        }
        defer { free(resolved) }
        // An absolute path stays right when the process changes its working directory.
        self.root = String(cString: resolved)
        var status = stat()
        guard stat(self.root, &status) == 0 else {
            throw .io(file: root, call: "stat", errno: errno)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw .io(file: root, call: "open", errno: ENOTDIR)
        }
    }

    package func open(_ path: String, create: Bool) throws(StorageError) -> any FileHandle {
        let full = try resolve(path)
        let flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0)
        var descriptor = retryingInterrupts { Glibc.open(full, flags, 0o644) }
        if descriptor < 0, !create, errno == EACCES || errno == EROFS {
            // A store on a read-only mount can still be checked and read.
            descriptor = retryingInterrupts { Glibc.open(full, O_RDONLY | O_CLOEXEC) }
        }
        guard descriptor >= 0 else { throw systemError(path, "open") }
        return PosixFileHandle(path: path, descriptor: descriptor)
    }

    package func exists(_ path: String) -> Bool {
        guard let full = try? resolve(path) else { return false }
        return access(full, F_OK) == 0
    }

    package func list(_ directory: String) throws(StorageError) -> [String] {
        let full = try resolve(directory)
        guard let stream = opendir(full) else {
            if errno == ENOENT { return [] }
            throw systemError(directory, "opendir")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw systemError(directory, "readdir") }
                return names
            }
            // Safe: readdir ends d_name with a zero byte, and it stays valid until the next call.
            let offset = MemoryLayout<dirent>.offset(of: \dirent.d_name) ?? 19
            let name = String(
                cString: UnsafeRawPointer(entry).advanced(by: offset)
                    .assumingMemoryBound(to: CChar.self))
            if name == "." || name == ".." { continue }
            var isDirectory = Int32(entry.pointee.d_type) == 4  // DT_DIR
            if entry.pointee.d_type == 0 {  // DT_UNKNOWN: the file system doesn't say
                var status = stat()
                isDirectory =
                    stat(full + "/" + name, &status) == 0
                    && status.st_mode & S_IFMT == S_IFDIR
            }
            names.append(isDirectory ? name + "/" : name)
        }
    }

    package func createDirectory(_ path: String) throws(StorageError) {
        try PosixFileSystem.makeDirectories(try resolve(path), below: root, shown: path)
    }

    package func rename(_ from: String, to: String) throws(StorageError) {
        let fullFrom = try resolve(from)
        let fullTo = try resolve(to)
        guard Glibc.rename(fullFrom, fullTo) == 0 else { throw systemError(from, "rename") }
    }

    package func remove(_ path: String) throws(StorageError) {
        guard !path.isEmpty else { throw .io(file: path, call: "remove", errno: EINVAL) }
        let full = try resolve(path)
        if unlink(full) == 0 || errno == ENOENT { return }
        if errno == EISDIR || errno == EPERM {
            if rmdir(full) == 0 || errno == ENOENT { return }
        }
        throw systemError(path, "remove")
    }

    package func syncDirectory(_ path: String) throws(StorageError) {
        let full = try resolve(path)
        let descriptor = retryingInterrupts {
            Glibc.open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        guard descriptor >= 0 else { throw systemError(path, "open") }
        defer { close(descriptor) }
        guard retryingInterrupts({ fsync(descriptor) }) == 0 else {
            // Some network file systems can't sync directories, and make names durable at once.
            if errno == EINVAL || errno == ENOTSUP { return }
            throw systemError(path, "fsync")
        }
    }

    package func map(_ path: String) throws(StorageError) -> MappedFile {
        let full = try resolve(path)
        let descriptor = retryingInterrupts { Glibc.open(full, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw systemError(path, "open") }
        // The mapping holds the file by itself.
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw systemError(path, "fstat") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .io(file: path, call: "mmap", errno: EISDIR)
        }
        let byteCount = Int(status.st_size)
        // mmap refuses zero bytes.
        guard byteCount > 0 else {
            return MappedFile(
                path: path, bytes: UnsafeRawBufferPointer(start: nil, count: 0), release: { _ in })
        }
        let address = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0)
        guard let address, address != UnsafeMutableRawPointer(bitPattern: -1) else {
            throw systemError(path, "mmap")
        }
        // Safe: the range is exactly what mmap returned, and is unmapped once, by the last owner.
        return MappedFile(
            path: path, bytes: UnsafeRawBufferPointer(start: address, count: byteCount),
            isMapping: true,
            release: { bytes in
                munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
            })
    }

    package func link(_ path: String, into other: any FileSystem) throws(StorageError) -> Bool {
        guard let other = other as? PosixFileSystem else { return false }
        if Glibc.link(try resolve(path), try other.resolve(path)) == 0 { return true }
        switch errno {
        case EXDEV, EPERM, EACCES, EMLINK, ENOTSUP, ENOSYS, EOPNOTSUPP: return false
        default: throw systemError(path, "link")
        }
    }

    package func exchange(_ first: String, _ second: String) throws(StorageError) -> Bool {
        if apus_exchange(try resolve(first), try resolve(second)) == 0 { return true }
        switch errno {
        case EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP: return false
        default: throw systemError(first, "rename")
        }
    }

    package func freeBytes() -> Int? {
        var status = statvfs()
        guard retryingInterrupts({ statvfs(root, &status) }) == 0 else { return nil }
        let (product, overflow) = UInt64(status.f_bavail)
            .multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return overflow ? Int.max : Int(clamping: product)
    }

    /// The absolute path of a store's path; the empty one is the root.
    private func resolve(_ path: String) throws(StorageError) -> String {
        if path.isEmpty { return root }
        for name in path.split(separator: "/", omittingEmptySubsequences: false) {
            guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(0) else {
                throw .io(file: path, call: "resolve", errno: EINVAL)
            }
        }
        return root + "/" + path
    }

    /// - Parameter root: What has to be there: whoever removed it doesn't want it back.
    private static func makeDirectories(
        _ full: String, below root: String = "", shown: String? = nil
    ) throws(StorageError) {
        if mkdir(full, 0o755) == 0 { return }
        switch errno {
        case EEXIST:
            var status = stat()
            if stat(full, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
            // Clearer than that it exists: it is something else.
            throw .io(file: shown ?? full, call: "mkdir", errno: ENOTDIR)
        case ENOENT:
            guard let slash = full.lastIndex(of: "/"), slash != full.startIndex,
                full[..<slash] != root
            else { throw .io(file: shown ?? full, call: "mkdir", errno: ENOENT) }
            try makeDirectories(String(full[..<slash]), below: root, shown: shown)
            if mkdir(full, 0o755) == 0 || errno == EEXIST { return }
            throw systemError(shown ?? full, "mkdir")
        default:
            throw systemError(shown ?? full, "mkdir")
        }
    }
}

/// A descriptor, closed when the handle goes.
private final class PosixFileHandle: FileHandle {
    private let path: String
    private let descriptor: Int32

    init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    var size: Int {
        get throws(StorageError) {
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { throw systemError(path, "fstat") }
            return Int(status.st_size)
        }
    }

    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(StorageError) -> Int {
        guard let base = buffer.baseAddress, buffer.count > 0 else { return 0 }
        var done = 0
        while done < buffer.count {
            // Safe: done < count, so that the rest lies inside the buffer.
            let count = pread(descriptor, base + done, buffer.count - done, offset + done)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw systemError(path, "pread")
            }
            done += count
        }
        return done
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
        guard let base = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            // Safe: done < count, so that the rest lies inside the buffer.
            let count = pwrite(descriptor, base + done, bytes.count - done, offset + done)
            if count < 0 {
                if errno == EINTR { continue }
                throw systemError(path, "pwrite")
            }
            // No error and no progress would loop for ever.
            guard count > 0 else { throw .io(file: path, call: "pwrite", errno: EIO) }
            done += count
        }
    }

    func sync() throws(StorageError) {
        // EINTR is repeated: the system hadn't begun. Every other error is final.
        guard retryingInterrupts({ fdatasync(descriptor) }) == 0 else {
            throw systemError(path, "fdatasync")
        }
    }

    func truncate(to size: Int) throws(StorageError) {
        guard retryingInterrupts({ ftruncate(descriptor, size) }) == 0 else {
            throw systemError(path, "ftruncate")
        }
    }

    func allocate(_ size: Int) throws(StorageError) {
        guard size > 0 else { return }
        // Not posix_fallocate: where a file system can't, that one writes every block itself.
        guard retryingInterrupts({ apus_allocate(descriptor, Int64(size)) }) == 0 else {
            if errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL { return }
            throw systemError(path, "fallocate")
        }
    }

    func startWriteback(offset: Int, count: Int) {
        // Its outcome doesn't matter: the sync to come reports all errors.
        _ = apus_start_writeback(descriptor, Int64(offset), Int64(count))
    }
}

/// Repeats a call that a signal interrupted.
private func retryingInterrupts(_ call: () -> Int32) -> Int32 {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}

/// The error for a call that has just failed.
private func systemError(_ path: String, _ call: String) -> StorageError {
    let number = errno
    if number == ENOSPC || number == EDQUOT { return .diskFull(file: path) }
    return .io(file: path, call: call, errno: number)
}
