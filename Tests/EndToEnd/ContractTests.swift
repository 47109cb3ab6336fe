// Sentences of the promised behaviour that only the running server can keep: units of times,
// retention, types, shapes of errors, broken bodies.

import ApusTestKit
import Glibc
import Testing

private let nanoseconds: Int64 = 1_700_000_000_000_000_000
private let stored = #"[["2023-11-14T22:13:20Z",1.0]]"#

private func now() -> Int64 { Int64(time(nil)) * 1_000_000_000 }

/// A server with a connection, in a directory of its own.
final class Session {
    let directory = TemporaryDirectory()
    let server: ServerProcess
    let client: LoopbackConnection

    init(_ arguments: [String] = []) throws {
        server = try ServerProcess(data: directory.path + "/data", arguments: arguments)
        client = try LoopbackConnection(port: server.httpPort)
    }

    func write(_ lines: String, _ target: String = "/write") throws -> HTTPAnswer {
        try client.request("POST", target, text: lines)
    }
}

/// A gzip member whose deflate stream stores the bytes as they are.
private func gzip(_ bytes: [UInt8]) -> [UInt8] {
    func little(_ value: UInt32, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
    }
    var checksum: UInt32 = .max
    for byte in bytes {
        checksum ^= UInt32(byte)
        for _ in 0..<8 { checksum = checksum >> 1 ^ (checksum & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    let count = UInt32(bytes.count)
    return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF, 1] + little(count, 2) + little(~count, 2) + bytes
        + little(~checksum, 4) + little(count, 4)
}

@Suite(.serialized) struct `Times and retention` {
    @Test func `each endpoint knows its units`() throws {
        let session = try Session()
        let units: [(String, [(String, Int64)])] = [
            (
                "/write?db=",
                [
                    ("", 1), ("n", 1), ("ns", 1), ("u", 1_000), ("us", 1_000), ("%C2%B5", 1_000),
                    ("ms", 1_000_000), ("s", 1_000_000_000),
                ]
            ),
            (
                "/api/v2/write?bucket=",
                [("", 1), ("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)]
            ),
            (
                "/api/v3/write_lp?db=",
                [
                    ("nanosecond", 1), ("microsecond", 1_000), ("millisecond", 1_000_000),
                    ("second", 1_000_000_000), ("ns", 1), ("us", 1_000), ("ms", 1_000_000),
                    ("s", 1_000_000_000), ("auto", 1), ("auto", 1_000), ("auto", 1_000_000),
                    ("auto", 1_000_000_000), ("", 1_000_000_000),
                ]
            ),
        ]
        for (family, (target, precisions)) in units.enumerated() {
            for (index, (precision, divisor)) in precisions.enumerated() {
                let database = "d\(family)x\(index)"
                let parameter = precision.isEmpty ? "" : "&precision=\(precision)"
                let answer = try session.write(
                    "m v=1 \(nanoseconds / divisor)", target + database + parameter)
                #expect(answer.status == 204, "\(target)\(parameter): \(answer.text)")
                #expect(
                    try session.client.rows("SELECT time, v FROM m", "&db=\(database)") == stored,
                    "\(target)\(parameter)")
            }
        }
        // Nothing said is nanoseconds, not a guess by magnitude, which would take this for seconds.
        for target in ["/write?db=bare1", "/api/v2/write?bucket=bare2"] {
            #expect(try session.write("m v=1 1700000000", target).status == 204)
            let database = target.split(separator: "=").last ?? ""
            #expect(
                try session.client.rows("SELECT time FROM m", "&db=\(database)")
                    == #"[["1970-01-01T00:00:01.7Z"]]"#, "\(target)")
        }
        // 2023-11-14T22:00Z.
        #expect(try session.write("m v=1 28333320", "/write?db=minutes&precision=m").status == 204)
        #expect(try session.write("m v=1 472222", "/write?db=hours&precision=h").status == 204)
        for database in ["minutes", "hours"] {
            #expect(
                try session.client.rows("SELECT time FROM m", "&db=\(database)")
                    == #"[["2023-11-14T22:00:00Z"]]"#)
        }
    }

    @Test func `an unknown unit is refused in the family's shape`() throws {
        let session = try Session()
        for (target, start) in [
            ("/write?precision=day", #"{"error":""#),
            ("/api/v2/write?bucket=b&precision=day", #"{"code":"invalid","message":""#),
            ("/api/v3/write_lp?db=b&precision=day", #"{"error":""#),
        ] {
            let answer = try session.write("m v=1 1", target)
            #expect(answer.status == 400 && answer.text.hasPrefix(start), "\(answer.text)")
        }
    }

    @Test func `a line without a time gets that of its arrival`() throws {
        let session = try Session()
        let before = Int64(time(nil))
        #expect(try session.write("m v=1").status == 204)
        let text = try session.client.rows("SELECT time FROM m", "&epoch=s")
        let seconds = Int64(text.drop { $0 == "[" }.prefix { $0 != "]" && $0 != "." }) ?? 0
        #expect(seconds >= before - 1 && seconds <= before + 60, "\(text)")
    }

    @Test func `rows older than the retention are refused and create nothing`() throws {
        let session = try Session(["--retention", "1h"])
        let old = now() - 7_200_000_000_000
        let refused = try session.write("m v=1 \(old)\nm v=2 \(old + 1)", "/write?db=a")
        let text =
            "partial write: points beyond retention policy dropped=2 (is the precision right?)"
        #expect(refused.status == 400 && refused.text == #"{"error":"\#(text)"}"# + "\n")
        #expect(refused.headers["x-influxdb-error"] == text)
        #expect(try session.client.sql("SELECT 1 FROM m", "&db=a").status == 404)
        let mixed = try session.write("m v=1 \(old)\nm v=2 \(now())", "/write?db=a")
        #expect(mixed.status == 400 && mixed.text.contains("dropped=1 (is the precision right?)"))
        #expect(try session.client.rows("SELECT v FROM m", "&db=a") == "[[2.0]]")
    }

    @Test func `a row is invisible as soon as its retention is over`() throws {
        let session = try Session(["--retention", "3s"])
        #expect(try session.write("m v=1").status == 204)
        #expect(try session.client.rows("SELECT count(*) FROM m") == "[[1]]")
        usleep(3_500_000)
        #expect(try session.client.rows("SELECT count(*) FROM m") == "[[0]]")
        #expect(try session.client.rows("SELECT v FROM m") == "[]")
    }

    @Test func `rows too far ahead are refused unless any is accepted`() throws {
        let line = "m v=1 \(now() + 2 * 86_400_000_000_000)"
        let strict = try Session()
        let refused = try strict.write("\(line)\nm v=2 \(now())")
        #expect(
            refused.status == 400 && refused.text.contains("partial write: line 1")
                && refused.text.contains("is the precision right?")
                && refused.text.contains("dropped=1"), "\(refused.text)")
        #expect(try strict.client.rows("SELECT v FROM m") == "[[2.0]]")
        #expect(try Session(["--accept-future", "0"]).write(line).status == 204)
        #expect(try Session(["--accept-future", "3d"]).write(line).status == 204)
        #expect(
            try Session(["--accept-future", "1h"]).write("m v=1 \(now() + 7_200_000_000_000)")
                .status == 400)
    }

    @Test func `a batch that touches more than 64 new partitions is refused whole`() throws {
        let session = try Session()
        let lines = (0..<65).map { "m v=1 \(nanoseconds - Int64($0) * 40 * 86_400_000_000_000)" }
        let refused = try session.write(lines.joined(separator: "\n"))
        #expect(refused.status == 413, "\(refused.status) \(refused.text)")
        #expect(try session.client.sql("SELECT 1 FROM m").status == 404)
    }
}

@Suite(.serialized) struct `Types of fields` {
    @Test func `a conflict refuses the field and names table, field, types and line`() throws {
        let session = try Session()
        #expect(try session.write("t x=1i 1").status == 204)
        let conflict = try session.write("t x=2i,y=5i 2\nt x=\"no\",y=6i 3")
        #expect(conflict.status == 400)
        for part in ["partial write: line 2", #"\"x\""#, #"\"t\""#, "string", "int", "dropped=1"] {
            #expect(conflict.text.contains(part), "\(part): \(conflict.text)")
        }
        #expect(
            try session.client.rows("SELECT x, y FROM t ORDER BY time")
                == "[[1,null],[2,5],[null,6]]")
        #expect(try session.write("t x=true,y=7i 4").status == 400)
        #expect(try session.client.rows("SELECT y FROM t WHERE time = 4") == "[[7]]")
    }

    @Test func `numbers fit or widen`() throws {
        let session = try Session()
        #expect(
            try session.write(
                "t f=1.5,i=-1i,u=1u,w=1i,big=1i 1\nt f=2i,i=3u,u=4i,w=0.5,big=18446744073709551615u 2"
            ).status == 204)
        #expect(
            try session.client.rows("SELECT f, i, u, w FROM t ORDER BY time")
                == "[[1.5,-1,1,1.0],[2.0,3,4,0.5]]")
        let widened = try session.client.rows("SELECT big FROM t ORDER BY time")
        #expect(widened.hasPrefix("[[1.0],[1.844674407370955"), "\(widened)")
    }

    @Test func `the later line of a request wins and an absent field erases nothing`() throws {
        let session = try Session()
        #expect(try session.write("t,k=a x=1i,y=2i 1\nt,k=a x=3i 1").status == 204)
        #expect(try session.client.rows("SELECT x, y FROM t") == "[[3,2]]")
        #expect(try session.write("t,k=a y=4i 1").status == 204)
        #expect(try session.client.rows("SELECT x, y FROM t") == "[[3,4]]")
    }

    @Test func `a tag and a field of one name and a field called time are all kept`() throws {
        let session = try Session()
        #expect(try session.write(#"p,type=lxc type="kvm",time=5i 1"#).status == 204)
        #expect(
            try session.client.rows("SELECT type, type_1, time_1 FROM p") == #"[["lxc","kvm",5]]"#)
    }
}

@Suite(.serialized) struct `Shapes of errors` {
    @Test func `every refusal has its family's shape`() throws {
        let directory = TemporaryDirectory()
        let tokens = directory.path + "/tokens"
        let text = "reader read\nwriter write a\n"
        let descriptor = open(tokens, O_CREAT | O_WRONLY, 0o600)
        _ = Glibc.write(descriptor, text, text.utf8.count)
        close(descriptor)
        let session = try Session(["--token-file", tokens])
        let starts = [
            ("/write?db=a", #"{"error":""#), ("/query?q=SHOW+DATABASES", #"{"error":""#),
            ("/api/v2/write?bucket=a", #"{"code":""#), ("/api/v3/write_lp?db=a", #"{"error":""#),
            ("/sql?q=SELECT+1", #"{"error":{"code":""#),
        ]
        func check(
            _ status: Int, _ method: String, _ headers: [String: String], length: Int? = nil,
            _ target: String, _ start: String
        ) throws {
            // A connection each: a refusal may end it.
            let client = try LoopbackConnection(port: session.server.httpPort, timeoutSeconds: 10)
            var all = headers
            if let length { all["Content-Length"] = "\(length)" }
            var head = "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            for (name, value) in all { head += "\(name): \(value)\r\n" }
            if length == nil, method != "GET" { head += "Content-Length: 0\r\n" }
            try client.send(head + "\r\n")
            let answer = try client.answer()
            #expect(answer.status == status, "\(method) \(target): \(answer.text)")
            #expect(answer.text.hasPrefix(start), "\(method) \(target): \(answer.text)")
            if start == #"{"error":""#, !target.hasPrefix("/api/v3") {
                #expect(answer.headers["x-influxdb-error"] != nil, "\(method) \(target)")
            }
        }
        let reader = ["Authorization": "Token reader"]
        let writer = ["Authorization": "Token writer"]
        for (target, start) in starts {
            try check(401, "POST", [:], target, start)
            try check(401, "POST", ["Authorization": "Token nobody"], target, start)
            try check(403, "POST", writer.merging(["Origin": "http://evil"]) { $1 }, target, start)
            try check(405, "PUT", writer, target, start)
        }
        for (target, start) in starts where target.contains("write") {
            try check(403, "POST", reader, target, start)
            try check(413, "POST", writer, length: 999_999_999, target, start)
        }
        try check(403, "GET", writer, "/sql?q=SELECT+1", #"{"error":{"code":"forbidden""#)
        try check(404, "GET", reader, "/api/v2/nothing", #"{"code":"not found""#)
        try check(404, "GET", reader, "/api/v3/nothing", #"{"error":""#)
        try check(404, "GET", reader, "/nothing", #"{"error":{"code":"not_found""#)
        try check(
            404, "GET", reader, "/sql?q=SELECT+1+FROM+x&db=none", #"{"error":{"code":"unknown_"#)
        // Only what changes nothing may come as GET.
        try check(405, "GET", reader, "/write?db=a", #"{"error":""#)
    }

    @Test func `a syntax error says where`() throws {
        let session = try Session()
        let answer = try session.client.sql("SELECT 1 FROM x WHERE")
        #expect(answer.status == 400 && answer.text.hasPrefix(#"{"error":{"code":"syntax""#))
        #expect(answer.text.contains(#""line":1,"column":"#))
    }

    @Test func `GET changes nothing`() throws {
        let session = try Session()
        #expect(try session.write("m v=1 1").status == 204)
        #expect(try session.client.sql("DROP TABLE m").status >= 400)
        #expect(try session.client.rows("SELECT v FROM m") == "[[1.0]]")
        #expect(try session.client.request("GET", "/query?q=CREATE+DATABASE+x").status >= 400)
        #expect(try session.client.request("GET", "/query?q=DROP+DATABASE+default").status >= 400)
        #expect(try session.client.rows("SHOW DATABASES") == #"[["default"]]"#)
    }
}

@Suite(.serialized) struct `Bodies and datagrams` {
    @Test func `gzip is stored whole or not at all`() throws {
        let session = try Session()
        let body = gzip(Array("m v=1 \(nanoseconds)\n".utf8))
        func post(_ body: [UInt8], _ database: String) throws -> HTTPAnswer {
            try session.client.request(
                "POST", "/write?db=\(database)", headers: ["Content-Encoding": "gzip"], body: body)
        }
        #expect(try post(body, "whole").status == 204)
        #expect(try session.client.rows("SELECT time, v FROM m", "&db=whole") == stored)
        var changed = body
        changed[body.count - 6] ^= 1
        for (name, broken) in [
            ("cut", Array(body.dropLast(3))), ("checksum", changed),
            ("trailing", body + [1, 2, 3]),
            ("plain", Array("m v=1 1\n".utf8)),
        ] {
            let answer = try post(broken, name)
            #expect(answer.status == 400 && answer.text.hasPrefix(#"{"error":""#), "\(name)")
            #expect(try session.client.sql("SELECT 1 FROM m", "&db=\(name)").status == 404)
        }
    }

    @Test func `the end of a datagram ends its line`() throws {
        let session = try Session()
        try sendDatagram("m v=12", port: session.server.udpPort)
        try sendDatagram("3", port: session.server.udpPort)
        var rows = ""
        for _ in 0..<500 where rows != "[[12.0]]" {
            usleep(10_000)
            rows = (try? session.client.rows("SELECT v FROM m")) ?? ""
        }
        #expect(rows == "[[12.0]]")
    }

    @Test func `listeners are told their unit and database, and off is off`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(
            data: directory.path,
            arguments: ["--line-tcp", "off", "--line-udp", "127.0.0.1:0?db=x&precision=ms"])
        #expect(server.readyLine.contains(" line-tcp=off "))
        let port = server.readyLine.split(separator: " ").first { $0.hasPrefix("line-udp=") }?
            .split(separator: ":").last.flatMap { Int($0.prefix { $0.isNumber }) }
        // By magnitude these would be seconds.
        try sendDatagram("m v=1 1000000", port: port ?? 0)
        let client = try LoopbackConnection(port: server.httpPort)
        // The table may be seen before its first row.
        var rows = ""
        for _ in 0..<500 where !rows.hasPrefix("[[") {
            usleep(10_000)
            rows = (try? client.rows("SELECT time FROM m", "&db=x")) ?? ""
        }
        #expect(rows == #"[["1970-01-01T00:16:40Z"]]"#)
    }
}
