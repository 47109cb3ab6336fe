// What happens to a sample after each kind of answer, and what is logged.

import ApusClient
import ApusCollect
import Testing

@Suite struct DeliveryTests {
    private func answer(
        _ status: Int, body: String = "", retryAfterSeconds: Double? = nil
    ) -> HTTPAnswer {
        HTTPAnswer(
            status: status,
            headers: retryAfterSeconds.map { [.init(name: "retry-after", value: "\($0)")] } ?? [],
            body: body, keepsConnection: true)
    }

    @Test func `one line is logged for a change of state and none for its repetition`() {
        var delivery = Delivery(targetText: "db")
        let failure = ExchangeFailure(description: "connect: refused")
        #expect(delivery.answered(answer(204)).logLine != nil)
        #expect(delivery.answered(answer(204)).logLine == nil)
        #expect(delivery.unanswered(failure).logLine?.contains("refused") == true)
        #expect(delivery.unanswered(failure).logLine == nil)
        #expect(delivery.answered(answer(503, body: "full")).logLine?.contains("503 full") == true)
        #expect(delivery.answered(answer(204)).logLine?.contains("3 failed attempts") == true)
    }

    @Test(arguments: [408, 401, 403, 429, 500, 503])
    func `a sample that may be accepted later is kept`(status: Int) {
        var delivery = Delivery(targetText: "db")
        let step = delivery.answered(answer(status))
        #expect(!step.isDone)
        #expect(step.pauseMilliseconds > 0)
    }

    @Test(arguments: [400, 404, 413, 422])
    func `a sample that would be refused again is dropped`(status: Int) {
        var delivery = Delivery(targetText: "db")
        let step = delivery.answered(answer(status, body: "partial write: a"))
        #expect(step.isDone)
        #expect(step.pauseMilliseconds == 0)
        #expect(step.logLine != nil)
    }

    @Test func `the pause doubles up to its bound and starts anew after a success`() {
        var delivery = Delivery(targetText: "db")
        let failure = ExchangeFailure(description: "x")
        var pauses: [Int] = []
        for _ in 0..<9 { pauses.append(delivery.unanswered(failure).pauseMilliseconds) }
        #expect(pauses == [250, 500, 1000, 2000, 4000, 8000, 10000, 10000, 10000])
        _ = delivery.answered(answer(204))
        #expect(delivery.unanswered(failure).pauseMilliseconds == 250)
    }

    @Test func `Retry-After is the least pause, within a bound`() {
        var delivery = Delivery(targetText: "db")
        #expect(delivery.answered(answer(503, retryAfterSeconds: 2.5)).pauseMilliseconds == 2500)
        #expect(delivery.answered(answer(503, retryAfterSeconds: 1e9)).pauseMilliseconds == 60_000)
        #expect(delivery.answered(answer(503, retryAfterSeconds: .nan)).pauseMilliseconds <= 60_000)
    }
}

@Suite struct BacklogTests {
    private func sample(_ time: Int64) -> Sample {
        Sample(timestampNanoseconds: time, body: [])
    }

    @Test func `a full backlog forgets the oldest and counts it`() {
        var backlog = Backlog(sampleCountMax: 3)
        for time in 1...5 { backlog.append(sample(Int64(time))) }
        #expect(backlog.samples.map(\.timestampNanoseconds) == [3, 4, 5])
        #expect(backlog.takeForgottenCount() == 2)
        #expect(backlog.takeForgottenCount() == 0)
    }

    @Test func `a sample forgotten while it was sent takes no other with it`() {
        var backlog = Backlog(sampleCountMax: 1)
        backlog.append(sample(1))
        backlog.append(sample(2))
        backlog.remove(sample(1))
        #expect(backlog.oldest == sample(2))
        backlog.remove(sample(2))
        #expect(backlog.oldest == nil)
    }
}

@Suite struct ResponseParserTests {
    private func parse(_ text: String) throws -> HTTPAnswer? {
        var parser = ResponseParser()
        var answer: HTTPAnswer?
        // One byte at a time: no state may depend on where the pieces are cut.
        for byte in text.utf8 where answer == nil { answer = try parser.feed([byte]) }
        return answer
    }

    @Test func `204 ends with its head`() throws {
        let answer = try #require(try parse("HTTP/1.1 204 No Content\r\n\r\n"))
        #expect(answer.status == 204)
        #expect(answer.keepsConnection)
    }

    @Test func `a body by length, with Retry-After and close`() throws {
        let answer = try #require(
            try parse(
                "HTTP/1.1 503 X\r\ncontent-LENGTH: 4\r\nRetry-After: 3\r\n"
                    + "Connection: close\r\n\r\nfull"))
        #expect(answer.body == "full")
        #expect(answer.retryAfterSeconds == 3)
        #expect(!answer.keepsConnection)
    }

    @Test func `a body in chunks is put together`() throws {
        let answer = try #require(
            try parse(
                "HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"))
        #expect(answer.body == "abcd")
    }

    @Test func `an interim answer is passed over`() throws {
        let answer = try #require(
            try parse("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"))
        #expect(answer.status == 204)
    }

    @Test func `a body without length lasts until the connection ends`() throws {
        var parser = ResponseParser()
        #expect(try parser.feed(ArraySlice("HTTP/1.1 500 X\r\n\r\nabc".utf8)) == nil)
        let answer = try #require(try parser.end())
        #expect(answer.body == "abc")
        #expect(!answer.keepsConnection)
    }

    @Test func `a cut answer is none`() throws {
        var parser = ResponseParser()
        let cut = ArraySlice("HTTP/1.1 400 X\r\nContent-Length: 9\r\n\r\nabc".utf8)
        #expect(try parser.feed(cut) == nil)
        #expect(try parser.end() == nil)
    }

    @Test(arguments: [
        "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 xx\r\n\r\n", "HTTP/1.1 99 X\r\n\r\n",
        "HTTP/1.1 200 X\r\nno colon\r\n\r\n", "HTTP/1.1 200 X\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 X\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n",
    ])
    func `what is no HTTP is an error, never a trap`(text: String) {
        #expect(throws: HTTPAnswerError.malformed) { try parse(text) }
    }
}
