// One sender: a connection, its bodies, and how long each answer took.

import Foundation
import Glibc
import Synchronization

/// Where bodies go, parsed once.
struct LoadTarget: Sendable {
    let host: String
    let port: UInt16
    /// The head of a request without its length; nil sends plain lines.
    let requestStart: String?

    init(url: String?, tcp: String?, isGzip: Bool = false) throws {
        let text = url ?? tcp.map { "tcp://\($0)" } ?? ""
        guard let parts = URLComponents(string: text), let host = parts.host,
            let port = parts.port, let number = UInt16(exactly: port)
        else { throw GenerateError(description: "\(text) is not an address with a port") }
        self.host = host
        self.port = number
        guard url != nil else {
            requestStart = nil
            return
        }
        let query = parts.percentEncodedQuery.map { "?\($0)" } ?? ""
        let path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
        let encoding = isGzip ? "Content-Encoding: gzip\r\n" : ""
        requestStart =
            "POST \(path)\(query) HTTP/1.1\r\nHost: \(host):\(port)\r\n\(encoding)Content-Length: "
    }

    func connect() -> Int32? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0, let list else { return nil }
        defer { freeaddrinfo(list) }
        let descriptor = socket(list.pointee.ai_family, list.pointee.ai_socktype, 0)
        guard descriptor >= 0 else { return nil }
        guard Glibc.connect(descriptor, list.pointee.ai_addr, list.pointee.ai_addrlen) == 0 else {
            close(descriptor)
            return nil
        }
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
        return descriptor
    }
}

extension LoadTarget {
    /// The whole answer to a GET, head and all; nil if there is none.
    static func get(_ url: String) -> String? {
        guard let target = try? LoadTarget(url: url, tcp: nil), let start = target.requestStart,
            let connection = target.connect()
        else { return nil }
        defer { close(connection) }
        let path = start.split(separator: " ").dropFirst().first ?? "/"
        let request = Array("GET \(path) HTTP/1.0\r\nHost: \(target.host)\r\n\r\n".utf8)
        guard send(connection, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            return nil
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(connection, &buffer, buffer.count, 0)
            if count <= 0 { break }
            answer += buffer[..<count]
        }
        return String(decoding: answer, as: UTF8.self)
    }
}

/// Belongs to one thread while it runs; read by others only after `hasEnded`.
final class Sender: @unchecked Sendable {
    private let target: LoadTarget
    private let set: DataSet
    private let bodies: StrideTo<Int>
    private let passes: Passes
    private let progress: Progress
    /// The pace; 0 for as fast as it goes.
    private let secondsPerBody: Double
    private var later = ShiftedBody()
    /// By body, where they are compressed.
    private var compressed: [Int: [UInt8]] = [:]
    private var connection: Int32
    private let ended = Atomic<Bool>(false)

    struct Latency {
        var sentAt: Double
        var microseconds: UInt64
    }

    private(set) var latencies: [Latency] = []
    /// Answers that said 503, after which the body was sent again.
    private(set) var retriedCount = 0
    /// Bodies answered with something else than 2xx.
    private(set) var refusedCount = 0
    /// Bodies that were not answered.
    private(set) var failedCount = 0
    private(set) var firstError: String?

    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    init(
        target: LoadTarget, set: DataSet, bodies: StrideTo<Int>, passes: Passes, progress: Progress,
        secondsPerBody: Double = 0
    ) throws {
        self.secondsPerBody = secondsPerBody
        self.target = target
        self.set = set
        self.bodies = bodies
        self.passes = passes
        self.progress = progress
        guard let connection = target.connect() else {
            throw GenerateError(description: "\(target.host):\(target.port): no connection")
        }
        self.connection = connection
    }

    /// Before the clock starts.
    func compressBodies() throws {
        for body in bodies {
            let start = set.offset(ofBody: body)
            let count = Int(set.offset(ofBody: body + 1) - start)
            var bytes = [UInt8](repeating: 0, count: count)
            try set.read(into: &bytes, count: count, at: start)
            compressed[body] = try GzipBody.compress(bytes)
        }
    }

    func run() {
        var pass = 0
        var due = monotonicSeconds()
        while passes.hasPass(pass) {
            let shift = passes.shift(ofPass: pass)
            for body in bodies {
                let range = set.offset(ofBody: body)..<set.offset(ofBody: body + 1)
                due += secondsPerBody
                let ahead = due - monotonicSeconds()
                if secondsPerBody > 0, ahead > 0 { usleep(useconds_t(ahead * 1e6)) }
                if target.requestStart == nil {
                    if !sendBody(range, shift) { fail("the connection broke") }
                } else {
                    post(range, shift, compressed[body])
                }
                progress.add(bytes: Int(range.upperBound - range.lowerBound))
            }
            pass += 1
        }
        close(connection)
        ended.store(true, ordering: .releasing)
    }

    /// Posts a body, again and again where the server says that it has no room now.
    private func post(_ range: Range<UInt64>, _ shift: Int64, _ compressed: [UInt8]?) {
        let begin = monotonicSeconds()
        var answer = send(range, shift, compressed)
        while let busy = answer, busy.status == 503 {
            retriedCount += 1
            usleep(useconds_t(busy.retryAfterSeconds * 1_000_000))
            answer = send(range, shift, compressed)
        }
        guard let answer else { return }
        latencies.append(
            Latency(sentAt: begin, microseconds: UInt64((monotonicSeconds() - begin) * 1e6)))
        if !(200..<300).contains(answer.status) {
            refusedCount += 1
            firstError = firstError ?? "\(answer.status) \(answer.text.prefix(300))"
        }
    }

    /// Nil if the connection broke, which is counted.
    private func send(_ range: Range<UInt64>, _ shift: Int64, _ compressed: [UInt8]?) -> Answer? {
        guard let start = target.requestStart else { return nil }
        let head = "\(start)\(compressed?.count ?? range.count)\r\n\r\n"
        var text = head
        let sent = text.withUTF8 { bytes in
            // Safe: the bytes are read by the call alone.
            Glibc.send(
                connection, bytes.baseAddress, bytes.count, Int32(MSG_MORE | MSG_NOSIGNAL))
        }
        guard sent == head.utf8.count,
            compressed.map({ sendAll($0[...]) }) ?? sendBody(range, shift),
            let answer = readAnswer()
        else {
            fail("the connection broke")
            close(connection)
            if let fresh = target.connect() { connection = fresh }
            return nil
        }
        return answer
    }

    private func fail(_ text: String) {
        failedCount += 1
        firstError = firstError ?? text
    }

    /// The first pass goes from the page cache into the connection, the others by way of a buffer.
    private func sendBody(_ range: Range<UInt64>, _ shift: Int64) -> Bool {
        guard shift != 0 else { return sendFile(range) }
        do {
            return sendAll(try later.read(range, of: set, shift: shift))
        } catch {
            firstError = firstError ?? "\(error)"
            return false
        }
    }

    private func sendAll(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var done = 0
            while done < bytes.count {
                // Safe: `done` is below the count of the bytes.
                let count = Glibc.send(
                    connection, bytes.baseAddress.map { $0 + done }, bytes.count - done,
                    Int32(MSG_NOSIGNAL))
                if count < 0, errno == EINTR { continue }
                if count <= 0 { return false }
                done += count
            }
            return true
        }
    }

    private func sendFile(_ range: Range<UInt64>) -> Bool {
        var offset = off_t(range.lowerBound)
        while offset < off_t(range.upperBound) {
            let count = sendfile(
                connection, set.descriptor, &offset, Int(off_t(range.upperBound) - offset))
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return false }
        }
        return true
    }

    private struct Answer {
        var status: Int
        var text: String
        var retryAfterSeconds = 1
    }

    /// One answer with a Content-Length, chunks, or no body.
    private func readAnswer() -> Answer? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(connection, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
            let text = String(decoding: bytes, as: UTF8.self)
            guard let end = text.range(of: "\r\n\r\n") else { continue }
            let head = text[..<end.lowerBound].lowercased()
            let body = text[end.upperBound...]
            guard let status = Int(head.split(separator: " ").dropFirst().first ?? "") else {
                return nil
            }
            if head.contains("transfer-encoding: chunked") {
                if body.hasSuffix("0\r\n\r\n") { return Answer(status: status, text: String(body)) }
            } else if body.utf8.count >= Self.number("content-length", in: head) ?? 0 {
                return Answer(
                    status: status, text: String(body),
                    retryAfterSeconds: min(60, max(1, Self.number("retry-after", in: head) ?? 1)))
            }
        }
    }

    /// Of a head in lower case.
    private static func number(_ name: String, in head: String) -> Int? {
        head.split(separator: "\r\n").first { $0.hasPrefix(name + ":") }
            .flatMap { Int($0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces)) }
    }
}
