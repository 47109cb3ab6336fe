// An import and a server that is slow, full, gone for a moment, or says no.

import ApusClient
import ApusTestKit
import ApusTools
import Foundation
import Testing

private func stored(_ rows: Int) -> LoopbackServer.Reply {
    LoopbackServer.answer(204, "", "X-Apus-Rows: \(rows)", "X-Apus-Values: \(rows * 2)")
}

extension LoopbackServer {
    /// The heads and bodies so far.
    fileprivate var seen: [String] { requests.map { $0.head + $0.body } }
}

@Suite struct ServerImportTests {
    private let lines = (1...8).map { "m v=\($0) \($0)\n" }.joined()

    private func run(
        _ server: LoopbackServer, _ text: String? = nil, connections: Int = 1
    ) throws -> ImportReport {
        let address = try ServerAddress(url: server.url, token: nil, agent: "test")
        let file = TemporaryFile(Array((text ?? lines).utf8))
        var options = ImportOptions(
            inputs: [file.path], target: .server(address, connectionCount: connections))
        options.reading.database = "a b"
        return ImportRun.run(options, progress: nil)
    }

    @Test func `what the server counts is the report, and it is told how to read`() throws {
        let server = try LoopbackServer { _ in stored(8) }
        let report = try run(server)
        #expect(report.exitCode == 0)
        #expect((report.counts.lines, report.counts.rows, report.counts.values) == (8, 8, 16))
        #expect(
            server.seen[0].hasPrefix(
                "POST /api/v3/write_lp?db=a%20b&precision=ns&missing_time=refuse HTTP/1.1\r\n"))
        #expect(server.seen[0].hasSuffix("\r\n\r\n" + lines))
    }

    @Test func `a server that is full is waited for and gets the same lines again`() throws {
        let server = try LoopbackServer { request in
            switch request.number {
            case 1: LoopbackServer.answer(503, #"{"error":"full"}"#, "Retry-After: 0")
            case 2: LoopbackServer.answer(429, "", "Retry-After: 0")
            case 3: LoopbackServer.answer(500, "oops")
            default: stored(8)
            }
        }
        #expect(try run(server).exitCode == 0)
        #expect(server.seen.count == 4 && Set(server.seen).count == 1)
    }

    @Test func `a connection that breaks is made anew`() throws {
        let server = try LoopbackServer { request in
            request.number == 1 ? .none : stored(8)
        }
        #expect(try run(server).exitCode == 0)
        #expect(server.seen.count == 2)
    }

    @Test func `a body that is too large goes in halves, in order`() throws {
        let server = try LoopbackServer { request in
            let count = request.body.split(separator: "\n").count
            return count > 1
                ? LoopbackServer.answer(413, #"{"error":"too large","data":null}"#)
                : stored(count)
        }
        let report = try run(server)
        #expect(report.exitCode == 0 && report.counts.rows == 8 && report.counts.lines == 8)
        let bodies = server.seen.compactMap { $0.components(separatedBy: "\r\n\r\n").last }
        #expect(bodies.filter { $0.split(separator: "\n").count == 1 }.joined() == lines)
    }

    @Test func `rejected lines have their numbers, reasons and count`() throws {
        let body = """
            {"error":"partial write: line 2, column 5: bad; … dropped=3","data":[\
            {"original_line":"","line_number":2,"column":5,"error_message":"bad"},\
            {"original_line":"","line_number":7,"error_message":"worse"}]}
            """
        let server = try LoopbackServer { _ in
            LoopbackServer.answer(400, body, "X-Apus-Rows: 5", "X-Apus-Values: 5")
        }
        let report = try run(server)
        #expect(report.exitCode == 1 && report.counts.rejected == 3 && report.counts.rows == 5)
        #expect(
            report.counts.rejections.map { "\($0.line):\($0.column) \($0.reason)" }
                == ["2:5 bad", "7:0 worse"])
    }

    @Test(arguments: [400, 401, 403, 404, 413])
    func `a refusal ends the import with one clear line`(status: Int) throws {
        let server = try LoopbackServer { _ in
            LoopbackServer.answer(status, #"{"error":"no, because","data":null}"#)
        }
        let report = try run(server, "m v=1 1\n", connections: 3)
        let failure = try #require(report.failure)
        #expect(failure.exitCode == ExitCodes.unavailable)
        #expect(failure.description.contains("no, because"))
        #expect(server.seen.count == 1)
    }

    @Test func `counts that the server doesn't tell are not made up`() throws {
        let server = try LoopbackServer { _ in LoopbackServer.answer(204) }
        let report = try run(server)
        #expect(report.exitCode == 0 && !report.counts.countsAreKnown)
        #expect(ImportText.summary(report, inputs: [])[0].contains("not told by the server"))
    }
}
