// Files and standard input as plain bytes, whatever compressed them.
//
//     gzip    1F 8B …         one or more members (RFC 1952), zeros behind the last at most
//     zstd    28 B5 2F FD …   one or more frames, skippable ones (5x 2A 4D 18) among them
//     else    as it is
//
// The first bytes decide, not the name.

internal import ApusStorage
internal import CZstd
internal import Glibc

/// Why an input cannot be read on. The text is for the person who named the file.
package struct InputFault: Error, Equatable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable { case missing, broken, inputOutput }
    package let kind: Kind
    package let description: String
}

/// Bytes of one input, in order. For one thread.
package protocol ByteSource: AnyObject {
    /// Fills the buffer from its start; fewer bytes than asked for are no end, 0 is.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(InputFault) -> Int
    /// Bytes of the file taken so far, before decompression.
    var consumedByteCount: Int { get }
}

package enum Inputs {
    package static let standardInput = "-"

    package static func displayName(_ path: String) -> String {
        path == standardInput ? "standard input" : path
    }

    /// The size of a regular file, nil of anything else.
    ///
    /// - Throws: `missing` if it isn't there, may not be read or is a directory.
    package static func byteCount(of path: String) throws(InputFault) -> Int? {
        var status = stat()
        let found = path == standardInput ? fstat(STDIN_FILENO, &status) : stat(path, &status)
        guard found == 0 else { throw fault(.missing, path, errno) }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw fault(.missing, path, EISDIR) }
        if path != standardInput, access(path, R_OK) != 0 { throw fault(.missing, path, errno) }
        return status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : nil
    }

    package static func open(_ path: String) throws(InputFault) -> any ByteSource {
        var descriptor = STDIN_FILENO
        if path != standardInput {
            descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw fault(.missing, path, errno) }
            posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
        }
        let file = try FileSource(descriptor, name: displayName(path))
        let magic = file.magic
        if magic.starts(with: [0x1F, 0x8B]) { return GzipSource(file) }
        let isSkippable =
            magic.count == 4 && magic[0] & 0xF0 == 0x50 && magic.dropFirst() == [0x2A, 0x4D, 0x18]
        if magic == [0x28, 0xB5, 0x2F, 0xFD] || isSkippable { return ZstandardSource(file) }
        return file
    }

    static func fault(_ kind: InputFault.Kind, _ path: String, _ code: Int32) -> InputFault {
        InputFault(kind: kind, description: "\(displayName(path)): \(errnoText(code))")
    }
}

/// A descriptor, with its first bytes looked at.
final class FileSource: ByteSource {
    let name: String
    private let descriptor: Int32
    /// The first four bytes, fewer of a shorter file.
    let magic: [UInt8]
    private var magicGiven = 0
    private(set) var consumedByteCount = 0

    init(_ descriptor: Int32, name: String) throws(InputFault) {
        self.descriptor = descriptor
        self.name = name
        var first = [UInt8](repeating: 0, count: 4)
        var count = 0
        while count < 4 {
            let more = Glibc.read(descriptor, &first[count], 4 - count)
            if more < 0, errno == EINTR { continue }
            guard more >= 0 else {
                let code = errno
                if descriptor != STDIN_FILENO { close(descriptor) }
                throw Inputs.fault(.inputOutput, name, code)
            }
            if more == 0 { break }
            count += more
        }
        magic = Array(first[..<count])
    }

    deinit { if descriptor != STDIN_FILENO { close(descriptor) } }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(InputFault) -> Int {
        if magicGiven < magic.count {
            let count = min(buffer.count, magic.count - magicGiven)
            buffer.copyBytes(from: magic[magicGiven..<magicGiven + count])
            magicGiven += count
            consumedByteCount += count
            return count
        }
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count >= 0 {
                consumedByteCount += count
                return count
            }
            guard errno == EINTR else { throw Inputs.fault(.inputOutput, name, errno) }
        }
    }
}

/// What both decoders need: compressed bytes, and where in the file they are.
///
/// Safe: the buffer is owned here; decoders read between `position` and `count` of it.
final class CompressedInput {
    let file: FileSource
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    var position = 0
    private(set) var count = 0

    init(_ file: FileSource) { self.file = file }

    deinit { buffer.deallocate() }

    /// Reads on if everything is used up; false at the end of the file.
    func fill() throws(InputFault) -> Bool {
        guard position == count else { return true }
        position = 0
        count = try file.read(into: buffer)
        return count > 0
    }

    /// How many bytes of the file the decoder has taken.
    var offset: Int { file.consumedByteCount - (count - position) }

    func broken(_ format: String) -> InputFault {
        InputFault(kind: .broken, description: "\(file.name): \(format) broken at byte \(offset)")
    }

    func cut(_ format: String) -> InputFault {
        InputFault(
            kind: .broken,
            description: "\(file.name): \(format) broken at byte \(offset): it ends too early")
    }
}

/// Safe: the decoder is owned here; it sees pointers into living buffers during a call only.
final class ZstandardSource: ByteSource {
    private let input: CompressedInput
    private let decoder = ZSTD_createDCtx()
    /// Nothing of a frame is open.
    private var isAtFrameEnd = true

    init(_ file: FileSource) { input = CompressedInput(file) }

    deinit { ZSTD_freeDCtx(decoder) }

    var consumedByteCount: Int { input.offset }

    func read(into output: UnsafeMutableRawBufferPointer) throws(InputFault) -> Int {
        var out = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        while out.pos == 0 {
            // With an empty input the decoder may still have output to give.
            let hasInput = try input.fill()
            var bytes = ZSTD_inBuffer(
                src: UnsafeRawPointer(input.buffer.baseAddress), size: input.count,
                pos: input.position)
            let status = ZSTD_decompressStream(decoder, &out, &bytes)
            input.position = bytes.pos
            guard ZSTD_isError(status) == 0 else { throw input.broken("zstd") }
            if !hasInput, out.pos == 0 {
                guard isAtFrameEnd else { throw input.cut("zstd") }
                return 0
            }
            if hasInput || out.pos > 0 { isAtFrameEnd = status == 0 }
        }
        return out.pos
    }
}
