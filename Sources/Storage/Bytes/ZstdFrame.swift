internal import CZstd

/// Bytes as one Zstandard frame that states their size.
enum ZstdFrame {
    private static let level: Int32 = 3

    /// Nil where it would not save an eighth, or on any failure of the library.
    static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count >= 128 else { return nil }
        let room = bytes.count - bytes.count / 8
        let packed = [UInt8](unsafeUninitializedCapacity: room) { target, count in
            // Safe: the library writes at most the capacity given to it.
            let written = bytes.withUnsafeBytes {
                ZSTD_compress(target.baseAddress, room, $0.baseAddress, $0.count, level)
            }
            count = ZSTD_isError(written) != 0 ? 0 : written
        }
        return packed.isEmpty ? nil : packed
    }

    /// The bytes of a frame that fills `packed`; nil if it doesn't, is damaged, or states no size or
    /// one that passes `countMax`.
    static func decompress(_ packed: UnsafeRawBufferPointer, countMax: Int) -> [UInt8]? {
        let stated = ZSTD_getFrameContentSize(packed.baseAddress, packed.count)
        guard stated <= UInt64(countMax),
            ZSTD_findFrameCompressedSize(packed.baseAddress, packed.count) == packed.count
        else { return nil }
        let room = Int(stated)
        var got = -1
        let bytes = [UInt8](unsafeUninitializedCapacity: room) { target, count in
            // Safe: the library keeps to the sizes passed.
            let written = ZSTD_decompress(
                target.baseAddress, room, packed.baseAddress, packed.count)
            got = ZSTD_isError(written) != 0 ? -1 : written
            count = got == room ? room : 0
        }
        return got == room ? bytes : nil
    }
}
