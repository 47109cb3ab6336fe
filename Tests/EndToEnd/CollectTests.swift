// `apus collect` into a real server, looked at through SQL.

import ApusTestKit
import Glibc
import Testing

@Suite(.serialized) struct Collecting {
    private static func count(_ text: String) -> Int { Int(text.filter(\.isNumber)) ?? 0 }

    @Test func `one sample goes into the database and under the tags that were given`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let client = try LoopbackConnection(port: server.httpPort)
        let result = try Binary.run([
            "collect", "--url", "http://127.0.0.1:\(server.httpPort)/some/path", "--db", "hosts",
            "--tag", "region=eu", "--tag", "host=this one", "--once",
        ])
        #expect(result.code == 0 && result.output == "", "\(result.errors)")
        for table in ["mem", "system"] {
            #expect(
                try client.rows("SELECT DISTINCT host, region FROM \(table)", "&db=hosts")
                    == #"[["this one","eu"]]"#, "\(table)")
            #expect(
                try client.rows("SELECT count(DISTINCT time) FROM \(table)", "&db=hosts")
                    == "[[1]]", "\(table)")
        }
        #expect(
            try client.rows(
                "SELECT count(*) FROM mem WHERE total > 0 AND used > 0 AND used < total",
                "&db=hosts") == "[[1]]")
        #expect(try client.sql("SELECT 1 FROM mem").status == 404, "nothing in default")
        #expect(server.stop() == 0)

        let nobody = try Binary.run([
            "collect", "--url", "http://127.0.0.1:\(try freePort())", "--once",
        ])
        #expect(nobody.code == 69 && nobody.errors.split(separator: "\n").count == 1)
    }

    @Test func `without flags it is this machine's server, every second, into default`() throws {
        let help = try Binary.run(["collect", "--help"]).output
        // In whatever lines the terminal's width makes of it.
        let words = help.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for text in ["http://127.0.0.1:8086", "1s", "default"] {
            #expect(words.contains("(default: \(text))"), "\(help)")
        }
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let url = "http://127.0.0.1:\(server.httpPort)"
        #expect(try Binary.run(["collect", "--url", url, "--once"]).code == 0)
        let client = try LoopbackConnection(port: server.httpPort)
        #expect(try client.rows("SHOW DATABASES") == #"[["default"]]"#)
        #expect(try client.rows("SELECT count(*) FROM mem") == "[[1]]")
    }

    @Test func `samples come at multiples of the interval until it is stopped`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let client = try LoopbackConnection(port: server.httpPort)
        let process = try Binary.spawn(
            [
                try Binary.path(), "collect", "--url", "http://127.0.0.1:\(server.httpPort)",
                "--interval", "200ms",
            ], output: STDERR_FILENO)
        defer { kill(process, SIGKILL) }
        let samples = "SELECT count(DISTINCT time) FROM mem"
        #expect(eventually { ((try? client.rows(samples)).map(Self.count) ?? 0) >= 5 })
        // Processors have growth, from the second sample on.
        #expect(
            eventually { ((try? client.rows("SELECT count(*) FROM cpu")).map(Self.count) ?? 0) > 0 }
        )
        kill(process, SIGTERM)
        #expect(Binary.wait(process) == 0)
        let every = try client.rows(
            "SELECT epoch_ns(time) % 200000000, count(*) FROM mem GROUP BY 1")
        #expect(every.hasPrefix("[[0,") && !every.contains("],["), "\(every)")
        // Each tick has one sample: no other interval would give so many.
        let span = try client.rows(
            "SELECT (epoch_ns(max(time)) - epoch_ns(min(time))) // 200000000, count(DISTINCT time) FROM mem"
        )
        let numbers = span.split { !$0.isNumber }.compactMap { Int($0) }
        #expect(numbers.count == 2 && numbers[1] >= 5 && numbers[1] > numbers[0] / 2, "\(span)")
        #expect(server.stop() == 0)
    }
}
