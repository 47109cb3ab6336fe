// A payload that is compressed as a whole, under the encodings lz4 and zstd.
//
//     field     size    meaning
//     ────────  ──────  ──────────────────────────────────────────────────
//     encoding  1       of the payload inside; neither lz4 nor zstd
//     size      varint  bytes of the payload inside, 1 ... payloadBytesMax
//     packed    rest    an LZ4 block or one Zstandard frame

internal import CLZ4
internal import CZstd

enum BlockCompression {
    /// Larger payloads stay as they are, and larger claims are refused before memory is taken.
    static let payloadBytesMax = 64 << 20
    /// Smaller payloads aren't worth the time.
    private static let payloadBytesMin = 64
    private static let zstdLevel: Int32 = 3

    /// The compressed form, if it is at most `percentMax` of the payload's size.
    static func compress(
        _ payload: ByteWriter, encoding: Encoding, level: EncodeOptions.Level, percentMax: Int
    ) -> (encoding: Encoding, bytes: ByteWriter)? {
        let size = payload.count
        guard (payloadBytesMin...payloadBytesMax).contains(size) else { return nil }
        let wrapper: Encoding = level == .hot ? .lz4 : .zstd
        var result = ByteWriter(capacity: size &+ 64)
        result.append(encoding.rawValue)
        result.appendVarint(UInt64(size))
        let room = size &* percentMax / 100 &- result.count
        guard room > 0 else { return nil }
        var used = 0
        result.append(capacityMax: room) { target in
            payload.bytes.withUnsafeBytes { source in
                used = compress(source, into: target, wrapper: wrapper)
            }
            return used
        }
        return used > 0 ? (wrapper, result) : nil
    }

    /// Bytes used, 0 if they don't fit.
    private static func compress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer,
        wrapper: Encoding
    ) -> Int {
        // Safe: both buffers are live and their sizes, at most 64 MiB, are passed along.
        guard let from = source.baseAddress, let to = target.baseAddress else { return 0 }
        if wrapper == .lz4 {
            let used = LZ4_compress_default(
                from.assumingMemoryBound(to: CChar.self), to.assumingMemoryBound(to: CChar.self),
                Int32(source.count), Int32(target.count))
            return max(0, Int(used))
        }
        let used = ZSTD_compress(to, target.count, from, source.count, zstdLevel)
        return ZSTD_isError(used) != 0 ? 0 : used
    }

    /// The payload inside and its encoding.
    static func decompress(
        _ bytes: UnsafeRawBufferPointer, wrapper: Encoding
    ) throws(ByteReader.Malformed) -> (encoding: Encoding, payload: [UInt8]) {
        var reader = ByteReader(bytes)
        let encoding = Encoding(rawValue: try reader.read(UInt8.self))
        let size = try reader.readCount(limit: payloadBytesMax)
        let start = reader.offset
        let packed = try reader.readBytes(reader.remaining)
        // LZ4 gains at most 255-fold. Zstandard can gain more, but then says how much.
        guard size > 0, let from = packed.baseAddress, packed.count > 0,
            encoding != .lz4, encoding != .zstd, wrapper != .lz4 || size <= packed.count &* 255
        else {
            throw ByteReader.Malformed(
                offset: start, reason: "a compressed payload of another size")
        }
        let payload =
            wrapper == .lz4
            ? unpackLZ4(from, packed.count, size: size)
            : ZstdFrame.decompress(packed, countMax: size)
        guard let payload, payload.count == size else {
            throw ByteReader.Malformed(offset: start, reason: "a compressed payload is damaged")
        }
        return (encoding, payload)
    }

    /// Nil if the block doesn't hold exactly `size` bytes.
    private static func unpackLZ4(
        _ packed: UnsafeRawPointer, _ packedCount: Int, size: Int
    ) -> [UInt8]? {
        var got = -1
        let payload = [UInt8](unsafeUninitializedCapacity: size) { target, count in
            // Safe: both buffers are live, and the library keeps to the sizes passed.
            if let to = target.baseAddress {
                got = Int(
                    LZ4_decompress_safe(
                        packed.assumingMemoryBound(to: CChar.self),
                        UnsafeMutableRawPointer(to).assumingMemoryBound(to: CChar.self),
                        Int32(truncatingIfNeeded: packedCount), Int32(truncatingIfNeeded: size)))
            }
            // Bytes that a damaged payload left unwritten must not be read.
            count = got == size ? size : 0
        }
        return got == size ? payload : nil
    }
}
