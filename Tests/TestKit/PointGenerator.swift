// Random workloads that come back: the same seed gives the same operations.
//
// Rows look like scrapes — the same series every few seconds — with the trouble of real life mixed
// in: late rows, the same row again with other fields, new series, fields of another type, values
// at the edges of their types.

internal import ApusStorage

package struct PointGenerator: Sendable {
    package struct Options: Sendable {
        package var databases = ["default", "metrics"]
        package var rowsPerBatchMax = 40
        /// Whether a row may be written again, and a field come in another type. Without it, each
        /// row is written once and each value is final.
        package var overwrites = true
        package var changesTypes = true
        /// Drops, retention, CREATE TABLE.
        package var definitions = true
        package var reopens = true
        /// Times long ago and at the edges of what 64 bits hold.
        package var oddTimes = true

        package init() {}
    }

    package static let startNanoseconds: Int64 = 1_767_225_600_000_000_000

    private let options: Options
    private var random: SeededRandom
    private var tick: Int64 = 0
    private var seriesMade = 6
    private var walk: Double = 50
    private var uniqueTime: Int64 = 0
    private static let tables = ["cpu", "mem", "disk io", "net.if-1"]
    /// Fields that are dropped and renamed, some of which writes have, too.
    private static let alteredFields = ["used", "count", "bytes", "up", "state", "other"]

    package init(seed: UInt64, options: Options = Options()) {
        self.options = options
        random = SeededRandom(seed: seed)
    }

    /// The next operation; `now` is the store's clock.
    package mutating func next(now: Int64) -> StoreOperation {
        let database = options.databases[random.below(options.databases.count)]
        switch random.below(200) {
        case 0..<8: return .flush
        case 8..<12: return .compact
        case 12..<15 where options.reopens: return .reopen
        case 15..<23: return .advanceClock(seconds: 1 + random.below(300))
        case 23..<25 where options.definitions:
            return .dropTable(
                database: database, table: Self.tables[random.below(Self.tables.count)])
        case 25 where options.definitions && random.oneIn(4): return .dropDatabase(database)
        case 26 where options.definitions:
            return .createDatabase(database, retentionSeconds: random.oneIn(2) ? 0 : 14_400)
        case 27 where options.definitions:
            return .createTable(
                database: database, table: Self.tables[random.below(Self.tables.count)],
                fields: [(name: "used", type: .float64), (name: "count", type: .int64)])
        case 28..<34: return .maintain
        case 34..<37 where options.definitions:
            let isHost = random.oneIn(2)
            return .dropSeries(
                database: database, table: Self.tables[random.below(Self.tables.count)],
                tag: isHost ? "host" : "region", value: isHost ? "h\(random.below(8))" : "us")
        case 37..<43 where options.definitions: return delete(database, now: now)
        case 43..<46 where options.definitions:
            return .dropField(
                database: database, table: Self.tables[random.below(Self.tables.count)],
                field: Self.alteredFields[random.below(Self.alteredFields.count)])
        case 46..<50 where options.definitions:
            return .renameField(
                database: database, table: Self.tables[random.below(Self.tables.count)],
                field: Self.alteredFields[random.below(Self.alteredFields.count)],
                to: Self.alteredFields[random.below(Self.alteredFields.count)])
        default: return .write(database: database, rows: rows(now: now))
        }
    }

    private mutating func delete(_ database: String, now: Int64) -> StoreOperation {
        let second: Int64 = 1_000_000_000
        let hasTag = !random.oneIn(3)
        let isHost = random.oneIn(2)
        var range = (from: Int64.min, to: Int64.max)
        if !random.oneIn(5) {
            let width = random.oneIn(2) ? 40 : 3 * 3_600
            range.from = now - now % second - Int64(random.below(width)) * second
            range.to = range.from + Int64(1 + random.below(width)) * second
            if random.oneIn(4) { range.from = .min }
        }
        return .delete(
            database: database, table: Self.tables[random.below(Self.tables.count)],
            series: hasTag
                ? (isHost ? "host" : "region", isHost ? "h\(random.below(8))" : "us") : nil,
            from: range.from, to: range.to)
    }

    /// Rows of one write.
    package mutating func rows(now: Int64) -> [ReferenceRow] {
        tick += 1
        let count =
            random.oneIn(12)
            ? 1 + random.below(options.rowsPerBatchMax * 8)
            : 1 + random.below(options.rowsPerBatchMax)
        return (0..<count).map { index in row(index, now: now) }
    }

    private mutating func row(_ index: Int, now: Int64) -> ReferenceRow {
        let table = Self.tables[
            min(random.below(Self.tables.count), random.below(Self.tables.count))]
        return ReferenceRow(table: table, tags: tags(), time: time(now: now), fields: fields())
    }

    private mutating func tags() -> [String: String] {
        if random.oneIn(30) { return [:] }
        if random.oneIn(25) { seriesMade += 1 }
        let host = random.below(seriesMade)
        var tags = ["host": "h\(host)"]
        if host % 3 != 0 { tags["region"] = ["eu", "us", "süd, ost"][host % 3] }
        if host % 7 == 6 { tags["type"] = "v\(host % 5)" }
        return tags
    }

    private mutating func time(now: Int64) -> Int64 {
        let second: Int64 = 1_000_000_000
        if !options.overwrites {
            uniqueTime += 1
            return now - 3_600 * second + uniqueTime * 100_000_000 - Int64(random.below(5)) * 600
                * second
                + uniqueTime
        }
        switch random.below(60) {
        case 0: return now - Int64(random.below(5 * 3_600)) * second
        case 1: return now - Int64(random.below(1_000_000_000))
        case 2 where options.oddTimes: return now + Int64(random.below(3)) * 50_000 * second
        case 3 where options.oddTimes && random.oneIn(8):
            return [0, -1, -86_400 * second, .min, .min + 1, .max, .max - 1, 1][random.below(8)]
        default: return now - now % (10 * second) - Int64(random.below(6)) * 10 * second
        }
    }

    private mutating func fields() -> [(name: String, value: ReferenceValue)] {
        if random.oneIn(8) { return [(name: "used", value: value(of: .float64))] }
        var fields: [(name: String, value: ReferenceValue)] = []
        let natural: [(String, FieldType)] = [
            ("used", .float64), ("count", .int64), ("bytes", .uint64), ("up", .bool),
            ("state", .string),
            ("type", .int64), ("time", .float64),
        ]
        let shape = random.below(4)
        for (index, (name, type)) in natural.enumerated()
        where shape == 0 || index % 4 == shape || index == 1 || random.oneIn(6) {
            let other = options.changesTypes && random.oneIn(150)
            fields.append(
                (name: name, value: value(of: other ? FieldType.allCases[random.below(5)] : type)))
        }
        return fields
    }

    private mutating func value(of type: FieldType) -> ReferenceValue {
        switch type {
        case .float64:
            if random.oneIn(40) {
                let odd: [Double] = [
                    .nan, .infinity, -.infinity, -0.0, .leastNonzeroMagnitude,
                    .greatestFiniteMagnitude, 1e22,
                    Double(bitPattern: 0x7FF0_0000_0000_0002),
                ]
                return .float64(odd[random.below(odd.count)].bitPattern)
            }
            if random.oneIn(10) { return .float64(random.normal().bitPattern) }
            walk += (random.unit() - 0.5) * 4
            return .float64(((walk * 100).rounded() / 100).bitPattern)
        case .int64:
            if random.oneIn(60) { return .int64([.min, .max, 0, -1][random.below(4)]) }
            return .int64(tick * 1_000 + Int64(random.below(500)) - 100)
        case .uint64:
            if random.oneIn(60) {
                return .uint64([0, .max, 1 << 63, (1 << 63) - 1][random.below(4)])
            }
            return .uint64(UInt64(tick) * 65_536 + UInt64(random.below(4_096)))
        case .bool: return .bool(random.oneIn(3))
        case .string:
            if random.oneIn(30) { return .string([]) }
            if random.oneIn(80) {
                return .string((0..<random.below(3_000)).map { UInt8(97 + $0 % 26) })
            }
            return .string(Array("state-\(random.below(random.oneIn(4) ? 100_000 : 4))-ü".utf8))
        }
    }
}
