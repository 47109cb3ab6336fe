import ApusIngest
import ApusStorage
import Testing

/// What a context remembers, and when.
@Suite struct ContextTests {
    private func lines(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test func `a new series is listed once a batch, however it is written`() throws {
        let batch = try #require(
            parse(lines("m,a=1,b=2 v=1 1\nm,b=2,a=1 v=2 2\nm,a=1,b=2 v=3 3\nn,a=1,b=2 v=1 1\n")))
        #expect(batch.newSeries.count == 2)
        let group = batch.groups[0]
        #expect((0..<3).map { group.series[$0] } == [UInt32](repeating: 1 << 31, count: 3))
        #expect(batch.groups[1].series[0] == 1 << 31 | 1)
    }

    @Test func `after learning, lines of the series carry its id`() throws {
        let context = LineContext(catalog: Catalog())
        let input = lines("m,h=a v=1 1\nm,h=b v=1 1\nm,h=b w=1 1\n")
        let first = try #require(parse(input, context: context))
        #expect(first.newSeries.count == 2)
        first.newSeries[0].resolved = 40
        first.newSeries[1].resolved = 41
        LineParser.learn(from: first, context: context)
        let second = try #require(parse(input, context: context))
        #expect(second.newSeries.isEmpty)
        #expect(
            second.groups.flatMap { group in (0..<group.rowCount).map { group.series[$0] } } == [
                40, 41, 41,
            ])
    }

    @Test func `a series that was not learned is new again in the next batch`() throws {
        let context = LineContext(catalog: Catalog())
        for _ in 0..<3 {
            let batch = try #require(parse(lines("m,h=a v=1 1\nm,h=b v=1 1\n"), context: context))
            #expect(batch.newSeries.map { BatchRows.describe($0.key) } == ["h=a", "h=b"])
        }
    }

    @Test func `a refused line leaves no series, no group and no string behind`() throws {
        let batch = try #require(parse(lines("m,h=a s=\"xyz\",v=x 1\nm,h=b s=\"q\",v=1 bad\n")))
        #expect(batch.rejectedCount == 2)
        #expect(batch.newSeries.isEmpty && batch.groups.isEmpty && batch.stringCount == 0)
    }

    @Test func `databases of one context do not share series`() throws {
        let context = LineContext(catalog: Catalog())
        let input = lines("m,h=a v=1 1\nm,h=a v=1 2\n")
        for (name, id) in [("one", UInt32(1)), ("two", 2)] {
            let parser = LineParser(
                context: context, database: name, precision: .nanoseconds, arrivalNanoseconds: 0)
            input.withUnsafeBytes { parser.feed($0) }
            parser.finish(endsLine: true)
            let batch = try #require(parser.takeBatch())
            #expect(batch.database == name && batch.newSeries.count == 1)
            batch.newSeries[0].resolved = id
            LineParser.learn(from: batch, context: context)
        }
        for (name, id) in [("one", UInt32(1)), ("two", 2)] {
            let parser = LineParser(
                context: context, database: name, precision: .nanoseconds, arrivalNanoseconds: 0)
            input.withUnsafeBytes { parser.feed($0) }
            parser.finish(endsLine: true)
            let batch = try #require(parser.takeBatch())
            withExtendedLifetime(batch) { #expect(batch.groups[0].series[1] == id) }
        }
    }

    @Test func `shapes are shared by batches and by orders of fields`() throws {
        let context = LineContext(catalog: Catalog())
        let first = try #require(parse(lines("m a=1,b=2i 1\nm b=3i,a=4 2\n"), context: context))
        #expect(first.groups.count == 1)
        #expect(BatchRows.rows(first) == ["1 m {} {a=f1.0,b=i2} 1", "2 m {} {a=f4.0,b=i3} 2"])
        let second = try #require(parse(lines("m b=3i,a=4 2\n"), context: context))
        #expect(second.groups[0].shape === first.groups[0].shape)
    }

    @Test func `interleaved tables and alternating fields keep their meaning`() {
        let context = LineContext(catalog: Catalog())
        var text = ""
        var expected: [String] = []
        for step in 0..<40 {
            for table in 0..<5 {
                let line = step * 10 + table * 2 + 1
                text += "t\(table),h=x a=\(step) \(step)\nt\(table),h=x b=\(step)i,c=t \(step)\n"
                expected.append("\(line) t\(table) {h=x} {a=f\(step).0} \(step)")
                expected.append("\(line + 1) t\(table) {h=x} {b=i\(step),c=true} \(step)")
            }
        }
        for _ in 0..<3 {
            #expect(BatchRows.rows(parse(lines(text), context: context)) == expected)
        }
    }

    @Test func `parsers that take turns on one context keep their batches apart`() throws {
        let context = LineContext(catalog: Catalog())
        let parsers = (0..<3).map {
            LineParser(
                context: context, database: "d\($0 % 2)", precision: .nanoseconds,
                arrivalNanoseconds: 0)
        }
        for step in 0..<200 {
            for (number, parser) in parsers.enumerated() {
                let first = "m,h=a v=\(step * 10 + number) 1\nm,h=b v=2 1\nm,h"
                lines(first).withUnsafeBytes { parser.feed($0) }
                lines("=c v=3 1\n").withUnsafeBytes { parser.feed($0) }
            }
        }
        for (number, parser) in parsers.enumerated() {
            let batch = try #require(parser.takeBatch())
            #expect(batch.rowCount == 600 && batch.newSeries.count == 3)
            withExtendedLifetime(batch) {
                let values = batch.groups[0].column(0)
                for step in 0..<200 {
                    #expect(Double(bitPattern: values[step * 3]) == Double(step * 10 + number))
                }
            }
        }
    }

    @Test func `a full cache is emptied between batches, not inside one`() throws {
        var limits = IngestLimits()
        limits.cacheBytesMax = 4_096
        let context = LineContext(catalog: Catalog(), limits: limits)
        let parser = LineParser(
            context: context, database: "db", precision: .nanoseconds, arrivalNanoseconds: 0)
        for step in 0..<5 {
            for host in 0..<100 {
                lines("m,h=host\(host) v=\(step)i,s=\"x\" 1\n").withUnsafeBytes { parser.feed($0) }
                _ = parse(lines("other\(host) w=1\n"), context: context)
            }
        }
        let batch = try #require(parser.takeBatch())
        #expect(batch.rowCount == 500 && batch.newSeries.count == 100)
        #expect(Set(BatchRows.rows(batch)).count == 500)
    }

    @Test func `a line that is too long is refused and skipped to its newline`() throws {
        var limits = IngestLimits()
        limits.lineBytesMax = 100
        let long = "m s=\"" + String(repeating: "x", count: 150) + "\n"
        let input = lines(
            "m v=1 1\n" + long + "m v=2 2\n" + String(repeating: "y", count: 101) + "\nm v=3 3\n"
                + String(repeating: " ", count: 90))
        for step in [input.count, 1, 7, 64] {
            let cuts = Array(stride(from: step, to: input.count, by: step))
            let batch = try #require(
                parse(input, cuts: cuts, context: LineContext(catalog: Catalog(), limits: limits)))
            #expect(
                BatchRows.rows(batch) == [
                    "1 m {} {v=f1.0} 1", "3 m {} {v=f2.0} 2", "5 m {} {v=f3.0} 3",
                ])
            #expect(batch.rejections.map(\.line) == [2, 4])
        }
    }

    @Test func `a line of exactly the limit is stored`() throws {
        var limits = IngestLimits()
        limits.lineBytesMax = 20
        let context = LineContext(catalog: Catalog(), limits: limits)
        for _ in 0..<3 {
            let fits = "m vvvvvvvvvvvv=1 100\n"
            let batch = try #require(
                parse(
                    lines(
                        fits + fits.replacing("100", with: "1000")
                            + String(repeating: "\n", count: 80)), context: context))
            #expect(batch.rowCount == 1 && batch.rejectedCount == 1)
        }
    }

    @Test func `a closed connection discards its unfinished line`() {
        let parser = LineParser(
            context: LineContext(catalog: Catalog()), database: "db", precision: .nanoseconds,
            arrivalNanoseconds: 0)
        lines("m v=1 1\nm v=12").withUnsafeBytes { parser.feed($0) }
        parser.finish(endsLine: false)
        #expect(parser.discardedBytes == 6)
        #expect(parser.pendingRows == 1 && parser.lineCount == 1)
        #expect(BatchRows.rows(parser.takeBatch()) == ["1 m {} {v=f1.0} 1"])
        #expect(parser.takeBatch() == nil)
    }

    @Test func `limits refuse a line each`() throws {
        var limits = IngestLimits()
        limits.stringBytesMax = 4
        limits.fieldsPerLineMax = 3
        limits.tagsPerLineMax = 2
        limits.seriesKeyBytesMax = 30
        limits.shapesPerBatchMax = 2
        limits.newSeriesPerBatchMax = 3
        let text = """
            m s="1234" 1
            m s="12345" 1
            m a=1,b=1,c=1 1
            m a=1,b=1,c=1,d=1 1
            m,a=1,b=1 s="" 1
            m,a=1,b=1,c=1 s="" 1
            m,a=123456789012345678901234567890 s="" 1
            m,a=12345678901234567890 abcdefghijklmnopqr=1 1
            m other=1 1
            m,h=2 s="" 1
            m,h=3 s="" 1

            """
        let batch = try #require(
            parse(lines(text), context: LineContext(catalog: Catalog(), limits: limits)))
        #expect(batch.rejections.map(\.line) == [2, 4, 6, 7, 8, 9, 11])
        #expect(batch.rejections.allSatisfy { $0.kind == .limit })
        #expect(batch.newSeries.count == 3 && batch.groups.count == 2)
    }
}
