// DIR/LOCK, the file that keeps a directory with one process. Text, for people and for messages:
//
//     process 1234
//     since 1764000000          seconds since 1970, when the lock was taken
//
// The lock is the system's (`flock`), not the file: a process that dies releases it, and a LOCK
// left behind means nothing. The file is never removed, since a remove could race with an opener;
// it is emptied instead.

internal import Glibc
internal import Synchronization

/// Holds a directory for this process until released.
package final class DirectoryLock: Sendable {
    private let descriptor: Int32
    private let identity: Identity

    /// What a directory is, whatever path led to it.
    private struct Identity: Hashable, Sendable {
        var device: UInt64
        var inode: UInt64
    }

    /// Directories held by this process. `flock` over NFS becomes a lock that is the process's, and
    /// would let a second opener of the same process in.
    private static let held = Mutex<Set<Identity>>([])

    /// Takes the lock of a directory that exists.
    ///
    /// - Throws: `StorageError.locked`, naming the holder; `StorageError.io`.
    package init(directory: String) throws(StorageError) {
        var status = stat()
        guard stat(directory, &status) == 0 else {
            throw .io(file: directory, call: "stat", errno: errno)
        }
        let identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        guard DirectoryLock.held.withLock({ $0.insert(identity).inserted }) else {
            throw .locked(directory: directory, holder: "process \(getpid()) (this one)")
        }
        do {
            descriptor = try DirectoryLock.take(directory)
        } catch {
            _ = DirectoryLock.held.withLock { $0.remove(identity) }
            throw error
        }
        self.identity = identity
    }

    deinit {
        // A directory that nobody holds has no byte in LOCK that could be changed unseen.
        ftruncate(descriptor, 0)
        // Closing releases the lock.
        close(descriptor)
        _ = DirectoryLock.held.withLock { $0.remove(identity) }
    }

    private static func take(_ directory: String) throws(StorageError) -> Int32 {
        let path = directory + "/LOCK"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .io(file: path, call: "open", errno: errno) }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let number = errno
            if number == EINTR { continue }
            let holder = readHolder(descriptor)
            close(descriptor)
            if number == EWOULDBLOCK { throw .locked(directory: directory, holder: holder) }
            throw .io(file: path, call: "flock", errno: number)
        }
        // Only for messages, so that a full device doesn't matter.
        let text = Array("process \(getpid())\nsince \(time(nil))\n".utf8)
        ftruncate(descriptor, 0)
        _ = pwrite(descriptor, text, text.count, 0)
        return descriptor
    }

    /// Who has a directory open, as far as can be told without keeping anyone out: the lock itself
    /// is tried only where LOCK names a process that lives.
    package static func holder(of directory: String) -> String? {
        let descriptor = open(directory + "/LOCK", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let holder = readHolder(descriptor)
        guard let process = pid_t(holder.drop { !$0.isNumber }),
            kill(process, 0) == 0 || errno == EPERM
        else { return nil }
        guard flock(descriptor, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return nil }
        return holder
    }

    static func readHolder(_ descriptor: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        let line = buffer.prefix(max(count, 0)).prefix { $0 >= 0x20 && $0 < 0x7F }
        // Between the lock and its text there is a moment without one.
        return line.isEmpty ? "another process" : String(decoding: line, as: UTF8.self)
    }
}

/// Keeps writers out of a directory while it is read, and changes nothing in it.
package final class DirectoryReadLock: Sendable {
    /// Negative where no LOCK exists: nobody ever opened the directory.
    private let descriptor: Int32

    /// - Throws: `StorageError.locked`, naming the holder; `StorageError.io`.
    package init(directory: String) throws(StorageError) {
        let path = directory + "/LOCK"
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            guard errno == ENOENT else { throw .io(file: path, call: "open", errno: errno) }
            self.descriptor = -1
            return
        }
        while flock(descriptor, LOCK_SH | LOCK_NB) != 0 {
            let number = errno
            if number == EINTR { continue }
            let holder = DirectoryLock.readHolder(descriptor)
            close(descriptor)
            if number == EWOULDBLOCK { throw .locked(directory: directory, holder: holder) }
            throw .io(file: path, call: "flock", errno: number)
        }
        self.descriptor = descriptor
    }

    deinit { if descriptor >= 0 { close(descriptor) } }
}
