// Every way in, through the real binary, and the answer out of `/sql`.

import ApusTestKit
import Glibc
import Testing

private let line = "cpu,host=a,region=eu usage_user=1.5,n=3i 1700000000000000000"
private let row = #"[["2023-11-14T22:13:20Z","a",1.5,3]]"#
private let statement = "SELECT time, host, usage_user, n FROM cpu"

@Suite(.serialized) struct `Ways in` {
    @Test func `what goes in through any endpoint comes out of sql`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let client = try LoopbackConnection(port: server.httpPort)
        for (target, database) in [
            ("/write?db=a1", "a1"), ("/some/prefix/write?db=a2&precision=ns", "a2"),
            ("/write?db=a&rp=b", "a/b"), ("/write?rp=b", "default/b"),
            ("/write?db=a3&rp=autogen", "a3"), ("/write?db=a7&rp=default", "a7"),
            ("/write?db=a8&rp=", "a8"), ("/api/v2/write?bucket=a9/default", "a9"),
            ("/api/v2/write?bucket=c/d", "c/d"),
            ("/api/v2/write?org=x&bucket=a4", "a4"),
            ("/x/api/v2/write?bucket=a5/autogen", "a5"), ("/api/v3/write_lp?db=a6", "a6"),
            ("/write", "default"),
        ] {
            let answer = try client.request("POST", target, text: line)
            #expect(answer.status == 204, "\(target): \(answer.text)")
            #expect(try client.rows(statement, "&db=\(percentEncoded(database))") == row)
        }
        #expect(server.stop() == 0)
    }

    @Test func `chunked bodies are stored once whole`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let client = try LoopbackConnection(port: server.httpPort)
        let bytes = Array(line.utf8)
        #expect(
            try client.chunked("/write", chunks: [Array(bytes[..<10]), Array(bytes[10...])]).status
                == 204)
        #expect(try client.rows(statement) == row)
        // A body that breaks off.
        let broken = try LoopbackConnection(port: server.httpPort)
        try broken.send(
            "POST /write?db=b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        try broken.send("\(String(bytes.count + 1, radix: 16))\r\n\(line)\n\r\nzz\r\n")
        let refused = try broken.answer()
        #expect(refused.status == 400 && refused.text.hasPrefix(#"{"error":"#))
        #expect(try client.sql(statement, "&db=b").status == 404)
    }

    @Test func `TCP and UDP lines arrive, and a cut line does not`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let client = try LoopbackConnection(port: server.httpPort)
        do {
            let lines = try LoopbackConnection(port: server.tcpPort)
            try lines.send(
                "bad line here,\ntcp,host=a v=1 1700000000\ntcp,host=b v=2 1700000000123\ntcp,host=c v=12"
            )
            usleep(50_000)
        }
        #expect(
            eventually {
                (try? client.rows("SELECT time, host, v FROM tcp ORDER BY host"))
                    == #"[["2023-11-14T22:13:20Z","a",1.0],["2023-11-14T22:13:20.123Z","b",2.0]]"#
            })
        try sendDatagram(
            "udp,host=a v=1 1700000000000\nudp,host=b v=2 1700000000000000", port: server.udpPort)
        #expect(
            eventually {
                (try? client.rows("SELECT time, host, v FROM udp ORDER BY host"))
                    == #"[["2023-11-14T22:13:20Z","a",1.0],["2023-11-14T22:13:20Z","b",2.0]]"#
            })
        #expect(
            eventually {
                (try? client.request("GET", "/metrics").text)?
                    .contains("apus_line_tail_bytes_discarded_total 15") ?? false
            })
        let metrics = try client.request("GET", "/metrics").text
        #expect(metrics.contains(#"apus_lines_rejected_total{reason="malformed"} 1"#))
        #expect(metrics.contains("apus_udp_datagrams_total 1"))
        #expect(metrics.contains("apus_background_idle "))
    }

    /// In the unit that the listener was told.
    @Test(arguments: [("", 1), ("?precision=s", 1_000_000_000)])
    func `a line without a time over TCP or UDP gets that of its arrival`(
        parameter: String, unit: Int64
    ) throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(
            data: directory.path,
            arguments: [
                "--line-tcp", "127.0.0.1:0\(parameter)", "--line-udp", "127.0.0.1:0\(parameter)",
            ])
        let client = try LoopbackConnection(port: server.httpPort)
        func wallClock() -> Int64 {
            var now = timespec()
            clock_gettime(CLOCK_REALTIME, &now)
            return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
        }
        let lines = try LoopbackConnection(port: server.tcpPort)
        for round in 1...3 {
            for table in ["tcp", "udp"] {
                let before = wallClock()
                let line = "\(table),round=\(round) v=\(round)"
                if table == "tcp" {
                    try lines.send(line + "\n")
                } else {
                    try sendDatagram(line, port: server.udpPort)
                }
                var text = ""
                #expect(
                    eventually {
                        text =
                            (try? client.rows(
                                "SELECT time FROM \(table) WHERE round = '\(round)'", "&epoch=ns"))
                            ?? ""
                        return text.hasPrefix("[[")
                    })
                let time = Int64(text.filter(\.isNumber)) ?? 0
                #expect(
                    time >= before - before % unit && time <= wallClock() && time % unit == 0,
                    "\(table) \(round): \(text)")
            }
        }
    }

    @Test func `good lines are stored and bad ones named`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let client = try LoopbackConnection(port: server.httpPort)
        let mixed = "\(line)\ncpu,host=x\ncpu,host=b usage_user=2 1700000000000000001"
        let v1 = try client.request("POST", "/write", text: mixed)
        #expect(
            v1.status == 400 && v1.text.contains("partial write") && v1.text.contains("line 2")
                && v1.text.contains("dropped=1"))
        #expect(v1.headers["x-influxdb-error"]?.contains("partial write") == true)
        #expect(try client.rows("SELECT count(*) FROM cpu") == "[[2]]")
        let v2 = try client.request("POST", "/api/v2/write?bucket=c", text: mixed)
        #expect(
            v2.status == 400 && v2.text.hasPrefix(#"{"code":"invalid","message":"partial write"#))
        let v3 = try client.request("POST", "/api/v3/write_lp?db=d", text: mixed)
        #expect(v3.status == 400 && v3.text.contains(#""line_number":2"#))
        let bad = try client.request("POST", "/write?db=nothing", text: "bad")
        #expect(bad.status == 400 && bad.text.contains("unable to parse"))
        #expect(try client.sql("SELECT 1 FROM x", "&db=nothing").status == 404)
        #expect(try client.request("POST", "/write", text: "").status == 204)
        #expect(try client.request("POST", "/write?precision=d", text: line).status == 400)
        // Too large by its own word: answered at once, not after the last byte.
        let large = try LoopbackConnection(port: server.httpPort, timeoutSeconds: 5)
        try large.send(
            "POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n")
        #expect(try large.answer().status == 413)
    }

    @Test func `clients' first questions are answered`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let client = try LoopbackConnection(port: server.httpPort)
        let ping = try client.request("GET", "/x/ping")
        #expect(ping.status == 204 && ping.headers["x-influxdb-version"] != nil)
        let head = try client.request("HEAD", "/ping")
        #expect(head.status == 204 && head.headers["x-influxdb-version"]?.isEmpty == false)
        let health = try client.request("GET", "/pve/health")
        #expect(health.status == 200 && health.text.contains(#""status":"pass""#))
        #expect(health.text.hasPrefix(#"{"name":"apus","#))
        #expect(try client.request("GET", "/ready").status == 200)
        let created = try client.request(
            "POST", "/query", headers: ["Content-Type": "application/x-www-form-urlencoded"],
            text: "q=\(percentEncoded(#"CREATE DATABASE "telegraf""#))")
        #expect(
            created.status == 200 && created.text == #"{"results":[{"statement_id":0}]}"# + "\n")
        #expect(try client.request("POST", "/query?q=CREATE+DATABASE+py", text: "").status == 200)
        let shown = try client.request("GET", "/query?q=SHOW+DATABASES").text
        #expect(shown.contains(#"["py"]"#) && shown.contains(#"["telegraf"]"#))
        #expect(try client.request("GET", "/query?q=DROP+DATABASE+py").status == 400)
        #expect(try client.request("POST", "/query?q=DROP+DATABASE+py", text: "").status == 200)
        #expect(!(try client.request("GET", "/query?q=SHOW+DATABASES").text.contains(#"["py"]"#)))
        let expecting = try LoopbackConnection(port: server.httpPort)
        try expecting.send(
            "POST /write HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: \(line.utf8.count)\r\n\r\n"
        )
        #expect(try expecting.answer().status == 100)
        try expecting.send(line)
        #expect(try expecting.answer().status == 204)
    }

    @Test func `foreign origins, unexpected names and wrong methods are refused`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let client = try LoopbackConnection(port: server.httpPort)
        #expect(
            try client.request(
                "POST", "/write", headers: ["Origin": "http://evil.example"], text: line
            ).status == 403)
        #expect(
            try client.request("POST", "/write", headers: ["Host": "evil.example"], text: line)
                .status == 403)
        #expect(
            try client.request(
                "POST", "/write",
                headers: ["Host": "localhost:8086", "Origin": "http://localhost:8086"], text: line
            ).status == 204)
        let wrong = try client.request("GET", "/write")
        #expect(
            wrong.status == 405 && wrong.headers["allow"] == "POST"
                && wrong.text.hasPrefix(#"{"error":"#))
        #expect(
            try client.request("GET", "/nothing").text.hasPrefix(#"{"error":{"code":"not_found""#))
        #expect(
            try client.request("POST", "/api/v2/nothing", text: "").text.hasPrefix(
                #"{"code":"not found""#))
    }
}
