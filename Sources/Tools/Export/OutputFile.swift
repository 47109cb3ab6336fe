// A file that is there whole or not at all: written beside its place, synced, renamed.
//
//     (no name)           while it is written: a process that is killed leaves nothing
//     metrics.lp.gz.new   for a moment; where the file system has no files without a name, always
//     metrics.lp.gz       the moment all of it is on disk
//
// Its name says how it is compressed: .gz, .zst, or anything else. Standard output is plain. What is
// there and no file (a device, a named pipe) is written to as it stands, never replaced.

internal import ApusStorage
internal import CZlib
internal import CZstd
internal import Glibc

/// For one thread. A file that was not finished leaves nothing behind.
///
/// Safe: the encoders are owned here and see pointers into living buffers during a call only.
package final class OutputFile {
    private enum Encoder {
        case plain
        case gzip(UnsafeMutablePointer<z_stream>)
        case zstandard(OpaquePointer?)
    }

    private static let bufferBytes = 256 << 10
    private static let gzipLevel: Int32 = 4
    private static let zstandardLevel: Int32 = 3

    private let name: String
    /// Nil for standard output.
    private let path: String?
    private let descriptor: Int32
    private let encoder: Encoder
    private var pending: [UInt8] = []
    private var output = [UInt8](repeating: 0, count: bufferBytes)
    private var isFinished = false
    private var hasTemporaryName = false
    /// A device or a pipe: there before, and not to be replaced by a file.
    private let isInPlace: Bool
    /// Told every now and then how many bytes were given to `write` so far.
    package var progress: ((Int) -> Void)?
    private var givenByteCount = 0
    /// Bytes written, after compression.
    package private(set) var byteCount = 0

    private var temporaryPath: String? { path.map { $0 + ".new" } }

    /// O_TMPFILE, whose macro Swift doesn't see.
    private static let withoutName = 0o20_000_000 | O_DIRECTORY

    /// - Parameter path: nil for standard output. A file that is there is replaced at the end.
    package init(_ path: String?) throws(TransferFailure) {
        self.path = path
        name = path ?? "standard output"
        guard let path else {
            descriptor = STDOUT_FILENO
            encoder = .plain
            isInPlace = true
            return
        }
        isInPlace = Self.isSpecial(path)
        if isInPlace {
            descriptor = open(path, O_WRONLY | O_CLOEXEC)
        } else {
            let nameless = open(
                Self.directory(of: path), Self.withoutName | O_WRONLY | O_CLOEXEC, 0o644)
            if nameless >= 0 {
                descriptor = nameless
            } else {
                descriptor = open(path + ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
                hasTemporaryName = descriptor >= 0
            }
        }
        if path.hasSuffix(".gz") {
            let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
            stream.initialize(to: z_stream())
            deflateInit2_(
                stream, Self.gzipLevel, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
                Int32(MemoryLayout<z_stream>.size))
            encoder = .gzip(stream)
        } else if path.hasSuffix(".zst") {
            let context = ZSTD_createCCtx()
            ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Self.zstandardLevel)
            ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
            encoder = .zstandard(context)
        } else {
            encoder = .plain
        }
        guard descriptor >= 0 else { throw failure(errno) }
    }

    deinit {
        switch encoder {
        case .plain: break
        case .gzip(let stream):
            deflateEnd(stream)
            stream.deallocate()
        case .zstandard(let context): ZSTD_freeCCtx(context)
        }
        if path != nil, !isFinished, descriptor >= 0 { close(descriptor) }
        if let temporaryPath, hasTemporaryName { unlink(temporaryPath) }
    }

    private static func isSpecial(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
    }

    private func failure(_ code: Int32) -> TransferFailure {
        let reason = errnoText(code)
        let consequence = isInPlace ? "" : "; nothing was left behind"
        return TransferFailure(
            exitCode: ExitCodes.inputOutput, "\(name): \(reason)\(consequence)")
    }

    package func write(_ bytes: [UInt8]) throws(TransferFailure) {
        pending.append(contentsOf: bytes)
        if pending.count >= Self.bufferBytes { try flush(isLast: false) }
    }

    /// Everything is in: makes the file durable and gives it its name.
    package func finish() throws(TransferFailure) {
        try flush(isLast: true)
        guard let path, let temporaryPath, !isInPlace else { return }
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure(errno) }
        if !hasTemporaryName {
            unlink(temporaryPath)
            guard
                linkat(
                    AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, temporaryPath,
                    AT_SYMLINK_FOLLOW) == 0
            else { throw failure(errno) }
            hasTemporaryName = true
        }
        guard rename(temporaryPath, path) == 0 else { throw failure(errno) }
        hasTemporaryName = false
        isFinished = true
        close(descriptor)
        syncDirectory(of: path)
    }

    private static func directory(of path: String) -> String {
        let slash = path.lastIndex(of: "/")
        return slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    }

    /// A file whose name isn't durable yet would only be an export to repeat.
    private func syncDirectory(of path: String) {
        let descriptor = open(Self.directory(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    private func flush(isLast: Bool) throws(TransferFailure) {
        var code: Int32 = 0
        let ready = pending
        givenByteCount += ready.count
        progress?(givenByteCount)
        ready.withUnsafeBytes { input in
            switch encoder {
            case .plain: code = put(input)
            case .gzip(let stream): code = deflate(input, stream, isLast: isLast)
            case .zstandard(let context): code = compress(input, context, isLast: isLast)
            }
        }
        pending.removeAll(keepingCapacity: true)
        guard code == 0 else { throw failure(code) }
    }

    private func deflate(
        _ input: UnsafeRawBufferPointer, _ stream: UnsafeMutablePointer<z_stream>, isLast: Bool
    ) -> Int32 {
        stream.pointee.next_in = input.baseAddress.map {
            // zlib takes a mutable pointer and doesn't write through it.
            UnsafeMutablePointer(mutating: $0.assumingMemoryBound(to: UInt8.self))
        }
        stream.pointee.avail_in = UInt32(clamping: input.count)
        var code: Int32 = 0
        output.withUnsafeMutableBytes { room in
            repeat {
                stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_out = UInt32(room.count)
                CZlib.deflate(stream, isLast ? Z_FINISH : Z_NO_FLUSH)
                let made = room.count - Int(stream.pointee.avail_out)
                code = put(UnsafeRawBufferPointer(rebasing: room[..<made]))
            } while code == 0 && stream.pointee.avail_out == 0
        }
        return code
    }

    private func compress(
        _ input: UnsafeRawBufferPointer, _ context: OpaquePointer?, isLast: Bool
    ) -> Int32 {
        var bytes = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var code: Int32 = 0
        output.withUnsafeMutableBytes { room in
            var rest = 0
            repeat {
                var out = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
                rest = ZSTD_compressStream2(
                    context, &out, &bytes, isLast ? ZSTD_e_end : ZSTD_e_continue)
                guard ZSTD_isError(rest) == 0 else {
                    code = EIO
                    return
                }
                code = put(UnsafeRawBufferPointer(rebasing: room[..<out.pos]))
            } while code == 0 && (isLast ? rest > 0 : bytes.pos < bytes.size)
        }
        return code
    }

    /// 0, or the system's error.
    private func put(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        var written = 0
        while written < bytes.count {
            let count = Glibc.write(
                descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count < 0 ? errno : EIO }
            written += count
        }
        byteCount += bytes.count
        return 0
    }
}
