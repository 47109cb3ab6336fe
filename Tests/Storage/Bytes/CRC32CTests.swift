// Checksums: known answers, and the fast way against the plain one.

import ApusKernels
import ApusStorage
import ApusTestKit
import Testing

@Suite struct CRC32CTests {
    private func bitwise(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        return ~crc
    }

    @Test func `known answers are given`() {
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.checksum([]) == 0)
        // RFC 3720, appendix B.4.
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.checksum((0..<32).map { UInt8($0) }) == 0x46DD_794E)
    }

    @Test func `every length and offset agrees with the plain way`() {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0041)
        let bytes = (0..<20_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let lengths = Array(0...70) + [127, 383, 384, 385, 767, 768, 3071, 3072, 3073, 3500, 9999]
        for length in lengths {
            for offset in 0..<9 {
                let part = bytes[offset..<(offset + length)]
                let found = bytes.withUnsafeBytes {
                    CRC32C.checksum(
                        UnsafeRawBufferPointer(rebasing: $0[offset..<(offset + length)]))
                }
                #expect(found == bitwise(part), "length \(length) offset \(offset)")
                let portable = Array(part).withUnsafeBytes {
                    apus_crc32c_portable(0, $0.baseAddress, length)
                }
                #expect(portable == found, "length \(length) offset \(offset)")
            }
        }
    }

    @Test func `a checksum continues where another ended`() {
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for cut in [0, 1, 8, 500, 4000, 9999, 10_000] {
            let head = CRC32C.checksum(Array(bytes[..<cut]))
            #expect(
                CRC32C.checksum(Array(bytes[cut...]), continuing: head) == CRC32C.checksum(bytes))
        }
    }
}
