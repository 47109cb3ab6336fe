// The look-up tables of a symbol table. The loop that decodes with them is in `Kernels/symbols.c`: half
// a nanosecond a difference.

internal import ApusKernels

/// A symbol table, ready for decoding: 18 KiB.
///
/// Safe: owns its memory, which nothing changes after `init`; an index has 11 bits.
package final class SymbolDecoder: @unchecked Sendable {
    /// Bytes 0–6: running sums of up to seven differences, the last repeated to the end. Byte 7:
    /// low four bits how many there are, high four bits how many code bits they took.
    fileprivate let entries: UnsafeMutablePointer<UInt64>
    /// The same of an entry's first code alone: its byte 7.
    fileprivate let firsts: UnsafeMutablePointer<UInt8>

    private static let indexCount = 1 << SymbolTable.codeBitsMax

    package init(_ table: SymbolTable) {
        entries = .allocate(capacity: Self.indexCount)
        firsts = .allocate(capacity: Self.indexCount)
        firsts.initialize(repeating: 0, count: Self.indexCount)
        entries.initialize(repeating: 0, count: Self.indexCount)
        // Codes of an index, found by its low bits.
        var strings: [[Int8]] = []
        var places = [UInt16](repeating: 0, count: Self.indexCount)
        for (code, pattern) in zip(table.codes, table.patterns) {
            let tag = UInt8(code.string.count) | UInt8(code.bitCount) << 4
            for index in stride(from: Int(pattern), to: Self.indexCount, by: 1 << code.bitCount) {
                firsts[index] = tag
                places[index] = UInt16(strings.count)
            }
            strings.append(code.string)
        }
        for index in 0..<Self.indexCount {
            entries[index] = Self.entry(index, strings, places, firsts)
        }
    }

    deinit {
        entries.deallocate()
        firsts.deallocate()
    }

    /// As many whole codes as fit into the bits and the seven places.
    private static func entry(
        _ index: Int, _ strings: [[Int8]], _ places: [UInt16], _ firsts: UnsafePointer<UInt8>
    ) -> UInt64 {
        var entry: UInt64 = 0
        var (count, used, sum) = (0, 0, 0)
        while true {
            let rest = index &>> used
            let tag = firsts[rest]
            let (more, bits) = (Int(tag & 15), Int(tag &>> 4))
            // The bits past the index's end are not known: a code has to lie wholly below it.
            guard bits > 0, used + bits <= SymbolTable.codeBitsMax,
                count + more <= SymbolTable.stringLengthMax
            else { break }
            for difference in strings[Int(places[rest])] {
                sum += Int(difference)
                entry |= UInt64(UInt8(bitPattern: Int8(sum))) << UInt64(count * 8)
                count += 1
            }
            used += bits
        }
        for place in count..<SymbolTable.stringLengthMax {
            entry |= UInt64(UInt8(bitPattern: Int8(sum))) << UInt64(place * 8)
        }
        return entry | UInt64(count | used << 4) << 56
    }
}

extension SymbolDecoder {
    /// Decodes `count` differences from both streams of a coded frame, see `apus_decode_symbols`.
    ///
    /// Safe: `out` has room for `count`, and with a shift holds as many low bits.
    /// - Returns: Whether the streams hold exactly so many.
    func decode(
        _ streams: UnsafeRawBufferPointer, count: Int, first: UInt64, slope: UInt64, shift: Int,
        into out: UnsafeMutablePointer<UInt64>
    ) -> Bool {
        guard let source = streams.baseAddress, count > 1 else { return false }
        func decode(_ scratch: UnsafeMutableRawPointer?) -> Bool {
            apus_decode_symbols(
                entries, firsts, source, streams.count, count, first, slope, UInt32(shift), out,
                scratch) != 0
        }
        let room = apus_symbols_room(streams.count, count)
        guard room > Int(APUS_SYMBOLS_STACK) else { return decode(nil) }
        return withUnsafeTemporaryAllocation(byteCount: room, alignment: 16) {
            decode($0.baseAddress)
        }
    }
}
