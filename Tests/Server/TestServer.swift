// A server inside the test's process, with options no flag sets, and SQL asked of it over loopback.

import ApusServer
import ApusTestKit
import Foundation
import Logging

/// A running server in a directory of its own. Stopped and removed when released.
final class TestServer {
    let port: Int
    private let server: Server
    private let directory: String

    init(_ change: (inout ServerOptions) throws -> Void = { _ in }) throws {
        directory =
            FileManager.default.temporaryDirectory
            .appendingPathComponent("apus-server-\(UUID().uuidString)").path
        var options = ServerOptions()
        options.dataDirectory = directory + "/data"
        options.http = ListenerAddress(host: "127.0.0.1", port: 0)
        options.lineTCP = nil
        options.lineUDP = nil
        options.eventLoopThreads = 1
        try change(&options)
        server = try Server(
            options, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        port = server.httpAddress?.split(separator: ":").last.flatMap { Int($0) } ?? 0
    }

    deinit {
        server.stop()
        try? FileManager.default.removeItem(atPath: directory)
    }

    func connect() throws -> LoopbackConnection { try LoopbackConnection(port: port) }
}

func percentEncoded(_ text: String) -> String {
    text.utf8.map { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            String(UnicodeScalar(byte))
        default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
    }.joined()
}

extension LoopbackConnection {
    /// A GET of `/sql` with the statement in `q`; `more` is what follows, like `&db=x`.
    func sql(
        _ statement: String, _ more: String = "", headers: [String: String] = [:]
    ) throws -> HTTPAnswer {
        try request("GET", "/sql?q=\(percentEncoded(statement))\(more)", headers: headers)
    }

    /// A POST with the statement as the body.
    func post(_ statement: String, _ parameters: String = "") throws -> HTTPAnswer {
        try request("POST", "/sql?\(parameters)", text: statement)
    }

    /// The rows of a JSON answer, as text.
    func rows(_ statement: String, _ more: String = "") throws -> String {
        try part(of: try sql(statement, more), from: #""rows":"#, to: #","row_count""#)
    }

    func part(of answer: HTTPAnswer, from start: String, to end: String) throws -> String {
        guard let first = answer.text.firstRange(of: start),
            let last = answer.text.firstRange(of: end)
        else { throw ClientFault("\(answer.status) \(answer.text.prefix(500))") }
        return String(answer.text[first.upperBound..<last.lowerBound])
    }
}
