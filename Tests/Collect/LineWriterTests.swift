// Escaping and number formats of the lines that are sent, and the small parsers of options.

import ApusClient
import ApusCollect
import Testing

@Suite struct LineWriterTests {
    private func text(_ metric: Metric, commonTags: [Metric.Tag] = []) -> String {
        let body = LineWriter(commonTags: commonTags).body(of: [metric], timestampNanoseconds: 7)
        return String(decoding: body, as: UTF8.self)
    }

    @Test func `tags are merged, sorted, and a metric's own wins`() {
        let metric = Metric(
            "cpu", tags: [.init("zone", "own"), .init("cpu", "cpu0")],
            fields: [.init("a", .float(1.5)), .init("b", .integer(-3))])
        #expect(
            text(metric, commonTags: [.init("host", "h1"), .init("zone", "common")])
                == "cpu,cpu=cpu0,host=h1,zone=own a=1.5,b=-3i 7\n")
    }

    @Test func `each place escapes what would end it`() {
        let metric = Metric(
            "a, =b", tags: [.init("t, =", "v, =")], fields: [.init("f, =", .integer(1))])
        #expect(text(metric) == #"a\,\ =b,t\,\ \==v\,\ \= f\,\ \==1i 7"# + "\n")
    }

    @Test func `a trailing backslash and control characters cannot break a line`() {
        let metric = Metric(
            "m", tags: [.init("a", #"x\\"#), .init("b", "1\n2\r3\u{0}"), .init("c", "")],
            fields: [.init("f", .integer(1))])
        #expect(text(metric) == #"m,a=x,b=1\n23 f=1i 7"# + "\n")
    }

    @Test func `values that are not finite are left out, and a line without fields with them`() {
        #expect(text(Metric("m", fields: [.init("a", .float(.nan))])).isEmpty)
        #expect(
            text(Metric("m", fields: [.init("a", .float(.infinity)), .init("b", .integer(1))]))
                == "m b=1i 7\n")
    }

    @Test func `a counter beyond the signed range is held at its end`() {
        #expect(MetricValue.counter(.max) == .integer(.max))
    }
}

@Suite struct IntervalTests {
    @Test(arguments: [
        ("100ms", 100_000_000), ("1s", 1_000_000_000), ("2m", 120_000_000_000),
        ("1h", 3_600_000_000_000),
    ])
    func `spans with a unit are read`(text: String, nanoseconds: Int64) {
        #expect(IntervalText.nanoseconds(text) == nanoseconds)
    }

    @Test(arguments: ["", "1", "s", "-1s", "0s", "1.5s", "99ms", "61m", "9999999999999999h", "1d"])
    func `anything else is refused`(text: String) {
        #expect(IntervalText.nanoseconds(text) == nil)
    }

    @Test func `ticks are multiples of the interval and lie ahead`() {
        #expect(Ticks.next(after: 2_500, intervalNanoseconds: 1_000) == 3_000)
        #expect(Ticks.next(after: 3_000, intervalNanoseconds: 1_000) == 4_000)
    }
}

@Suite struct WriteTargetTests {
    @Test func `a request names database and token`() throws {
        let target = try WriteTarget(
            url: "http://[::1]:99/influx/", database: "a b/ü", token: "secret")
        #expect(target.address.host == "::1")
        #expect(target.address.port == 99)
        #expect(
            target.requestHead
                == "POST /influx/write?db=a%20b%2F%C3%BC&precision=ns HTTP/1.1\r\n"
                + "Host: [::1]:99\r\nUser-Agent: apus-collect\r\n"
                + "Authorization: Token secret\r\n"
                + "Content-Type: text/plain; charset=utf-8\r\n")
    }

    @Test func `the port defaults to 8086`() throws {
        #expect(try WriteTarget(url: "http://db", database: "d", token: nil).address.port == 8086)
    }

    @Test(arguments: [
        "", "localhost:8086", "https://db", "ftp://db", "http://", "http://:80", "http://db:",
        "http://db:0", "http://db:70000", "http://[::1]x", "http://u@db", "http://db/?a=b",
        "http://db/\r\nX: y",
    ])
    func `other addresses are refused`(url: String) {
        #expect(throws: ServerAddressError.self) {
            try WriteTarget(url: url, database: "d", token: nil)
        }
    }

    @Test func `a token cannot smuggle in a header`() {
        #expect(throws: ServerAddressError.self) {
            try WriteTarget(url: "http://db", database: "d", token: "a\r\nX: y")
        }
    }
}
