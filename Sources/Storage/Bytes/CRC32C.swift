internal import ApusKernels

/// CRC-32C: Castagnoli polynomial 0x1EDC6F41, reflected, initial and final XOR all ones (RFC 3720,
/// appendix B.4). Every byte on disk is under one. Cost: about 0.1 ns a byte.
package enum CRC32C {
    package static func checksum(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0)
        -> UInt32
    {
        guard let base = bytes.baseAddress else { return crc }
        // Safe: base and count describe one live buffer.
        return apus_crc32c(crc, base, bytes.count)
    }

    package static func checksum(_ bytes: [UInt8], continuing crc: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { checksum($0, continuing: crc) }
    }
}
