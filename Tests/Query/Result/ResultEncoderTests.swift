// Answers as text.

import ApusQuery
import ApusStorage
import Foundation
import Testing

private func text(_ body: (TextWriter) -> Void) -> String {
    let writer = TextWriter(capacity: 1)
    body(writer)
    return writer.string
}

@Suite struct `Text writer` {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (1_700_000_000_000_000_000, "2023-11-14T22:13:20Z"),
            (1_500_000_000, "1970-01-01T00:00:01.5Z"), (1, "1970-01-01T00:00:00.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
            (Int64.max, "2262-04-11T23:47:16.854775807Z"),
            (Int64.min, "1677-09-21T00:12:43.145224192Z"),
        ] as [(Int64, String)])
    func `times are RFC 3339 with as many digits as needed`(
        _ nanoseconds: Int64, _ expected: String
    ) {
        #expect(text { $0.timestamp(nanoseconds: nanoseconds) } == expected)
    }

    @Test(arguments: [Int64.min, -1, 0, 9, 10, 99, 1_000_000_007, .max])
    func `integers are written exactly`(_ number: Int64) {
        #expect(text { $0.integer(number) } == "\(number)")
        #expect(text { $0.unsigned(UInt64(bitPattern: number)) } == "\(UInt64(bitPattern: number))")
    }

    /// The standard library's digits are the oracle: the shortest that read back.
    @Test func `numbers have the fewest digits that read back`() {
        var random = SystemRandomNumberGenerator()
        var numbers: [Double] = [
            0, -0.0, 1e-4, 9.9e-5, 1e-5, 0.1, 0.3, 1 / 3, 999_999_999.999999, 1e9, 1e15, 1e16,
            5e-324,
            .greatestFiniteMagnitude, 0.1 + 0.2, 123_456_789.123456, 8.000001, 4.35, 0.000123,
        ]
        for _ in 0..<200_000 {
            let digits = pow(10.0, Double(Int.random(in: 0...8, using: &random)))
            let integer = Double(Int64.random(in: -(1 << 40)...(1 << 40), using: &random))
            numbers.append((integer / pow(2, Double(Int.random(in: 0...40)))).rounded() / digits)
            numbers.append(integer / 65_536)
        }
        // Neighbours of short decimals have long ones.
        numbers += numbers.flatMap { [$0.nextUp, $0.nextDown, -$0] }
        let writer = TextWriter()
        for number in numbers {
            writer.removeAll()
            writer.double(number)
            if writer.string != number.description {
                Issue.record("\(writer.string) for \(number)")
                return
            }
        }
    }

    @Test func `control characters and quotes are escaped in JSON`() {
        #expect(text { $0.jsonString("a\"\\\n\u{1}\u{1f}é") } == "\"a\\\"\\\\\\n\\u0001\\u001fé\"")
    }

    @Test func `bytes that are not UTF-8 become replacement characters`() {
        let bytes: [UInt8] = [0x61, 0xFF]
        #expect(
            text { writer in bytes.withUnsafeBytes { writer.jsonString($0) } } == "\"a\u{FFFD}\"")
    }

    @Test(arguments: [
        ("", "\"\""), ("a", "a"), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""), ("a\nb", "\"a\nb\""),
    ])
    func `csv quotes what must be quoted`(_ value: String, _ expected: String) {
        #expect(text { $0.csvField(value) } == expected)
    }
}

@Suite struct `Result encoder` {
    private static let columns = [
        ResultColumn(name: "time", type: .timestamp), ResultColumn(name: "host", type: .string),
        ResultColumn(name: "avg", type: .float64), ResultColumn(name: "avg", type: .uint64),
    ]

    private static var batch: ResultBatch {
        let text: [UInt8] = Array("h1".utf8)
        return ResultBatch(
            rowCount: 3,
            columns: [
                ResultVector(type: .timestamp, values: [1_767_225_600_000_000_000, 0, 1_999_999]),
                ResultVector(
                    type: .string,
                    values: [StringSlot(offset: 0, length: 2).rawValue, 0, 0], validity: [1, 0, 1],
                    stringBytes: text),
                ResultVector(
                    type: .float64,
                    values: [
                        (1.5).bitPattern, Double.nan.bitPattern, (-Double.infinity).bitPattern,
                    ]),
                ResultVector(type: .uint64, values: [UInt64.max, 0, 7]),
            ])
    }

    private func encode(_ format: ResultFormat, _ epoch: EpochUnit = .rfc3339) -> String {
        let encoder = ResultEncoder(format: format, epoch: epoch, writer: TextWriter())
        encoder.begin(Self.columns)
        encoder.append(Self.batch, rows: 0..<3)
        var summary = QuerySummary()
        summary.rowCount = 3
        summary.statistics.elapsedNanoseconds = 410_000
        encoder.finish(summary)
        return encoder.writer.string
    }

    @Test func `JSON has columns, rows, count, warnings and stats`() {
        #expect(
            encode(.json) == #"""
                {"columns":[{"name":"time","type":"timestamp"},{"name":"host","type":"string"},{"name":"avg","type":"float64"},{"name":"avg","type":"uint64"}],"rows":[["2026-01-01T00:00:00Z","h1",1.5,18446744073709551615],["1970-01-01T00:00:00Z",null,null,0],["1970-01-01T00:00:00.001999999Z","",null,7]],"row_count":3,"warnings":[],"stats":{"elapsed_ms":0.41,"rows_scanned":0,"blocks_read":0,"blocks_skipped":0,"blocks_summarized":0,"bytes_read":0}}

                """#)
    }

    @Test(arguments: [ResultFormat.json, .ndjson, .csv])
    func `more columns than are lent at once come out as fewer do`(_ format: ResultFormat) {
        func rows(_ count: Int) -> [Substring] {
            let encoder = ResultEncoder(format: format, epoch: .s, writer: TextWriter())
            let columns = (0..<count).map { ResultColumn(name: "c\($0)", type: .int64) }
            encoder.begin(columns)
            let start = encoder.writer.count
            let vectors = (0..<count).map { column in
                ResultVector(
                    type: .int64, values: [UInt64(column), 7], validity: [1, column == 1 ? 0 : 1])
            }
            encoder.append(ResultBatch(rowCount: 2, columns: vectors), rows: 0..<2)
            return encoder.writer.string.dropFirst(start).split(separator: "\n")
        }
        let (few, many) = (rows(3), rows(700))
        for (left, right) in zip(few, many) {
            #expect(right.hasPrefix(left.drop { $0 == "," }.prefix(3)))
            #expect(right.contains("699") || right.hasSuffix("7}") || right.hasSuffix("7"))
        }
        #expect(few.count == many.count)
        #expect(many.joined().count { $0 == "," } == 2 * 699 + (format == .json ? 1 : 0))
    }

    @Test func `NDJSON gives a repeated name a number`() {
        #expect(
            encode(.ndjson, .ms).split(separator: "\n")[0]
                == #"{"time":1767225600000,"host":"h1","avg":1.5,"avg_1":18446744073709551615}"#)
    }

    @Test func `CSV leaves NULL empty, quotes the empty string and spells NaN`() {
        #expect(
            encode(.csv, .us)
                == "time,host,avg,avg\n1767225600000000,h1,1.5,18446744073709551615\n0,,NaN,0\n1999,\"\",-Infinity,7\n"
        )
    }

    @Test(arguments: [EpochUnit.rfc3339, .ns, .us, .ms, .s])
    func `epoch turns timestamps into numbers and leaves dates and local times as they are`(
        epoch: EpochUnit
    ) {
        let noon: UInt64 = 1_767_268_800_000_000_000
        let batch = ResultBatch(
            rowCount: 1,
            columns: [
                ResultVector(type: .timestamp, values: [noon]),
                ResultVector(type: .timestampLocal, values: [noon]),
                ResultVector(type: .date, values: [20_454]),
            ])
        func encoded(_ format: ResultFormat) -> String {
            let encoder = ResultEncoder(format: format, epoch: epoch, writer: TextWriter())
            encoder.begin([
                ResultColumn(name: "t", type: .timestamp),
                ResultColumn(name: "l", type: .timestampLocal),
                ResultColumn(name: "d", type: .date),
            ])
            encoder.append(batch, rows: 0..<1)
            return encoder.writer.string
        }
        let instant =
            epoch == .rfc3339
            ? #""2026-01-01T12:00:00Z""# : "\(Int64(noon) / epoch.nanosecondsPerUnit)"
        #expect(
            encoded(.ndjson)
                == #"{"t":\#(instant),"l":"2026-01-01T12:00:00","d":"2026-01-01"}"# + "\n")
        #expect(encoded(.json).hasSuffix(#"[\#(instant),"2026-01-01T12:00:00","2026-01-01"]"#))
        let plain = instant.filter { $0 != "\"" }
        #expect(encoded(.csv) == "t,l,d\n\(plain),2026-01-01T12:00:00,2026-01-01\n")
    }

    @Test func `an error after the first byte is the last member or line`() {
        let encoder = ResultEncoder(format: .json, epoch: .ns, writer: TextWriter())
        encoder.begin([])
        #expect(encoder.fail(QueryError(.timeout, "too slow")))
        #expect(
            encoder.writer.string
                == #"{"columns":[],"rows":[],"error":{"code":"timeout","message":"too slow"}}"#
                + "\n")
        let csv = ResultEncoder(format: .csv, epoch: .ns, writer: TextWriter())
        #expect(!csv.fail(QueryError(.timeout, "too slow")))
    }
}
