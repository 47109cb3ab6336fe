// Scans over what a table's rows lie in, and the verification of a segment.

import ApusStorage

enum ScanCases {
    static let all =
        StoreFixture.Place.allCases.flatMap { [oneSeries($0), sum($0)] } + [verify]

    private static func hosts(_ size: CaseSize) -> Int { size.choose(20, 400) }

    private static func input(_ size: CaseSize) -> LineInput {
        .cpuOnly(hosts: hosts(size), ticks: size.choose(30, 720))
    }

    /// The rows of one series, for a series in every eight.
    private static func oneSeries(_ place: StoreFixture.Place) -> MicroCase {
        MicroCase("scan.one-series.\(place.rawValue)") { size in
            let input = input(size)
            let store = try StoreFixture(input, in: place)
            let table = try store.table("cpu")
            let wanted = Array(stride(from: 0, to: UInt32(hosts(size)), by: 8))
            let rowsOfEach = input.lineCount / hosts(size)
            return PreparedCase(itemCount: wanted.count * rowsOfEach) { digest in
                for id in wanted {
                    var series = SeriesSet(capacity: hosts(size))
                    series.insert(id)
                    let request = ScanRequest(series: series, fields: [0])
                    let rowCount = try scan(store, table, request, &digest)
                    guard rowCount == rowsOfEach else { throw CaseError("\(rowCount) rows") }
                }
            }
        }
    }

    /// One field of all rows, each value looked at: no statistics.
    private static func sum(_ place: StoreFixture.Place) -> MicroCase {
        MicroCase("scan.sum-one-field.\(place.rawValue)") { size in
            let input = input(size)
            let store = try StoreFixture(input, in: place)
            let table = try store.table("cpu")
            return PreparedCase(itemCount: input.lineCount) { digest in
                let rowCount = try scan(store, table, ScanRequest(fields: [0]), &digest)
                guard rowCount == input.lineCount else { throw CaseError("\(rowCount) rows") }
            }
        }
    }

    private static func scan(
        _ store: StoreFixture, _ table: TableEntry, _ request: ScanRequest,
        _ digest: inout Digest?
    ) throws -> Int {
        let snapshot = store.engine.snapshot(of: [table])
        var consumer = SummingConsumer(digest: digest)
        var counters = ScanCounters()
        for morsel in try snapshot.plan(table, request, rowsPerMorsel: 65_536) {
            try snapshot.run(morsel, request, into: &consumer, counters: &counters)
        }
        digest = consumer.digest
        digest?.add(UInt64(bitPattern: consumer.sum))
        return consumer.rowCount
    }

    /// What `apus check` does to a segment.
    private static let verify = MicroCase("segment.verify.cpu-only") { size in
        let input = input(size)
        let store = try StoreFixture(input, in: .segment)
        let segments = store.engine.snapshot().version.segments
        guard segments.count == 1, let segment = segments.first, let reader = segment.reader else {
            throw CaseError("\(segments.count) segments")
        }
        return PreparedCase(itemCount: input.valueCount, byteCount: reader.byteCount) { digest in
            let findings = reader.verify()
            guard digest != nil else { return }
            digest?.add(findings.count)
            // One that looks at nothing finds nothing either, so it has to find damage as well.
            let path = segment.entry.path + ".damaged"
            var bytes = try store.files.readFile(segment.entry.path)
            bytes[SegmentLayout.headerByteCount + 100] ^= 1
            try store.files.writeFileAtomically(path, bytes)
            let damaged = try SegmentReader.open(store.files, path: path)
            digest?.add(damaged.verify().count)
        }
    }
}

/// Looks at every value, and hashes every row where there is a digest.
private struct SummingConsumer: ScanConsumer {
    var digest: Digest?
    var rowCount = 0
    var sum: Int64 = 0
    let isDone = false

    mutating func consume(_ rows: ScanRows) throws(StorageError) {
        let column = rows.columns[0]
        rowCount += rows.count
        // Safe: a slice has `count` slots and, where it has a validity, as many bytes of it.
        if let validity = column.validity {
            for row in 0..<rows.count where validity[row] != 0 {
                sum &+= Int64(bitPattern: column.values[row])
            }
        } else {
            for row in 0..<rows.count { sum &+= Int64(bitPattern: column.values[row]) }
        }
        guard digest != nil else { return }
        for row in 0..<rows.count {
            digest?.add(UInt64(rows.series))
            digest?.add(UInt64(bitPattern: rows.times[row]))
            digest?.add(column.validity?[row] != 0 ? column.values[row] : .max)
        }
    }

    mutating func consume(_ summary: ScanSummary) throws(StorageError) {
        preconditionFailure("BUG: no statistics were asked for")
    }
}
