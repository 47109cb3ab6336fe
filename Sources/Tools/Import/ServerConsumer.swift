// Bodies to a running server: one connection a thread, each body sent until it is answered.
//
//     204, 200              stored
//     400 with lines        the good lines stored, the bad ones named
//     413                   in halves, down to one line
//     429, 503              once more, when the answer says
//     5xx, broken           once more, since resending is harmless
//     401, 403, 404, …      the end

internal import ApusClient
internal import ApusIngest
internal import ApusStorage

/// One thread's part. Lives on that thread.
struct ServerConsumer: ~Copyable {
    private static let waitMilliseconds: Int32 = 120_000
    private static let retrySecondsMax = 10.0
    private static let failureRetrySeconds = 0.5

    /// Before a body is sent again.
    private struct Wait {
        var seconds: Double
        var reason: String
    }

    private let address: ServerAddress
    private let queue: BodyQueue
    private let tally: ImportTally
    private let requestHead: String
    private var connection: HTTPConnection

    init(
        _ address: ServerAddress, _ reading: LineReading, _ queue: BodyQueue, _ tally: ImportTally
    ) {
        self.address = address
        self.queue = queue
        self.tally = tally
        let missing = reading.missingTimeNanoseconds.map { String($0) } ?? "refuse"
        requestHead = address.requestHead(
            method: "POST",
            path: "/api/v3/write_lp?db=\(ServerAddress.percentEncoded(reading.database))"
                + "&precision=\(reading.precision.v3Text ?? "ns")&missing_time=\(missing)",
            contentType: "text/plain; charset=utf-8")
        connection = HTTPConnection(to: address, timeoutMilliseconds: Self.waitMilliseconds)
    }

    /// Takes bodies until there are none left or the run is aborted.
    mutating func run() {
        do throws(TransferFailure) {
            while let body = queue.take() { try deliver(body) }
        } catch {
            tally.fail(error)
            queue.abort()
        }
    }

    /// Until it is answered once and for all, or the run stops.
    private mutating func deliver(_ body: LineBody) throws(TransferFailure) {
        let begun = monotonicNanoseconds()
        while !tally.isStopping {
            let wait: Wait
            switch attempt(body) {
            case .success(let answer):
                guard let told = try settle(answer, body) else { return }
                wait = told
            case .failure(let failure):
                wait = Wait(seconds: Self.failureRetrySeconds, reason: failure.description)
                // Nobody was ever there: most likely a wrong address.
                if !failure.isConnected, tally.counts.lines == 0 {
                    throw address.unavailable(wait.reason)
                }
            }
            guard Patience.lasts(since: begun, tally) else {
                throw address.unavailable(
                    "nothing was taken for \(Patience.seconds) seconds: \(wait.reason)")
            }
            pauseUnlessStopping(seconds: wait.seconds)
        }
    }

    private mutating func attempt(_ body: LineBody) -> Result<HTTPAnswer, ExchangeFailure> {
        do throws(ExchangeFailure) {
            return .success(try connection.send(requestHead, body: body.bytes))
        } catch {
            return .failure(error)
        }
    }

    /// Nil if the body is done with.
    private mutating func settle(
        _ answer: HTTPAnswer, _ body: LineBody
    ) throws(TransferFailure) -> Wait? {
        switch answer.status {
        case 200...299:
            tally.add(
                body, rows: answer.rows, values: answer.values, rejected: 0, rejections: [])
        case 400 where count(answer, body): break
        case 413:
            guard let (first, second) = body.halves() else { throw refusal(answer, body) }
            try deliver(first)
            try deliver(second)
        case 429, 500...599:
            return Wait(
                seconds: answer.retryAfterSeconds ?? Self.failureRetrySeconds,
                reason: WriteRefusal.message(answer.body))
        default: throw refusal(answer, body)
        }
        return nil
    }

    /// Counts a partial write; false if the answer is another refusal.
    private func count(_ answer: HTTPAnswer, _ body: LineBody) -> Bool {
        guard let refusal = WriteRefusal(answer.body) else { return false }
        let rejections = refusal.lines.map { line in
            RejectedLine(
                inputIndex: body.inputIndex, line: body.inputLine(ofParsedLine: line.number),
                column: line.column, reason: line.reason)
        }
        tally.add(
            body, rows: answer.rows, values: answer.values, rejected: refusal.droppedCount,
            rejections: rejections)
        return true
    }

    private func pauseUnlessStopping(seconds: Double) {
        var milliseconds = Int(min(max(seconds, 0.05), Self.retrySecondsMax) * 1_000)
        while milliseconds > 0, !tally.isStopping {
            pause(milliseconds: min(100, milliseconds))
            milliseconds -= 100
        }
    }

    private func refusal(_ answer: HTTPAnswer, _ body: LineBody) -> TransferFailure {
        let reason = WriteRefusal.message(answer.body)
        return answer.status == 413
            ? address.unavailable("line \(body.firstLine) is too large for it: \(reason)")
            : address.refusal(status: answer.status, message: reason)
    }
}

/// The body of a refused write: `{"error":"partial write: … dropped=3","data":[{…}]}`.
struct WriteRefusal {
    struct Line: Equatable {
        var number: Int
        var column: Int
        var reason: String
    }

    var lines: [Line]
    var droppedCount: Int

    /// Nil if the body names no lines.
    init?(_ body: String) {
        guard let answer = JSONValue(body), let message = answer["error"]?.string,
            let data = answer["data"], !data.elements.isEmpty
        else { return nil }
        lines = data.elements.compactMap { element in
            guard let number = element["line_number"]?.integer else { return nil }
            return Line(
                number: number, column: element["column"]?.integer ?? 0,
                reason: element["error_message"]?.string ?? "")
        }
        let count = message.ranges(of: "dropped=").last.flatMap { range in
            Int(message[range.upperBound...].prefix { $0.isASCII && $0.isNumber })
        }
        droppedCount = max(count ?? 0, lines.count)
    }

    /// What a body says in its family's way, or its start.
    static func message(_ body: String) -> String {
        let answer = JSONValue(body)
        let text =
            answer?["error"]?.string ?? answer?["error"]?["message"]?.string
            ?? answer?["message"]?.string ?? String(body.prefix(200))
        return text.isEmpty ? "no reason given" : text
    }
}

extension HTTPAnswer {
    /// What the server counted; absent from the answers of servers that don't.
    fileprivate var rows: Int? { self["x-apus-rows"].flatMap { Int($0) } }
    fileprivate var values: Int? { self["x-apus-values"].flatMap { Int($0) } }
}
