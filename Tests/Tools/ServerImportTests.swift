// An import and a server that is slow, full, gone for a moment, or says no.

import ApusClient
import ApusTools
import Foundation
import Glibc
import Synchronization
import Testing

/// Answers each request as it is told; nil closes the connection without an answer.
private final class ScriptedServer: Sendable {
    typealias Reply = @Sendable (_ number: Int, _ body: String) -> String?

    private let listener: Int32
    let address: ServerAddress
    private let requests = Mutex<[String]>([])

    /// The heads and bodies so far.
    var seen: [String] { requests.withLock { $0 } }

    init(_ reply: @escaping Reply) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var nameBytes = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(listener, generic, nameBytes) == 0 && listen(listener, 16) == 0
                    && getsockname(listener, generic, &nameBytes) == 0
            }
        }
        try #require(isListening)
        let port = UInt16(bigEndian: name.sin_port)
        address = try ServerAddress(url: "http://127.0.0.1:\(port)", token: nil, agent: "test")
        Thread.detachNewThread { [weak self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                while let request = Self.request(connection) {
                    guard let self else { break }
                    let number = requests.withLock { requests in
                        requests.append(request.head + request.body)
                        return requests.count
                    }
                    guard let answer = reply(number, request.body) else { break }
                    let bytes = Array(answer.utf8)
                    _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
                }
                close(connection)
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private static func request(_ connection: Int32) -> (head: String, body: String)? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let text = String(decoding: bytes, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let head = String(text[..<end.upperBound])
                let length = head.range(of: "Content-Length: ").flatMap { range in
                    Int(head[range.upperBound...].prefix { $0.isNumber })
                }
                if text.utf8.count >= head.utf8.count + (length ?? 0) {
                    return (head, String(text[end.upperBound...]))
                }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
    }

    static func answer(_ status: Int, _ body: String = "", _ headers: String...) -> String {
        let lines = (headers + ["Content-Length: \(body.utf8.count)"]).map { $0 + "\r\n" }
        return "HTTP/1.1 \(status) X\r\n\(lines.joined())\r\n\(body)"
    }

    static func stored(_ rows: Int) -> String {
        answer(204, "", "X-Apus-Rows: \(rows)", "X-Apus-Values: \(rows * 2)")
    }
}

@Suite struct ServerImportTests {
    private let lines = (1...8).map { "m v=\($0) \($0)\n" }.joined()

    private func run(
        _ server: ScriptedServer, _ text: String? = nil, connections: Int = 1
    ) -> ImportReport {
        let file = TemporaryFile(Array((text ?? lines).utf8))
        var options = ImportOptions(
            inputs: [file.path], target: .server(server.address, connectionCount: connections))
        options.reading.database = "a b"
        return ImportRun.run(options, progress: nil)
    }

    @Test func `what the server counts is the report, and it is told how to read`() throws {
        let server = try ScriptedServer { _, _ in ScriptedServer.stored(8) }
        let report = run(server)
        #expect(report.exitCode == 0)
        #expect((report.counts.lines, report.counts.rows, report.counts.values) == (8, 8, 16))
        #expect(
            server.seen[0].hasPrefix(
                "POST /api/v3/write_lp?db=a%20b&precision=ns&missing_time=refuse HTTP/1.1\r\n"))
        #expect(server.seen[0].hasSuffix("\r\n\r\n" + lines))
    }

    @Test func `a server that is full is waited for and gets the same lines again`() throws {
        let server = try ScriptedServer { number, _ in
            switch number {
            case 1: ScriptedServer.answer(503, #"{"error":"full"}"#, "Retry-After: 0")
            case 2: ScriptedServer.answer(429, "", "Retry-After: 0")
            case 3: ScriptedServer.answer(500, "oops")
            default: ScriptedServer.stored(8)
            }
        }
        #expect(run(server).exitCode == 0)
        #expect(server.seen.count == 4 && Set(server.seen).count == 1)
    }

    @Test func `a connection that breaks is made anew`() throws {
        let server = try ScriptedServer { number, _ in
            number == 1 ? nil : ScriptedServer.stored(8)
        }
        #expect(run(server).exitCode == 0)
        #expect(server.seen.count == 2)
    }

    @Test func `a body that is too large goes in halves, in order`() throws {
        let server = try ScriptedServer { _, body in
            let count = body.split(separator: "\n").count
            return count > 1
                ? ScriptedServer.answer(413, #"{"error":"too large","data":null}"#)
                : ScriptedServer.stored(count)
        }
        let report = run(server)
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
        let server = try ScriptedServer { _, _ in
            ScriptedServer.answer(400, body, "X-Apus-Rows: 5", "X-Apus-Values: 5")
        }
        let report = run(server)
        #expect(report.exitCode == 1 && report.counts.rejected == 3 && report.counts.rows == 5)
        #expect(
            report.counts.rejections.map { "\($0.line):\($0.column) \($0.reason)" }
                == ["2:5 bad", "7:0 worse"])
    }

    @Test(arguments: [400, 401, 403, 404, 413])
    func `a refusal ends the import with one clear line`(status: Int) throws {
        let server = try ScriptedServer { _, _ in
            ScriptedServer.answer(status, #"{"error":"no, because","data":null}"#)
        }
        let report = run(server, "m v=1 1\n", connections: 3)
        let failure = try #require(report.failure)
        #expect(failure.exitCode == ExitCodes.unavailable)
        #expect(failure.description.contains("no, because"))
        #expect(server.seen.count == 1)
    }

    @Test func `counts that the server doesn't tell are not made up`() throws {
        let server = try ScriptedServer { _, _ in ScriptedServer.answer(204) }
        let report = run(server)
        #expect(report.exitCode == 0 && !report.counts.countsAreKnown)
        #expect(ImportText.summary(report, inputs: [])[0].contains("not told by the server"))
    }
}
