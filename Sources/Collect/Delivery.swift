// What to do after each attempt to send a sample: a state machine without I/O.
//
//     answer                            the sample        then
//     ────────────────────────────────  ────────────────  ─────────────────────────────
//     2xx                               is stored         the next one at once
//     400, 404, 413, other 4xx          is dropped        the next one at once: a resend
//                                                         would meet the same answer
//     401, 403                          is kept           back off: a person has to act
//     408, 429, 5xx                     is kept           back off, Retry-After as the least
//     no answer                         is kept           back off
//
// One line is logged when delivery starts to work, starts to fail, or fails for another reason;
// never one for each attempt.

package import ApusClient

/// Keeps the state of delivery and says what follows from an answer.
package struct Delivery: Sendable {
    package struct Step: Equatable, Sendable {
        /// Whether the sample is done with, stored or refused for good.
        package var isDone: Bool
        /// How long to wait before the next attempt.
        package var pauseMilliseconds: Int
        /// A line for standard error, if something changed.
        package var logLine: String?
    }

    private enum State: Equatable {
        case fresh, delivering
        case refusing(reason: String)
        case failing(reason: String, attemptCount: Int)
    }

    private static let firstPauseMilliseconds = 250
    private static let pauseMillisecondsMax = 10_000
    private static let retryAfterSecondsMax = 60.0

    private let targetText: String
    private var state = State.fresh

    package init(targetText: String) {
        self.targetText = targetText
    }

    package mutating func answered(_ answer: HTTPAnswer) -> Step {
        switch answer.status {
        case 200..<300:
            return delivered()
        case 401, 403, 408, 429, 500...599:
            let atLeast = min(Self.retryAfterSecondsMax, max(0, answer.retryAfterSeconds ?? 0))
            return failed(
                Self.reason(answer), pauseMillisecondsMin: Int((atLeast * 1000).rounded(.up)))
        default:
            return refused(Self.reason(answer))
        }
    }

    package mutating func unanswered(_ failure: ExchangeFailure) -> Step {
        failed(failure.description, pauseMillisecondsMin: 0)
    }

    private mutating func delivered() -> Step {
        var line: String?
        switch state {
        case .delivering: break
        case .fresh: line = "sending to \(targetText)"
        case .refusing: line = "\(targetText) accepts samples again"
        case .failing(_, let attemptCount):
            line = "\(targetText) accepts samples again after \(attemptCount) failed attempts"
        }
        state = .delivering
        return Step(isDone: true, pauseMilliseconds: 0, logLine: line)
    }

    private mutating func refused(_ reason: String) -> Step {
        let isNew = state != .refusing(reason: reason)
        state = .refusing(reason: reason)
        return Step(
            isDone: true, pauseMilliseconds: 0,
            logLine: isNew ? "\(targetText) refuses samples, they are dropped: \(reason)" : nil)
    }

    private mutating func failed(_ reason: String, pauseMillisecondsMin: Int) -> Step {
        var attemptCount = 1
        var isNew = true
        if case .failing(let earlier, let count) = state {
            attemptCount = count + 1
            isNew = earlier != reason
        }
        state = .failing(reason: reason, attemptCount: attemptCount)
        let doubled = Self.firstPauseMilliseconds << min(attemptCount - 1, 10)
        let pause = max(pauseMillisecondsMin, min(doubled, Self.pauseMillisecondsMax))
        return Step(
            isDone: false, pauseMilliseconds: pause,
            logLine: isNew ? "\(targetText) is not reached, samples are kept: \(reason)" : nil)
    }

    private static func reason(_ answer: HTTPAnswer) -> String {
        let firstLine = answer.body.split { $0.isNewline }.first ?? ""
        return firstLine.isEmpty
            ? "status \(answer.status)" : "status \(answer.status) \(firstLine.prefix(200))"
    }
}
