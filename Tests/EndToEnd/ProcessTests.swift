// The server as a process: what it prints, how it ends with clients that don't, and its memory.

import ApusTestKit
import Glibc
import Testing

/// A client that has sent half a body and sends no more.
private final class HalfSent {
    private let connection: LoopbackConnection

    init(_ server: ServerProcess, database: String) throws {
        connection = try LoopbackConnection(port: server.httpPort)
        try connection.send(
            "POST /write?db=\(database) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nm v=1 1\nm v="
        )
        // Its bytes have arrived, else the stop might meet an idle connection.
        let client = try LoopbackConnection(port: server.httpPort)
        let hasArrived = try eventually {
            try client.request("GET", "/metrics").text.contains(
                #"apus_received_bytes_total{listener="http"} 12"# + "\n")
        }
        guard hasArrived else { throw ClientFault("the half body has not arrived") }
    }
}

@Suite(.serialized) struct Process {
    @Test func `a stuck client holds the stop up for ten seconds at most`() throws {
        let directory = TemporaryDirectory()
        do {
            let server = try ServerProcess(data: directory.path)
            let stuck = try HalfSent(server, database: "half")
            let lines = try LoopbackConnection(port: server.tcpPort)
            try lines.send("m v=1")
            let began = ContinuousClock.now
            #expect(server.stop() == 0)
            let elapsed = ContinuousClock.now - began
            #expect(elapsed < .seconds(15), "\(elapsed)")
            withExtendedLifetime((stuck, lines)) {}
        }
        let server = try ServerProcess(data: directory.path)
        let client = try LoopbackConnection(port: server.httpPort)
        #expect(try client.sql("SELECT 1 FROM m", "&db=half").status == 404)
        #expect(try client.sql("SELECT 1 FROM m").status == 404)
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func `a second signal does not wait for a stuck client`(_ signal: Int32) throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let stuck = try HalfSent(server, database: "half")
        server.send(SIGTERM)
        #expect(server.endsListening())
        // Left alone it would end with 0.
        #expect(server.stop(signal) == 128 + signal)
        withExtendedLifetime(stuck) {}
    }

    @Test func `the ready line is all that standard output ever gets`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(
            data: directory.path + "/data", arguments: ["--log-level", "trace"],
            environment: ["APUS_NO_SUCH_SETTING": "1"])
        #expect(
            server.readyLine
                == "apus ready http=127.0.0.1:\(server.httpPort) line-tcp=127.0.0.1:\(server.tcpPort) line-udp=127.0.0.1:\(server.udpPort) data=\(directory.path)/data"
        )
        let client = try LoopbackConnection(port: server.httpPort)
        for text in ["m v=1 1", "bad", "m v=\"text\" 2"] {
            _ = try client.request("POST", "/write", text: text)
        }
        // All three listeners are those it named.
        try LoopbackConnection(port: server.tcpPort).send("tcp v=1 1\n")
        try sendDatagram("udp v=1 1", port: server.udpPort)
        for table in ["tcp", "udp"] {
            #expect(
                eventually { (try? client.rows("SELECT count(*) FROM \(table)")) == "[[1]]" },
                "\(table)")
        }
        for statement in ["FLUSH", "SELECT nonsense", "SELECT v FROM m", "COMPACT"] {
            _ = try client.request("POST", "/sql", text: statement)
        }
        #expect(try client.request("GET", "/metrics").status == 200)
        server.send(SIGHUP)
        #expect(server.stop() == 0)
        #expect(server.remainingOutput() == "")
    }

    /// Letters without order.
    private static let letters: [UInt8] = {
        var random = SeededRandom(seed: 1)
        return (0..<10_000).map { _ in UInt8.random(in: 0x61...0x7A, using: &random) }
    }()

    /// Rows of one kilobyte, of which no two are the same.
    private static func body(_ number: Int, rows: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(rows * 1_100)
        for row in 0..<rows {
            let start = row * 7 % 9_000
            bytes += "load,n=\(row % 10) s=\"\(number) \(row) ".utf8
            bytes += letters[start..<start + 1_000]
            bytes += "\" \(1_700_000_000_000_000_000 + number * rows + row)\n".utf8
        }
        return bytes
    }

    private static func anonymousMemory(_ process: pid_t) -> Int {
        let status = TextFile.text("/proc/\(process)/status")
        let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
        let words = line?.split(whereSeparator: \.isWhitespace) ?? []
        return words.count > 1 ? (Int(words[1]) ?? 0) << 10 : 0
    }

    #if DEBUG
        // Unoptimized the server takes about a megabyte a second: enough to overfill its heads.
        private static let bodyCount = 16
    #else
        private static let bodyCount = 100
    #endif

    @Test func `memory that queries needed goes back to the system`() throws {
        let directory = TemporaryDirectory()
        let memory = 64 << 20
        let server = try ServerProcess(data: directory.path, arguments: ["--memory", "\(memory)"])
        let client = try LoopbackConnection(port: server.httpPort, timeoutSeconds: 120)
        // A chunk for each set of fields, and room in each for every field of the table.
        for field in 0..<200 {
            let lines = (0..<20).map { row in
                "wide,n=\(row % 4) f\(field)=\(row),k\(field % 3)=1i \(field * 1_000 + row + 1)"
            }
            let answer = try client.request("POST", "/write", text: lines.joined(separator: "\n"))
            #expect(answer.status == 204, "\(answer.text)")
        }
        for _ in 0..<24 {
            #expect(try client.sql("SELECT * FROM wide ORDER BY n, time").status == 200)
        }
        var anonymous = Self.anonymousMemory(server.processID)
        for _ in 0..<60 where anonymous > memory {
            usleep(500_000)
            anonymous = Self.anonymousMemory(server.processID)
        }
        #expect(anonymous <= memory, "\(anonymous >> 20) MiB")
        #expect(server.stop() == 0)
    }

    @Test func `a load of many times the memory stays within it, and a query over it is refused`()
        throws
    {
        let directory = TemporaryDirectory()
        let memory = 32 << 20
        let server = try ServerProcess(data: directory.path, arguments: ["--memory", "\(memory)"])
        let client = try LoopbackConnection(port: server.httpPort, timeoutSeconds: 120)
        let rows = 3_000
        func check(_ place: String) throws {
            let anonymous = Self.anonymousMemory(server.processID)
            #expect(anonymous > 0 && anonymous < 4 * memory, "\(anonymous >> 20) MiB \(place)")
            let page = try client.request("GET", "/metrics").text.split(separator: "\n")
            let heads = page.filter {
                $0.hasPrefix("apus_head_bytes ") || $0.hasPrefix("apus_frozen_head_bytes ")
            }.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
            // Refused beyond three quarters; the last batch before may make a buffer grow past it.
            #expect(heads.count == 2 && heads.reduce(0, +) <= memory, "\(heads) \(place)")
        }
        for number in 0..<Self.bodyCount {
            let body = Self.body(number, rows: rows)
            // Overload refuses whole bodies, and ends by itself.
            let isStored = try eventually {
                let status = try client.request("POST", "/write", body: body).status
                #expect(status == 204 || status == 503)
                return status == 204
            }
            #expect(isStored)
            try check("after \(number + 1) bodies of 3 MB")
        }
        let refused = try client.sql("SELECT s, count(*) FROM load GROUP BY s")
        #expect(refused.status == 503, "\(refused.text.prefix(200))")
        #expect(
            refused.text.hasPrefix(#"{"error":{"code":"budget""#), "\(refused.text.prefix(200))")
        try check("after a query")
        #expect(
            try client.rows("SELECT count(*) FROM load") == "[[\(Self.bodyCount * rows)]]")
        #expect(server.stop() == 0)
    }
}
