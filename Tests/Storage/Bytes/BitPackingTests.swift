// Packed numbers of every width come back, and lie where the drawing says.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct BitPackingTests {
    private static let counts = [1, 7, 8, 9, 63, 64, 65, 360, 720, 1023, 1024, 1025, 2100]

    /// Bits first ..< first + width of a stream of bytes, low bits first.
    private func bits(_ bytes: [UInt8], _ first: Int, _ width: Int) -> UInt64 {
        (0..<width).reduce(0) { number, place in
            let bit = first + place
            return number | UInt64(bytes[bit / 8] >> UInt8(bit % 8) & 1) << UInt64(place)
        }
    }

    /// Number `index` of `count`, by the drawing in BitPacking.swift.
    private func number(_ bytes: [UInt8], _ index: Int, count: Int, width: Int) -> UInt64 {
        let group = index / 1024
        let start = group * 1024 * width
        guard index < count / 1024 * 1024 else {
            return bits(bytes, start + index % 1024 * width, width)
        }
        let (row, lane) = (index % 1024 / 16, index % 16)
        return (0..<width).reduce(0) { number, place in
            let bit = row * width + place
            let word = bit / 64 * 16 + lane
            return number | bits(bytes, start + word * 64 + bit % 64, 1) << UInt64(place)
        }
    }

    @Test func `numbers of every width come back and write no slot more`() {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0051)
        let untouched: UInt64 = 0xDEAD_BEEF_0BAD_CAFE
        for width in 0...64 {
            let mask = width == 64 ? UInt64.max : (1 << UInt64(width)) - 1
            for count in Self.counts {
                let values = (0..<count).map { _ in random.next() & mask }
                let base = random.next()
                var packed = [UInt8](repeating: 0, count: (count * width + 7) / 8)
                packed.withUnsafeMutableBytes { bytes in
                    guard let target = bytes.baseAddress else { return }
                    BitPacking.pack(values, count: count, width: width, into: target)
                }
                // What follows the packed bytes may be read and must not matter.
                for extra in [0, 1, 8, 9, 80] {
                    let source = packed + (0..<extra).map { _ in UInt8(random.below(256)) } + [0]
                    var found = [UInt64](repeating: untouched, count: count + 8)
                    source.withUnsafeBytes { bytes in
                        guard let start = bytes.baseAddress else { return }
                        BitPacking.unpack(
                            start, readable: packed.count + extra, width: width, count: count,
                            base: base, into: &found)
                    }
                    let expected = values.map { $0 &+ base }
                    #expect(
                        Array(found[..<count]) == expected, "width \(width), \(count) numbers")
                    #expect(found[count...].allSatisfy { $0 == untouched })
                }
                for index in [0, count / 2, count - 1] {
                    #expect(
                        number(packed, index, count: count, width: width) == values[index],
                        "number \(index) of \(count), width \(width)")
                }
            }
        }
    }
}
