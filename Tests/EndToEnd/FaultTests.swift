// A disk that is full, breaks or stalls below the running server: what it answers, and what is
// stored afterwards. The faults are those of `preload/faults.c`.

import ApusTestKit
import Glibc
import Testing

private let start = 1_700_000_000_000_000_000

/// A server in a directory of its own, on whose system calls faults can be laid.
private final class FaultySession {
    let directory = TemporaryDirectory()
    let faults: Faults
    private(set) var server: ServerProcess
    private(set) var client: LoopbackConnection

    init(_ arguments: [String] = []) throws {
        faults = try Faults()
        server = try ServerProcess(
            data: directory.path + "/data", arguments: arguments, environment: faults.environment)
        client = try LoopbackConnection(port: server.httpPort)
    }

    func restart() throws {
        server = try ServerProcess(
            data: directory.path + "/data", environment: faults.environment)
        client = try LoopbackConnection(port: server.httpPort)
    }

    func write(_ lines: String, _ target: String = "/write") throws -> HTTPAnswer {
        try client.request("POST", target, text: lines)
    }

    /// A metric, with its labels if it has some.
    func metric(_ name: String) throws -> Int {
        let page = try client.request("GET", "/metrics").text
        let line = page.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
        guard let value = line?.split(separator: " ").last.flatMap({ Int($0) }) else {
            throw ClientFault("no metric \(name)")
        }
        return value
    }

    /// Sends a line by TCP and one by UDP, and waits until both have been tried in vain.
    func sendStreams(at time: Int) throws -> LoopbackConnection {
        let before = try metric("apus_line_batches_retried_total")
        let stream = try LoopbackConnection(port: server.tcpPort)
        try stream.send("tcp v=1 \(time)\n")
        #expect(eventually { (try? metric("apus_line_batches_retried_total")) ?? 0 > before })
        let between = try metric("apus_line_batches_retried_total")
        try sendDatagram("udp v=1 \(time)", port: server.udpPort)
        #expect(eventually { (try? metric("apus_line_batches_retried_total")) ?? 0 > between + 20 })
        return stream
    }

    /// Nobody else had these lines any more.
    func expectStreamsStored() {
        for table in ["tcp", "udp"] {
            #expect(
                eventually { (try? client.rows("SELECT v FROM \(table)")) == "[[1.0]]" }, "\(table)"
            )
        }
    }

    func values() throws -> String { try client.rows("SELECT v FROM m ORDER BY time") }

    /// A write that is refused creates nothing, no name either.
    func expectNothingFresh() throws {
        #expect(try client.sql("SELECT v FROM fresh").status == 404)
        #expect(try client.sql("SELECT v FROM m", "&db=fresh").status == 404)
        #expect(try client.rows("SHOW DATABASES") == #"[["default"]]"#)
    }

    /// Asks every endpoint that writes, and expects a refusal that every client repeats.
    func expectRefusals(_ reason: String, at time: Int) throws {
        let line = "m v=-1 \(time)\nfresh v=-1 \(time)"
        for (target, shape) in [
            ("/write", #"{"error":""#), ("/api/v2/write?bucket=default", #"{"code":"unavailable""#),
            ("/api/v3/write_lp?db=default", #"{"error":""#), ("/write?db=fresh", #"{"error":""#),
        ] {
            let answer = try write(line, target)
            #expect(answer.status == 503, "\(target): \(answer.text)")
            #expect(answer.text.hasPrefix(shape) && answer.text.contains(reason), "\(answer.text)")
            expectRepeatable(answer)
        }
        for statement in ["CREATE+DATABASE+fresh", "DROP+DATABASE+%22default%22"] {
            let answer = try client.request("POST", "/query?q=\(statement)")
            #expect(answer.status == 503 && answer.text.hasPrefix(#"{"error":""#), "\(answer)")
            #expect(answer.headers["x-influxdb-error"]?.contains(reason) == true, "\(answer)")
            expectRepeatable(answer)
        }
        let insert = try client.request(
            "POST", "/sql", text: "INSERT INTO m (time, v) VALUES (\(time), -1)")
        #expect(insert.status == 503 && insert.text.hasPrefix(#"{"error":{"code":"#), "\(insert)")
        expectRepeatable(insert)
    }
}

/// Telegraf keeps what it could not send, unless one of these words is in the answer.
private func expectRepeatable(_ answer: HTTPAnswer) {
    #expect((answer.headers["retry-after"].flatMap { Int($0) } ?? 0) > 0, "\(answer)")
    for word in [
        "partial write", "unable to parse", "points beyond retention policy",
        "retention policy not found", "hinted handoff queue not empty",
    ] {
        #expect(!answer.text.lowercased().contains(word), "\(answer.text)")
    }
}

@Suite(.serialized) struct Faulty {
    @Test func `a full disk refuses writes, serves reads, and takes writes once there is room`()
        throws
    {
        let session = try FaultySession()
        #expect(try session.write("m v=1 \(start)").status == 204)
        session.faults.begin(.diskFull)
        try session.expectRefusals("no space left", at: start + 1)
        #expect(try session.values() == "[[1.0]]")
        #expect(try session.client.request("GET", "/ready").status == 200)
        let stream = try session.sendStreams(at: start)
        session.faults.end(.diskFull)
        #expect(try session.write("m v=2 \(start + 2)").status == 204)
        session.expectStreamsStored()
        withExtendedLifetime(stream) {}
        #expect(try session.values() == "[[1.0],[2.0]]")
        try session.expectNothingFresh()
        session.server.kill()
        // No half of a refused batch is found in the log either.
        try session.restart()
        #expect(try session.values() == "[[1.0],[2.0]]")
        try session.expectNothingFresh()
        #expect(session.server.stop() == 0)
    }

    @Test func `a failed sync ends writing until the store is opened again`() throws {
        let session = try FaultySession()
        #expect(try session.write("m v=1 \(start)").status == 204)
        session.faults.begin(.syncsFail)
        let failed = try session.write("m v=2 \(start + 1)")
        #expect(failed.status == 503, "\(failed.text)")
        expectRepeatable(failed)
        // The disk is well again, but nobody knows what it kept.
        session.faults.end(.syncsFail)
        try session.expectRefusals("read-only", at: start + 2)
        let health = try session.client.request("GET", "/health")
        #expect(health.status == 503 && health.text.contains(#""status":"fail""#))
        #expect(health.text.hasPrefix(#"{"name":"apus","#))
        #expect(health.text.contains("read-only") && health.text.contains("reopen"))
        #expect(try session.values() == "[[1.0]]")
        #expect(session.server.stop() == 74, "the log was not synced")
        try session.restart()
        #expect(try session.client.request("GET", "/health").status == 200)
        #expect(try session.values().hasPrefix("[[1.0]"))
        // Whatever became of it: sending it again is harmless.
        #expect(try session.write("m v=2 \(start + 1)").status == 204)
        #expect(try session.values() == "[[1.0],[2.0]]")
        #expect(session.server.stop() == 0)
    }

    @Test func `overload refuses whole writes, serves reads, and ends by itself`() throws {
        let session = try FaultySession(["--memory", "32MiB"])
        #expect(try session.write("m v=1 \(start)").status == 204)
        session.faults.begin(.syncsWait)
        let rowsPerBody = 100_000
        var senders: [LoopbackConnection] = []
        var isOverloaded = false
        while !isOverloaded, senders.count < 60 {
            let number = senders.count
            let sender = try LoopbackConnection(port: session.server.httpPort)
            var body = ""
            for row in 0..<rowsPerBody { body += "load,n=\(number) v=1 \(start + row)\n" }
            try sender.send(
                "POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
            )
            try sender.send(body)
            senders.append(sender)
            // While syncs wait nothing is acknowledged: what answers refuses.
            isOverloaded = sender.hasAnswer(withinMilliseconds: 200)
        }
        #expect(isOverloaded)
        #expect(try session.values() == "[[1.0]]")
        let stream = try session.sendStreams(at: start)
        session.faults.end(.syncsWait)
        session.expectStreamsStored()
        withExtendedLifetime(stream) {}
        var stored = 0
        for sender in senders {
            let answer = try sender.answer()
            if answer.status == 204 {
                stored += 1
            } else {
                #expect(answer.status == 503, "\(answer.text)")
                expectRepeatable(answer)
            }
        }
        #expect(stored > 0 && stored < senders.count)
        #expect(
            try session.client.rows("SELECT count(*) FROM load") == "[[\(stored * rowsPerBody)]]")
        var again = 0
        for _ in 0..<500 where again != 204 {
            again = try session.write("m v=2 \(start + 1)").status
            if again != 204 { usleep(20_000) }
        }
        #expect(again == 204)
    }

    @Test func `ping answers while the store opens, health and ready refuse, writes wait`() throws {
        let directory = TemporaryDirectory()
        let faults = try Faults()
        faults.begin(.openingWaits)
        let port = try freePort()
        let server = try ServerProcess(
            starting: directory.path, httpPort: port, environment: faults.environment)
        var connection: LoopbackConnection?
        for _ in 0..<1_500 where connection == nil {
            connection = try? LoopbackConnection(port: port)
            if connection == nil { usleep(20_000) }
        }
        let client = try #require(connection)
        for method in ["GET", "HEAD"] {
            let ping = try client.request(method, "/ping")
            #expect(ping.status == 204 && ping.headers["x-influxdb-version"]?.isEmpty == false)
        }
        let health = try client.request("GET", "/health")
        #expect(health.status == 503 && health.text.hasPrefix(#"{"name":"apus","#))
        #expect(health.text.contains(#""status":"fail""#))
        #expect(try client.request("GET", "/ready").status == 503)
        for target in [
            "/write", "/api/v2/write?bucket=b", "/api/v3/write_lp?db=d", "/query?q=SHOW+DATABASES",
            "/sql?q=SELECT+1",
        ] {
            let answer = try client.request("POST", target, text: "m v=1 1")
            #expect(answer.status == 503, "\(target)")
            expectRepeatable(answer)
        }
        faults.end(.openingWaits)
        try server.awaitReady()
        #expect(try client.request("GET", "/health").status == 200)
        #expect(try client.request("GET", "/ready").status == 200)
        #expect(try client.request("POST", "/write", text: "m v=1 1").status == 204)
        #expect(server.stop() == 0)
    }

    @Test func `a second signal ends a server that cannot stop`() throws {
        for signal in [SIGTERM, SIGINT] {
            let session = try FaultySession()
            #expect(try session.write("m v=1 \(start)").status == 204)
            session.faults.begin(.syncsWait)
            session.server.send(SIGTERM)
            // It no longer listens: it has begun to stop.
            #expect(session.server.endsListening())
            #expect(session.server.stop(signal) == 128 + signal)
            session.faults.end(.syncsWait)
            try session.restart()
            #expect(try session.values() == "[[1.0]]")
        }
    }

    @Test func `a stop that cannot sync gives up, and says so by its exit code`() throws {
        let session = try FaultySession()
        #expect(try session.write("m v=1 \(start)").status == 204)
        session.faults.begin(.syncsWait)
        #expect(session.server.stop() == 74)
        session.faults.end(.syncsWait)
        try session.restart()
        #expect(try session.values() == "[[1.0]]")
    }
    @Test func `a stop finishes the request under way, answers it, and takes no other`() throws {
        for signal in [SIGTERM, SIGINT] {
            let session = try FaultySession()
            #expect(try session.write("m v=1 \(start)").status == 204)
            let received = #"apus_received_bytes_total{listener="http"}"#
            let before = try session.metric(received)
            session.faults.begin(.syncsWait)
            let waiting = try LoopbackConnection(port: session.server.httpPort)
            let body = "m v=2 \(start + 1)"
            try waiting.send(
                "POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            )
            // The body is there whole; its sync is not back.
            #expect(
                try eventually { try session.metric(received) == before + body.utf8.count })
            session.server.send(signal)
            #expect(session.server.endsListening())
            #expect(!waiting.hasAnswer(withinMilliseconds: 100))
            session.faults.end(.syncsWait)
            let answer = try waiting.answer()
            #expect(answer.status == 204)
            #expect(try waiting.isClosedByServer())
            #expect(session.server.wait() == 0)
            try session.restart()
            #expect(try session.values() == "[[1.0],[2.0]]")
        }
    }

    @Test func `background_idle is 0 while a flush or a merge waits, and 1 when nothing does`()
        throws
    {
        let session = try FaultySession()
        func isIdle() throws -> Bool { try session.metric("apus_background_idle") == 1 }
        for (round, statement) in ["FLUSH", "FLUSH", "COMPACT"].enumerated() {
            if statement == "FLUSH" {
                #expect(try session.write("m v=\(round) \(start + round)").status == 204)
            }
            #expect(try eventually(isIdle), "before \(statement)")
            session.faults.begin(.syncsWait)
            let asking = try LoopbackConnection(port: session.server.httpPort)
            try asking.send(
                "POST /sql HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(statement.utf8.count)\r\n\r\n\(statement)"
            )
            #expect(try eventually { try !isIdle() }, "during \(statement)")
            #expect(!asking.hasAnswer(withinMilliseconds: 200), "\(statement)")
            #expect(try !isIdle(), "still during \(statement)")
            session.faults.end(.syncsWait)
            #expect(try asking.answer().status == 200)
            #expect(try eventually(isIdle), "after \(statement)")
        }
        #expect(try session.metric("apus_segments") == 1)
    }
}
