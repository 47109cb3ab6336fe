// The look-up tables of a symbol table. The loop that decodes with them is in `Kernels/symbols.c`: half
// a nanosecond a difference.

internal import ApusKernels

/// A symbol table, ready for decoding: 18 KiB.
package final class SymbolDecoder: Sendable {
    private let tables: SymbolTables

    package init(_ table: SymbolTable) { tables = SymbolTables(table) }

    private init(_ tables: SymbolTables) { self.tables = tables }

    /// Another one with the same tables, whose references one thread can count without the others.
    func alias() -> SymbolDecoder { SymbolDecoder(tables) }

    /// Decodes `count` differences from both streams of a coded frame, see `apus_decode_symbols`.
    ///
    /// Safe: `out` has room for `count`, and with a shift holds as many low bits.
    /// - Returns: Whether the streams hold exactly so many.
    func decode(
        _ streams: UnsafeRawBufferPointer, count: Int, first: UInt64, slope: UInt64, shift: Int,
        into out: UnsafeMutablePointer<UInt64>
    ) -> Bool {
        guard let source = streams.baseAddress, count > 1 else { return false }
        let (entries, firsts) = (tables.entries, tables.firsts)
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

/// Safe: owns its memory, which nothing changes after `init`; an index has 11 bits.
private final class SymbolTables: @unchecked Sendable {
    /// Bytes 0–6: running sums of up to seven differences, the last repeated to the end. Byte 7:
    /// low four bits how many there are, high four bits how many code bits they took.
    let entries: UnsafeMutablePointer<UInt64>
    /// The same of an entry's first code alone: its byte 7.
    let firsts: UnsafeMutablePointer<UInt8>

    private static let indexCount = 1 << SymbolTable.codeBitsMax

    /// 10 µs.
    init(_ table: SymbolTable) {
        entries = .allocate(capacity: Self.indexCount)
        firsts = .allocate(capacity: Self.indexCount)
        entries.initialize(repeating: 0, count: Self.indexCount)
        firsts.initialize(repeating: 0, count: Self.indexCount)
        // First what each index has of its first code alone, found by its low bits.
        let alone = UnsafeMutablePointer<UInt64>.allocate(capacity: Self.indexCount)
        defer { alone.deallocate() }
        alone.initialize(repeating: 0, count: Self.indexCount)
        for (code, pattern) in zip(table.codes, table.patterns) {
            let tag = UInt8(code.string.count) | UInt8(code.bitCount) << 4
            let sums = Self.sums(code.string)
            for index in stride(from: Int(pattern), to: Self.indexCount, by: 1 << code.bitCount) {
                firsts[index] = tag
                alone[index] = sums
            }
        }
        for index in 0..<Self.indexCount { entries[index] = entry(index, alone) }
    }

    deinit {
        entries.deallocate()
        firsts.deallocate()
    }

    /// Running sums of a string's differences, a byte each, the last one repeated.
    private static func sums(_ string: [Int8]) -> UInt64 {
        var sums: UInt64 = 0
        var sum: Int8 = 0
        for place in 0..<SymbolTable.stringLengthMax {
            if place < string.count { sum &+= string[place] }
            sums |= UInt64(UInt8(bitPattern: sum)) << UInt64(place * 8)
        }
        return sums
    }

    /// As many whole codes as fit into the bits and the seven places.
    private func entry(_ index: Int, _ alone: UnsafePointer<UInt64>) -> UInt64 {
        var sums: UInt64 = 0
        var (count, used) = (0, 0)
        while true {
            let rest = index &>> used
            let (more, bits) = (Int(firsts[rest] & 15), Int(firsts[rest] &>> 4))
            // The bits past the index's end are not known: a code has to lie wholly below it.
            guard bits > 0, used &+ bits <= SymbolTable.codeBitsMax,
                count &+ more <= SymbolTable.stringLengthMax
            else { break }
            // What follows begins where the sums so far end.
            let total = UInt8(truncatingIfNeeded: sums &>> 48)
            let added =
                unsafeBitCast(alone[rest], to: SIMD8<UInt8>.self) &+ SIMD8(repeating: total)
            let shift = UInt64(truncatingIfNeeded: 8 &* count)
            sums = sums & ~(~0 &<< shift) | unsafeBitCast(added, to: UInt64.self) &<< shift
            // Shifting has dropped the last sum from the places behind it.
            count &+= more
            used &+= bits
            sums = Self.extended(sums, count)
        }
        return sums & 0x00FF_FFFF_FFFF_FFFF | UInt64(truncatingIfNeeded: count | used &<< 4) &<< 56
    }

    /// The sum at the last of `count` places in all places behind it, too.
    @inline(__always)
    private static func extended(_ sums: UInt64, _ count: Int) -> UInt64 {
        let last = sums &>> UInt64(truncatingIfNeeded: 8 &* count &- 8) & 0xFF
        let keep = ~(~0 as UInt64 &<< UInt64(truncatingIfNeeded: 8 &* count))
        return sums & keep | (last &* 0x0101_0101_0101_0101) & ~keep
    }
}
