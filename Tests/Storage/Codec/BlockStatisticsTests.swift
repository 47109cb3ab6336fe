// Statistics say what adding up the rows one by one says.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct BlockStatisticsTests {
    private func present(_ column: TestColumn) -> [UInt64] {
        column.slots.indices.filter { column.validity?[$0] != 0 }.map { column.slots[$0] }
    }

    @Test(arguments: edgeLengths)
    func `statistics of integers are exact`(count: Int) {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0031 &+ UInt64(count))
        for (name, slots) in Shapes.integers(count, &random) {
            for validity in Shapes.validity(count, &random) {
                let signed = TestColumn(type: .int64, slots: slots, validity: validity)
                let values = present(signed).map { Int64(bitPattern: $0) }
                let found = signed.withSlice { ColumnCodec.statistics(of: $0) }
                #expect(found.presentCount == values.count, "\(name) seed \(random.seed)")
                guard !values.isEmpty else { continue }
                #expect(Int64(bitPattern: found.minimum) == values.min())
                #expect(Int64(bitPattern: found.maximum) == values.max())
                #expect(Int64(bitPattern: found.first) == values.first)
                #expect(Int64(bitPattern: found.last) == values.last)
                #expect(found.sum == .integer(values.reduce(0) { $0 + Int128($1) }))
                let unsigned = TestColumn(type: .uint64, slots: slots, validity: validity)
                let wide = unsigned.withSlice { ColumnCodec.statistics(of: $0) }
                #expect(wide.minimum == present(unsigned).min())
                #expect(wide.maximum == present(unsigned).max())
                #expect(wide.sum == .integer(present(unsigned).reduce(0) { $0 + Int128($1) }))
            }
        }
    }

    @Test(arguments: edgeLengths)
    func `statistics of doubles skip NaN`(count: Int) {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0032 &+ UInt64(count))
        let slots = (0..<count).map { _ in
            random.oneIn(10) ? Double.nan.bitPattern : random.normal().bitPattern
        }
        for validity in Shapes.validity(count, &random) {
            let column = TestColumn(type: .float64, slots: slots, validity: validity)
            let all = present(column).map { Double(bitPattern: $0) }
            let numbers = all.filter { !$0.isNaN }
            let found = column.withSlice { ColumnCodec.statistics(of: $0) }
            #expect(found.presentCount == all.count)
            #expect(found.nanCount == all.count - numbers.count)
            #expect(found.hasRange == !numbers.isEmpty)
            guard !numbers.isEmpty else { continue }
            #expect(Double(bitPattern: found.minimum) == numbers.min())
            #expect(Double(bitPattern: found.maximum) == numbers.max())
            guard case .float(let sum) = found.sum else {
                Issue.record("no sum of floats")
                return
            }
            #expect(abs(sum - numbers.reduce(0, +)) < 1e-9)
        }
    }

    @Test func `infinities are part of the range`() {
        let slots = [Double.infinity, -1, -Double.infinity, .nan, 2].map(\.bitPattern)
        let column = TestColumn(type: .float64, slots: slots)
        let found = column.withSlice { ColumnCodec.statistics(of: $0) }
        #expect(Double(bitPattern: found.minimum) == -.infinity)
        #expect(Double(bitPattern: found.maximum) == .infinity)
        #expect(found.nanCount == 1)
    }
}
