import ApusStorage
import ApusTestKit
import Testing

private let second: Int64 = 1_000_000_000

/// Small, with every kind of block: packed, regular, irregular, absent columns, two tables.
private func smallTables() -> [PlainTable] {
    var random = SplitMix(state: 3)
    let types: [FieldType] = [.int64, .float64, .string, .bool]
    func series(_ id: Int, rows: Int, jitter: Int) -> PlainSeries {
        let times = (0..<rows).map {
            Int64($0 * 10 + (jitter > 0 ? random.below(jitter) : 0)) * second
        }
        let columns: [[PlainValue?]?] = [
            times.map { .slot(UInt64($0 / second / 7)) },
            times.map { _ in
                random.below(5) == 0 ? nil : .slot(Double(random.below(500)).bitPattern)
            },
            times.map { _ in .text(Array("value \(random.below(3))".utf8)) },
            id % 2 == 0 ? nil : times.map { _ in .slot(UInt64(random.below(2))) },
        ]
        return PlainSeries(id: UInt32(id), key: plainKey(id), times: times, columns: columns)
    }
    return [
        PlainTable(
            schema: plainSchema(1, types),
            series: [
                series(0, rows: 3, jitter: 5), series(2, rows: 4, jitter: 0),
                series(3, rows: 40, jitter: 0),
            ]),
        PlainTable(schema: plainSchema(2, types), series: [series(9, rows: 9, jitter: 4)]),
    ]
}

/// Walks of integers and decimals, long enough for symbol tables.
private func codedTables() -> [PlainTable] {
    var random = SplitMix(state: 4)
    let times = (0..<1_200).map { Int64($0) * second }
    var walks = [0, 0]
    func step(_ walk: Int) -> Int {
        walks[walk] += random.below(3) + random.below(3) - 2
        return walks[walk]
    }
    let columns: [[PlainValue?]?] = [
        times.map { _ in .slot(UInt64(bitPattern: Int64(step(0)))) },
        times.map { $0 % (90 * second) == 0 ? nil : .slot((Double(step(1)) / 100).bitPattern) },
    ]
    return [
        PlainTable(
            schema: plainSchema(1, [.int64, .float64]),
            series: [PlainSeries(id: 3, key: plainKey(3), times: times, columns: columns)])
    ]
}

/// Opens and reads everything. Nil if some error was thrown, after checking that it names the file.
private func readAll(_ fileSystem: SimulatedFileSystem) -> (tables: [PlainTable], findings: Int)? {
    do {
        let reader = try SegmentReader.open(fileSystem, path: "s")
        let findings = reader.verify().count
        let tables = try reader.tables.map { normalized(try readTable($0)) }
        return (tables, findings)
    } catch {
        switch error {
        case StorageError.corrupt(let file, let offset, _):
            let size = fileSystem.contents("s")?.count ?? 0
            #expect(file == "s" && offset <= UInt64(size))
        case StorageError.unsupportedFormat(let file, _, _): #expect(file == "s")
        default: Issue.record("another error: \(error)")
        }
        return nil
    }
}

@Suite struct `Damaged segments` {
    private func smallSegment(
        _ level: EncodeOptions.Level = .hot
    ) throws -> (bytes: [UInt8], tables: [PlainTable]) {
        let tables = level == .hot ? smallTables() : codedTables()
        let fileSystem = SimulatedFileSystem()
        _ = try writeSegment(
            tables, to: fileSystem,
            options: SegmentWriterOptions(
                blockRowsMax: level == .hot ? 16 : 128, encoding: EncodeOptions(level: level)))
        return (try #require(fileSystem.contents("s")), tables.map(normalized))
    }

    @Test(arguments: [EncodeOptions.Level.hot, .cold])
    func `every changed byte is found and no answer is wrong`(level: EncodeOptions.Level) throws {
        let (bytes, tables) = try smallSegment(level)
        let fileSystem = SimulatedFileSystem()
        fileSystem.setContents("s", bytes)
        let sound = readAll(fileSystem)
        #expect(sound?.tables == tables && sound?.findings == 0)
        for offset in bytes.indices {
            for mask in [0x01, 0x80, 0xFF] as [UInt8] {
                var damaged = bytes
                damaged[offset] ^= mask
                fileSystem.setContents("s", damaged)
                guard let answer = readAll(fileSystem) else { continue }
                #expect(answer.tables == tables, "byte \(offset): a wrong answer")
                #expect(answer.findings > 0, "byte \(offset): not found")
            }
        }
    }

    @Test(arguments: [EncodeOptions.Level.hot, .cold])
    func `every cut and every addition is refused at opening`(level: EncodeOptions.Level) throws {
        let (bytes, _) = try smallSegment(level)
        let fileSystem = SimulatedFileSystem()
        for length in 0..<bytes.count {
            fileSystem.setContents("s", Array(bytes[..<length]))
            #expect(throws: StorageError.self) { try SegmentReader.open(fileSystem, path: "s") }
        }
        fileSystem.setContents("s", bytes + [0])
        #expect(throws: StorageError.self) { try SegmentReader.open(fileSystem, path: "s") }
        fileSystem.setContents("s", bytes + bytes)
        #expect(throws: StorageError.self) { try SegmentReader.open(fileSystem, path: "s") }
    }

    /// Checksums are made right again behind each change, so that it is the parsers that have to
    /// hold: no trap, no endless loop. Answers may be wrong.
    @Test(arguments: [1, 2] as [UInt64])
    func `a forged segment never traps`(seed: UInt64) throws {
        let (bytes, _) = try smallSegment(seed == 1 ? .hot : .cold)
        var random = SplitMix(state: seed)
        let fileSystem = SimulatedFileSystem()
        let range = SegmentForgery.footerRange(bytes)
        for _ in 0..<4_000 {
            var forged = bytes
            for _ in 0...random.below(3) {
                let offset = range.lowerBound + random.below(range.count)
                forged[offset] =
                    random.below(2) == 0
                    ? UInt8(truncatingIfNeeded: random.next())
                    : forged[offset] ^ (1 << UInt8(random.below(8)))
            }
            SegmentForgery.renewFooterChecksums(&forged)
            fileSystem.setContents("s", forged)
            _ = readAll(fileSystem)
        }
    }

    @Test(arguments: [1, 2] as [UInt64])
    func `a forged directory never traps`(seed: UInt64) throws {
        let (bytes, _) = try smallSegment(seed == 1 ? .hot : .cold)
        var random = SplitMix(state: seed)
        let fileSystem = SimulatedFileSystem()
        fileSystem.setContents("s", bytes)
        let directories = try SegmentReader.open(fileSystem, path: "s").tables.map(\.directoryRange)
        for round in 0..<6_000 {
            var forged = bytes
            let range = directories[round % directories.count]
            for _ in 0...random.below(3) {
                let offset = range.lowerBound + random.below(range.count)
                forged[offset] =
                    random.below(2) == 0
                    ? UInt8(truncatingIfNeeded: random.next())
                    : forged[offset] ^ (1 << UInt8(random.below(8)))
            }
            SegmentForgery.renewChecksums(&forged, directory: range, of: bytes)
            fileSystem.setContents("s", forged)
            _ = readAll(fileSystem)
        }
    }

    @Test func `a newer format is refused as such`() throws {
        var (bytes, _) = try smallSegment()
        bytes[8] = 3
        SegmentForgery.store(CRC32C.checksum(Array(bytes[..<12])), &bytes, 12)
        let fileSystem = SimulatedFileSystem()
        fileSystem.setContents("s", bytes)
        #expect(throws: StorageError.unsupportedFormat(file: "s", found: 3, newestKnown: 2)) {
            try SegmentReader.open(fileSystem, path: "s")
        }
    }
}
