// gzip bodies, decoded piece by piece as they arrive.
//
//     member   header (10+ bytes, magic 1F 8B), deflate stream, CRC-32 u32, length u32
//     body     one or more members; nothing may follow the last but zeros

package import ApusQuery
internal import CZlib

/// A streaming gzip decoder.
///
/// Safe: the stream and the output buffer are owned here; zlib reads the input only during a call.
package final class Inflater {
    package enum Fault: Error, Equatable { case broken, tooLarge }

    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let output: UnsafeMutableRawBufferPointer
    private let bytesMax: Int
    private(set) var byteCount = 0
    private var isAtMemberEnd = false
    private var hasInput = false

    package init(bytesMax: Int) {
        self.bytesMax = bytesMax
        // Some slack for parsers that read whole words.
        output = .allocate(byteCount: (64 << 10) + 64, alignment: 16)
        stream.initialize(to: z_stream())
        // 15 bits of window, + 16 for gzip framing.
        inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        output.deallocate()
    }

    package func feed(
        _ input: UnsafeRawBufferPointer, into body: (UnsafeRawBufferPointer) -> Void
    ) throws(Fault) {
        guard let start = input.baseAddress, !input.isEmpty else { return }
        hasInput = true
        // zlib takes a mutable pointer and doesn't write through it.
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: start.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(truncatingIfNeeded: input.count)
        defer { stream.pointee.next_in = nil }
        repeat {
            if isAtMemberEnd {
                guard stream.pointee.avail_in > 0 else { return }
                guard inflateReset(stream) == Z_OK else { throw .broken }
                isAtMemberEnd = false
            }
            let room = output.count - 64
            stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = UInt32(room)
            let status = inflate(stream, Z_NO_FLUSH)
            let made = room - Int(stream.pointee.avail_out)
            byteCount += made
            guard byteCount <= bytesMax else { throw .tooLarge }
            if made > 0 { body(UnsafeRawBufferPointer(rebasing: output[..<made])) }
            switch status {
            case Z_STREAM_END: isAtMemberEnd = true
            case Z_OK: break
            // No progress: all input is used up.
            case Z_BUF_ERROR where stream.pointee.avail_in == 0: return
            default: throw .broken
            }
        } while stream.pointee.avail_in > 0 || stream.pointee.avail_out == 0
    }

    /// The body ended: it must have ended a member. An empty body is no fault.
    package func finish() throws(Fault) {
        guard isAtMemberEnd || !hasInput else { throw .broken }
    }
}

/// A streaming gzip encoder for answers.
///
/// Safe: as `Inflater`.
package final class Deflater {
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private var output = [UInt8](repeating: 0, count: 64 << 10)

    package init() {
        stream.initialize(to: z_stream())
        // Level 1: answers are numbers as text, and the client waits.
        deflateInit2_(
            stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Compresses a piece; `isLast` ends the member.
    package func feed(_ input: UnsafeRawBufferPointer, isLast: Bool, into writer: TextWriter) {
        stream.pointee.next_in = input.baseAddress.map {
            UnsafeMutablePointer(mutating: $0.assumingMemoryBound(to: UInt8.self))
        }
        stream.pointee.avail_in = UInt32(truncatingIfNeeded: input.count)
        output.withUnsafeMutableBytes { room in
            repeat {
                stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_out = UInt32(room.count)
                deflate(stream, isLast ? Z_FINISH : Z_SYNC_FLUSH)
                let made = room.count - Int(stream.pointee.avail_out)
                writer.raw(UnsafeRawBufferPointer(rebasing: room[..<made]))
            } while stream.pointee.avail_out == 0
        }
        stream.pointee.next_in = nil
    }
}
