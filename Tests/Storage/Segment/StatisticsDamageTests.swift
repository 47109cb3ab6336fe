// A directory whose statistics are not those of the values: its checksum is right, so that only a
// comparison with the values can tell.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct StatisticsDamageTests {
    private static let types: [FieldType] = [.int64, .float64, .uint64, .bool, .string, .int64]

    /// Blocks that are checked in encoded form, and such that have to be decoded.
    private func segment(_ fileSystem: SimulatedFileSystem) throws -> [UInt8] {
        var random = SplitMix(state: 11)
        let series = (0..<6).map { id in
            let times = (0..<90).map { Int64($0) * 10_000_000_000 }
            let columns: [[PlainValue?]?] = [
                times.map { _ in .slot(UInt64(random.below(100))) },
                times.map { _ in .slot((Double(random.below(10_000)) / 100).bitPattern) },
                times.map { .slot(UInt64($0) &* 1_000_003) },
                times.map { _ in .slot(1) },
                times.map { _ in .text(Array("state \(random.below(3))".utf8)) },
                times.map { _ in random.below(4) == 0 ? nil : .slot(random.next()) },
            ]
            return PlainSeries(
                id: UInt32(id), key: plainKey(id), times: times, columns: columns)
        }
        let table = PlainTable(schema: plainSchema(1, Self.types), series: series)
        _ = try writeSegment(
            [table], to: fileSystem, options: SegmentWriterOptions(blockRowsMax: 32))
        return try #require(fileSystem.contents("s"))
    }

    /// The blocks whose values are not what the directory says, by decoding each.
    private func wrongBlocks(_ reader: SegmentReader) throws -> Set<String> {
        var wrong: Set<String> = []
        var values = [UInt64](repeating: 0, count: 200)
        var validity = [UInt8](repeating: 0, count: 200)
        let directory = try reader.tables[0].directory()
        for column in Self.types.indices {
            for block in 0..<directory.blockCount {
                var strings: [UInt8] = []
                var symbols = SymbolCache()
                let rows = directory.rowCount(block)
                var actual: ColumnStatistics?
                values.withUnsafeMutableBufferPointer { values in
                    validity.withUnsafeMutableBufferPointer { validity in
                        guard let slots = values.baseAddress, let bytes = validity.baseAddress,
                            let present = try? directory.decodeColumn(
                                column, block: block, values: slots, validity: bytes,
                                strings: &strings, symbols: &symbols
                            ).presentCount
                        else { return }
                        actual = ColumnCodec.statistics(
                            of: ColumnSlice(
                                type: Self.types[column], count: rows, values: slots,
                                validity: present < rows ? UnsafePointer(bytes) : nil,
                                stringBytes: nil))
                    }
                }
                var stated = directory.statistics(column: column, block: block)
                if let actual, Self.types[column] == .string {
                    (stated.first, stated.last) = (actual.first, actual.last)
                }
                guard let actual, !isSame(stated, actual) else { continue }
                wrong.insert("column \(column), block \(block): the statistics are wrong")
            }
        }
        return wrong
    }

    private func isSame(_ stated: ColumnStatistics, _ actual: ColumnStatistics) -> Bool {
        guard case .float(let left) = stated.sum, case .float(let right) = actual.sum else {
            return stated == actual
        }
        var same = stated
        same.sum = actual.sum
        let largest = max(
            abs(Double(bitPattern: stated.minimum)), abs(Double(bitPattern: stated.maximum)))
        return same == actual
            && (!left.isFinite || !right.isFinite
                || abs(left - right) <= largest * Double(stated.presentCount) * 1e-9)
    }

    @Test func `every wrong statistic is found, and no other`() throws {
        let fileSystem = SimulatedFileSystem()
        let bytes = try segment(fileSystem)
        let sound = try SegmentReader.open(fileSystem, path: "s")
        #expect(sound.verify().isEmpty)
        let range = sound.tables[0].directoryRange
        var foundCount = 0
        for offset in range {
            for mask in [0x01, 0x10] as [UInt8] {
                var forged = bytes
                forged[offset] ^= mask
                SegmentForgery.renewChecksums(&forged, directory: range, of: bytes)
                fileSystem.setContents("s", forged)
                guard let reader = try? SegmentReader.open(fileSystem, path: "s"),
                    (try? reader.tables[0].directory()) != nil
                else { continue }
                let found = Set(
                    reader.verify().map(\.what).filter { $0.hasSuffix("statistics are wrong") })
                let expected = try wrongBlocks(reader)
                #expect(found == expected, "byte \(offset)")
                foundCount += found.count
            }
        }
        #expect(foundCount > 500)
    }
}
