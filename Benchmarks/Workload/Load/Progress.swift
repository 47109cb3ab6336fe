// How far a load is, on a terminal only.

import Glibc
import Synchronization

final class Progress: Sendable {
    private let sentBytes = Atomic<Int>(0)
    private let totalBytes: Int
    private let isShown: Bool
    private let begin = monotonicSeconds()

    init(totalBytes: Int, isShown: Bool) {
        self.totalBytes = totalBytes
        self.isShown = isShown
    }

    func add(bytes: Int) { sentBytes.add(bytes, ordering: .relaxed) }

    func show() {
        guard isShown, totalBytes > 0 else { return }
        let sent = sentBytes.load(ordering: .relaxed)
        let percent = sent * 100 / totalBytes
        let rate = Int(Double(sent) / 1e6 / max(0.001, monotonicSeconds() - begin))
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
