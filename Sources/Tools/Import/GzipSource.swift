// gzip (RFC 1952): members one behind the other, and zeros behind the last at most.
//
//     size  of a member
//     ────  ───────────────────────────────────────────────────────────────────
//     2     1F 8B
//     1     8: deflate
//     1     flags: 1 text, 2 header checksum, 4 extra, 8 name, 16 comment
//     6     time, hints, system
//     …     extra (its size in 16 bits first), name, comment (both end by a zero)
//     2     header checksum: the low half of the CRC-32 of all before it
//     …     deflate, see Inflater
//     4     CRC-32 of the content
//     4     size of the content, modulo 2^32
//
// All numbers are little-endian. The parts with a flag are there only under it.

internal import ApusKernels
internal import CZlib

final class GzipSource: ByteSource {
    private enum State { case firstHead, head, content, end }

    private let input: CompressedInput
    private let inflater = Inflater()
    private var state = State.firstHead
    private var checksum: UInt32 = 0
    private var contentByteCount: UInt32 = 0

    init(_ file: FileSource) { input = CompressedInput(file) }

    var consumedByteCount: Int { input.offset }

    func read(into output: UnsafeMutableRawBufferPointer) throws(InputFault) -> Int {
        while true {
            switch state {
            case .end: return 0
            case .firstHead, .head: try beginMember()
            case .content:
                let count = try inflate(into: output)
                if inflater.isAtEnd { try endMember() }
                if count > 0 { return count }
            }
        }
    }

    private func inflate(into output: UnsafeMutableRawBufferPointer) throws(InputFault) -> Int {
        let count: Int
        do throws(Inflater.Failure) {
            count = try inflater.read(input, into: output)
        } catch {
            switch error {
            case .input(let fault): throw fault
            case .endsEarly: throw input.cut("gzip")
            case .broken:
                // The zeros behind the end have been looked at.
                if input.isAtEnd, input.position > input.count { throw input.cut("gzip") }
                throw input.broken("gzip", unused: inflater.unusedByteCount)
            }
        }
        let content = UnsafeRawBufferPointer(rebasing: output[..<count])
        checksum = Self.checksum(content, continuing: checksum)
        contentByteCount &+= UInt32(truncatingIfNeeded: count)
        return count
    }

    /// The faster of two.
    private static func checksum(
        _ bytes: UnsafeRawBufferPointer, continuing checksum: UInt32
    ) -> UInt32 {
        guard let start = bytes.baseAddress else { return checksum }
        // Safe: both read `bytes` and nothing else.
        guard apus_has_fast_crc32() == 0 else { return apus_crc32(checksum, start, bytes.count) }
        return UInt32(
            truncatingIfNeeded: crc32_z(
                UInt(checksum), start.assumingMemoryBound(to: UInt8.self), bytes.count))
    }

    // MARK: Heads and ends

    private func byte() throws(InputFault) -> UInt8 {
        guard let byte = try input.byte() else { throw input.cut("gzip") }
        return byte
    }

    private func word() throws(InputFault) -> UInt32 {
        var word: UInt32 = 0
        for shift in stride(from: 0 as UInt32, to: 32, by: 8) {
            word |= UInt32(try byte()) << shift
        }
        return word
    }

    private func beginMember() throws(InputFault) {
        var first = try input.byte()
        if state == .head { while first == 0 { first = try input.byte() } }
        guard let first else {
            state = .end
            return
        }
        try readHead(first)
        inflater.reset()
        (checksum, contentByteCount) = (0, 0)
        state = .content
    }

    private func readHead(_ first: UInt8) throws(InputFault) {
        var head = [first]
        func next() throws(InputFault) -> UInt8 {
            let byte = try byte()
            // A long comment doesn't have to be kept.
            if head.count >= 1 << 10 { foldHead(&head) }
            head.append(byte)
            return byte
        }
        headChecksum = 0
        guard first == 0x1F, try next() == 0x8B, try next() == 8 else {
            throw input.broken("gzip")
        }
        let flags = try next()
        guard flags & 0xE0 == 0 else { throw input.broken("gzip") }
        for _ in 0..<6 { _ = try next() }
        if flags & 4 != 0 {
            let extraByteCount = Int(try next()) | Int(try next()) << 8
            for _ in 0..<extraByteCount { _ = try next() }
        }
        if flags & 8 != 0 { while try next() != 0 {} }
        if flags & 16 != 0 { while try next() != 0 {} }
        if flags & 2 != 0 {
            foldHead(&head)
            let stated = UInt32(try byte()) | UInt32(try byte()) << 8
            guard stated == headChecksum & 0xFFFF else { throw input.broken("gzip") }
        }
    }

    private var headChecksum: UInt32 = 0

    private func foldHead(_ head: inout [UInt8]) {
        headChecksum = head.withUnsafeBytes { Self.checksum($0, continuing: headChecksum) }
        head.removeAll(keepingCapacity: true)
    }

    private func endMember() throws(InputFault) {
        guard try word() == checksum, try word() == contentByteCount else {
            throw input.broken("gzip")
        }
        state = .head
    }
}
