import Testing

import ApusStorage

@Suite("String pools") struct StringPoolTests {
    private func slots(_ strings: [String], in pool: inout StringPool) -> [UInt64] {
        strings.map { string in
            Array(string.utf8).withUnsafeBytes { bytes in
                withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { empty in
                    guard let base = bytes.baseAddress ?? UnsafeRawPointer(empty.baseAddress) else {
                        return 0
                    }
                    return pool.slot(of: base, bytes.count)
                }
            }
        }
    }

    private func text(_ slot: UInt64, in pool: StringPool) -> String? {
        let slot = StringSlot(rawValue: slot)
        guard slot.length > 0 else { return "" }
        guard let heap = pool.heap, slot.offset + slot.length <= pool.count else { return nil }
        return String(
            decoding: UnsafeBufferPointer(start: heap.bytes + slot.offset, count: slot.length),
            as: UTF8.self)
    }

    @Test func `a string that comes again shares its slot`() {
        var pool = StringPool()
        // Others may have the same place.
        let found = slots(["running", "", "running", "running"], in: &pool)
        #expect(found[0] == found[2] && found[0] == found[3] && found[0] != found[1])
        #expect(pool.count == 7)
    }

    @Test func `every slot holds its string, however many there are`() {
        var pool = StringPool()
        let strings =
            (0..<200_000).map { "vm-\($0 % 70_000)" } + [String(repeating: "x", count: 65)]
        let found = slots(strings, in: &pool)
        #expect(zip(found, strings).allSatisfy { text($0, in: pool) == $1 })
        #expect(pool.byteCount < 4 << 20)
    }

    @Test func `long strings are kept as they come`() {
        var pool = StringPool()
        let long = String(repeating: "y", count: 65)
        let found = slots([long, long], in: &pool)
        #expect(found[0] != found[1] && found.allSatisfy { text($0, in: pool) == long })
    }

    @Test func `what is forgotten is kept again`() {
        var pool = StringPool()
        let before = slots(["up"], in: &pool)
        pool.forget()
        let after = slots(["up"], in: &pool)
        #expect(before != after && text(after[0], in: pool) == "up")
    }
}
