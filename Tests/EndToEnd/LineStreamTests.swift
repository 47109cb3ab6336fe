// Lines over TCP and UDP: units, bad lines, cut lines, and databases that must not come to be.

import ApusTestKit
import Glibc
import Testing

@Suite(.serialized) struct `Line streams` {
    /// A sender of lines that a test can point at either listener.
    private struct Sender {
        let name: String
        let send: (String) throws -> Void
    }

    private func senders(_ server: ServerProcess) throws -> [Sender] {
        let stream = try LoopbackConnection(port: server.tcpPort)
        return [
            Sender(name: "tcp") { try stream.send($0) },
            Sender(name: "udp") { try sendDatagram($0, port: server.udpPort) },
        ]
    }

    private func metric(_ name: String, _ session: Session) throws -> Int? {
        let text = try session.client.request("GET", "/metrics").text
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line?.split(separator: " ").last.flatMap { Int($0) }
    }

    private func becomes(_ name: String, _ value: Int, _ session: Session) -> Bool {
        eventually { (try? metric(name, session)) == value }
    }

    private static let malformed = #"apus_lines_rejected_total{reason="malformed"}"#
    private static let limited = #"apus_lines_rejected_total{reason="limit"}"#

    /// Found in review: the stream was held back for the line's own bytes, and so never read again.
    @Test func `a line longer than what is gathered is stored, and what follows it`() throws {
        let session = try Session(["--line-tcp", "127.0.0.1:0?db=x"])
        let stream = try LoopbackConnection(port: session.server.tcpPort)
        let text = String(repeating: "long", count: 15_000)
        let fields = (0..<12).map { "f\($0)=\"\(text)\"" }.joined(separator: ",")
        for part in ["t \(fields) 1000000000\n", "t n=1 1000000001\n", "t n=2 1000000002\n"] {
            // In halves, so that the first is read by itself.
            try stream.send(String(part.prefix(part.utf8.count / 2)))
            usleep(100_000)
            try stream.send(String(part.dropFirst(part.utf8.count / 2)))
        }
        #expect(
            eventually { (try? session.client.rows("SELECT count(*) FROM t", "&db=x")) == "[[3]]" })
    }

    @Test func `a stream listener takes its database and unit from its address`() throws {
        let units: [(unit: String, time: String, stored: String)] = [
            ("ns", "1000000000001", #"[["1970-01-01T00:16:40.000000001Z"]]"#),
            ("us", "1000000001", #"[["1970-01-01T00:16:40.000001Z"]]"#),
            ("ms", "1000001", #"[["1970-01-01T00:16:40.001Z"]]"#),
            ("s", "1001", #"[["1970-01-01T00:16:41Z"]]"#),
            ("auto", "1700000000123", #"[["2023-11-14T22:13:20.123Z"]]"#),
        ]
        for (unit, time, stored) in units {
            let session = try Session([
                "--line-tcp", "127.0.0.1:0?db=x%2Fy&precision=\(unit)", "--line-udp",
                "127.0.0.1:0?precision=\(unit)&db=z",
            ])
            for sender in try senders(session.server) {
                try sender.send("\(sender.name) v=1 \(time)\n")
                let database = sender.name == "tcp" ? "x%2Fy" : "z"
                #expect(
                    eventually {
                        (try? session.client.rows(
                            "SELECT time FROM \(sender.name)", "&db=\(database)"))
                            == stored
                    }, "\(sender.name) \(unit)")
            }
            #expect(try session.client.rows("SHOW DATABASES") == #"[["x/y"],["z"]]"#)
        }
    }

    /// Written times, and the nanoseconds that their magnitude makes of them. Nil: their unit, the
    /// one below the threshold, takes them past what 64 bits hold.
    private static let magnitudes: [(written: Int64, nanoseconds: Int64?)] = [
        (100_000_000_000_000_000, 100_000_000_000_000_000), (99_999_999_999_999_999, nil),
        (9_000_000_000_000_000, 9_000_000_000_000_000_000),
        (100_000_000_000_000, 100_000_000_000_000_000), (99_999_999_999_999, nil),
        (9_000_000_000_000, 9_000_000_000_000_000_000),
        (100_000_000_000, 100_000_000_000_000_000), (99_999_999_999, nil),
        (9_000_000_000, 9_000_000_000_000_000_000), (1, 1_000_000_000), (0, 0),
    ]

    @Test func `the unit of a time is that of its magnitude, also before 1970`() throws {
        var lines: [String] = []
        var expected: [String] = []
        var refused = 0
        for sign in [Int64(1), -1] {
            for (written, nanoseconds) in Self.magnitudes {
                let key = "k\(lines.count + 100)"
                lines.append("m,k=\(key) v=1 \(sign * written)")
                if let nanoseconds {
                    expected.append(#"["\#(key)",\#(sign * nanoseconds)]"#)
                } else {
                    refused += 1
                }
            }
        }
        let rows = "[" + expected.joined(separator: ",") + "]"
        let statement = "SELECT k, time FROM m ORDER BY k"
        let body = lines.joined(separator: "\n") + "\n"
        let session = try Session([
            "--accept-future", "0", "--line-tcp", "127.0.0.1:0?db=tcp", "--line-udp",
            "127.0.0.1:0?db=udp",
        ])
        for sender in try senders(session.server) {
            try sender.send(body)
            #expect(
                eventually {
                    (try? session.client.rows(statement, "&epoch=ns&db=\(sender.name)")) == rows
                }, "\(sender.name)")
        }
        #expect(becomes(Self.malformed, 2 * refused, session))
        for unit in ["auto", ""] {
            let target = "/api/v3/write_lp?db=http\(unit)&precision=\(unit)"
            let answer = try session.write(body, target)
            #expect(
                answer.status == 400 && answer.text.contains("dropped=\(refused)"), "\(answer.text)"
            )
            #expect(try session.client.rows(statement, "&epoch=ns&db=http\(unit)") == rows)
        }
    }

    @Test func `a bad line is counted and the stream goes on, a cut line is discarded`() throws {
        let session = try Session()
        let connections = #"apus_connections{listener="line-tcp"}"#
        let discarded = "apus_line_tail_bytes_discarded_total"
        do {
            let stream = try LoopbackConnection(port: session.server.tcpPort)
            try stream.send("no fields\n")
            #expect(becomes(Self.malformed, 1, session))
            try stream.send("m v=1 1\n\u{1}\nm v=x\n")
            #expect(becomes(Self.malformed, 3, session))
            #expect(try session.client.rows("SELECT v FROM m") == "[[1.0]]")
            try stream.send("m v=2 2\nm v=3")
            #expect(eventually { (try? session.client.rows("SELECT v FROM m")) == "[[1.0],[2.0]]" })
            #expect(try metric(connections, session) == 1)
            #expect(try metric(#"apus_connections_total{listener="line-tcp"}"#, session) == 1)
            #expect(try metric(discarded, session) == 0)
        }
        #expect(becomes(discarded, "m v=3".utf8.count, session))
        #expect(becomes(connections, 0, session))
        #expect(try session.client.rows("SELECT v FROM m") == "[[1.0],[2.0]]")
        // The end of a datagram ends its line, and a bad one harms no other.
        try sendDatagram("u v=1 1\nworse\nu v=2 2", port: session.server.udpPort)
        #expect(eventually { (try? session.client.rows("SELECT v FROM u")) == "[[1.0],[2.0]]" })
        #expect(try metric(Self.malformed, session) == 4)
        #expect(try metric(discarded, session) == "m v=3".utf8.count)
    }

    @Test func `with create-on-write off, streams create nothing and what they lose is counted`()
        throws
    {
        let session = try Session(["--create-on-write", "off"])
        var lost = 0
        let senders = try senders(session.server)
        for sender in senders {
            try sender.send("\(sender.name) v=1 1\n\(sender.name) v=1 2\n")
            lost += 2
            #expect(becomes(Self.limited, lost, session), "\(sender.name)")
        }
        #expect(try session.client.rows("SHOW DATABASES") == "[]")
        for statement in [
            "CREATE DATABASE \"default\"", "CREATE TABLE tcp (v DOUBLE)",
            "CREATE TABLE udp (v DOUBLE)",
        ] {
            let answer = try session.client.request("POST", "/sql", text: statement)
            #expect(answer.status == 200, "\(answer.text)")
        }
        for sender in senders {
            try sender.send("\(sender.name) v=1 1\nother v=1 1\n")
            lost += 1
            #expect(becomes(Self.limited, lost, session), "\(sender.name)")
            #expect(
                eventually {
                    (try? session.client.rows("SELECT v FROM \(sender.name)")) == "[[1.0]]"
                }, "\(sender.name)")
        }
        #expect(try session.client.rows("SHOW TABLES") == #"[["tcp"],["udp"]]"#)
        #expect(try session.client.rows("SHOW DATABASES") == #"[["default"]]"#)
    }
}
