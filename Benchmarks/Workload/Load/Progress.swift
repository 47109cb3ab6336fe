// How far a load is, on a terminal only.

import Glibc
import Synchronization

final class Progress: Sendable {
    private let sentBytes = Atomic<Int>(0)
    /// Of one pass.
    private let totalBytes: Int
    private let secondsMin: Double
    private let isShown: Bool
    private let begin = monotonicSeconds()

    init(totalBytes: Int, secondsMin: Double, isShown: Bool) {
        self.totalBytes = totalBytes
        self.secondsMin = secondsMin
        self.isShown = isShown
    }

    func add(bytes: Int) { sentBytes.add(bytes, ordering: .relaxed) }

    func show() {
        guard isShown, totalBytes > 0 else { return }
        let sent = sentBytes.load(ordering: .relaxed)
        let seconds = monotonicSeconds() - begin
        // Done when the set was sent once, and not before the time is over.
        let share = min(1, Double(sent) / Double(totalBytes), seconds / max(0.001, secondsMin))
        let percent = Int(100 * share)
        let rate = Int(Double(sent) / 1e6 / max(0.001, seconds))
        let filled = percent * 30 / 100
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
        write("\r[\(bar)] \(percent) %  \(rate) MB/s ")
    }

    func clear() {
        if isShown { write("\r" + String(repeating: " ", count: 60) + "\r") }
    }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
    }
}
