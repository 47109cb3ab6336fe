// gzip (RFC 1952): members one behind the other, and zeros behind the last at most. ISA-L reads
// heads, inflates and compares checksums, at more than twice zlib's speed: decision 17.

internal import CIsal

/// Safe: the state is owned here; ISA-L sees pointers into living buffers during a call only.
final class GzipSource: ByteSource {
    private let input: CompressedInput
    private let state = UnsafeMutablePointer<inflate_state>.allocate(capacity: 1)
    private var isAtMemberEnd = false

    init(_ file: FileSource) {
        input = CompressedInput(file)
        isal_inflate_init(state)
        state.pointee.crc_flag = UInt32(ISAL_GZIP)
    }

    deinit { state.deallocate() }

    var consumedByteCount: Int { input.offset }

    func read(into output: UnsafeMutableRawBufferPointer) throws(InputFault) -> Int {
        let room = min(output.count, 1 << 30)
        state.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        state.pointee.avail_out = UInt32(room)
        while state.pointee.avail_out == UInt32(room) {
            // With an empty input the decoder may still have output to give.
            let hasInput = try input.fill()
            if isAtMemberEnd {
                guard hasInput else { return 0 }
                guard startMember() else { continue }
            }
            let rest = input.count - input.position
            state.pointee.next_in = (input.buffer.baseAddress.map { $0 + input.position })?
                .assumingMemoryBound(to: UInt8.self)
            state.pointee.avail_in = UInt32(rest)
            let status = isal_inflate(state)
            input.position += rest - Int(state.pointee.avail_in)
            guard status >= 0 else { throw input.broken("gzip") }
            isAtMemberEnd = state.pointee.block_state == ISAL_BLOCK_FINISH
            if !hasInput, !isAtMemberEnd, state.pointee.avail_out == UInt32(room) {
                throw input.cut("gzip")
            }
        }
        return room - Int(state.pointee.avail_out)
    }

    /// Another member begins, or a zero of the padding was passed over (false).
    private func startMember() -> Bool {
        if input.buffer[input.position] == 0 {
            input.position += 1
            return false
        }
        isal_inflate_reset(state)
        state.pointee.crc_flag = UInt32(ISAL_GZIP)
        isAtMemberEnd = false
        return true
    }
}
