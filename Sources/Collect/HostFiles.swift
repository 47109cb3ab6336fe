// The seam between the readers and the machine: whole small files, and the size of file systems.

import Glibc

/// What the sampler asks a host for. Tests answer from strings.
package protocol HostFiles {
    /// The whole file as text, or nil if it cannot be read.
    func text(_ path: String) -> String?
    /// nil if the file system cannot be asked.
    func usage(ofFileSystemAt path: String) -> FileSystemUsage?
}

/// This machine. A call blocks for as long as the kernel needs to write the file, some
/// microseconds.
package struct LocalHostFiles: HostFiles, Sendable {
    /// /proc/stat of a machine with hundreds of processors stays well below.
    private static let fileBytesMax = 4 << 20

    package init() {}

    package func text(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        // These files have no size to ask for: read until the end.
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count < Self.fileBytesMax {
            let count = read(descriptor, &piece, piece.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            bytes.append(contentsOf: piece.prefix(count))
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    package func usage(ofFileSystemAt path: String) -> FileSystemUsage? {
        var result = statvfs()
        guard statvfs(path, &result) == 0 else { return nil }
        let blockBytes = UInt64(result.f_frsize)
        func bytes(_ blockCount: UInt64) -> UInt64 {
            let product = blockCount.multipliedReportingOverflow(by: blockBytes)
            return product.overflow ? .max : product.partialValue
        }
        return FileSystemUsage(
            totalBytes: bytes(UInt64(result.f_blocks)),
            availableBytes: bytes(UInt64(result.f_bavail)),
            freeBytes: bytes(UInt64(result.f_bfree)),
            inodeCount: UInt64(result.f_files),
            freeInodeCount: UInt64(result.f_ffree))
    }

    /// The name this host goes by, for the tag `host`.
    package static func hostName() -> String {
        let text = Self().text("/proc/sys/kernel/hostname") ?? ""
        return ProcText.lines(text).first.map { String($0) } ?? "unknown"
    }

    package static func pageBytes() -> UInt64 {
        UInt64(clamping: sysconf(Int32(_SC_PAGESIZE)))
    }
}
