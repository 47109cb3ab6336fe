// Writes and deletes by turns, SIGKILL, restart: what was deleted stays away, and nothing else goes.

import ApusTestKit
import Glibc
import Synchronization
import Testing

/// Writes batches, and deletes all but the latest ones every few of them.
private final class DeletingSender: Sendable {
    static let linesPerBatch = 10
    /// The last batch that was answered, and the last one sent.
    let acknowledged = Atomic<Int>(0)
    let sent = Atomic<Int>(0)
    /// Batches below are deleted: for sure, and perhaps.
    let deleted = Atomic<Int>(0)
    let deleting = Atomic<Int>(0)
    private let port: Int
    private let first: Int

    init(port: Int, first: Int, deletedBelow: Int) {
        self.port = port
        self.first = first
        acknowledged.store(first, ordering: .relaxed)
        sent.store(first, ordering: .relaxed)
        deleted.store(deletedBelow, ordering: .relaxed)
        deleting.store(deletedBelow, ordering: .relaxed)
    }

    static func time(ofBatch batch: Int) -> Int { 1_700_000_000_000_000_000 + batch * 1_000 }

    func run() {
        guard let client = try? LoopbackConnection(port: port) else { return }
        var batch = first
        while true {
            batch += 1
            sent.store(batch, ordering: .releasing)
            let body = (0..<Self.linesPerBatch).map {
                "load,line=\($0) batch=\(batch)i \(Self.time(ofBatch: batch))\n"
            }.joined()
            guard let answer = try? client.request("POST", "/write", text: body),
                answer.status == 204
            else { return }
            acknowledged.store(batch, ordering: .releasing)
            guard batch % 7 == 0 else { continue }
            let bound = batch - 3
            deleting.store(bound, ordering: .releasing)
            let statement = "DELETE FROM load WHERE time < \(Self.time(ofBatch: bound))::timestamp"
            guard let answer = try? client.request("POST", "/sql", text: statement),
                answer.status == 200
            else { return }
            deleted.store(bound, ordering: .releasing)
        }
    }
}

private func deletingThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<DeletingSender>.fromOpaque(context).takeRetainedValue().run()
    return nil
}

@Suite(.serialized) struct DeleteDurability {
    @Test func `a kill between deletes brings nothing back and takes nothing more`() throws {
        let directory = TemporaryDirectory()
        var (next, deletedBelow) = (0, 0)
        var delay: UInt32 = 120_000
        for round in 1...environmentNumber("APUS_KILL_ROUNDS", default: 3) {
            let server = try ServerProcess(data: directory.path)
            let sender = DeletingSender(
                port: server.httpPort, first: next, deletedBelow: deletedBelow)
            var thread = pthread_t()
            pthread_create(
                &thread, nil, deletingThread, Unmanaged.passRetained(sender).toOpaque())
            usleep(delay)
            delay = 100_000 + (delay &* 48_271) % 400_000
            server.kill()
            pthread_join(thread, nil)

            let restarted = try ServerProcess(data: directory.path)
            let client = try LoopbackConnection(port: restarted.httpPort)
            let text = try client.rows(
                "SELECT batch, count(*) FROM load GROUP BY batch ORDER BY batch")
            let numbers = text.split { !$0.isNumber }.compactMap { Int($0) }
            let batches = stride(from: 0, to: numbers.count, by: 2).map { numbers[$0] }
            let counts = stride(from: 1, to: numbers.count, by: 2).map { numbers[$0] }
            #expect(counts.allSatisfy { $0 == DeletingSender.linesPerBatch }, "round \(round)")
            let lowest = max(1, sender.deleted.load(ordering: .acquiring))
            let highest = max(1, sender.deleting.load(ordering: .acquiring))
            // Without gaps, from where a delete ended, to what was answered at least.
            #expect(
                batches.first == lowest || batches.first == highest, "round \(round): \(batches)")
            #expect(zip(batches, batches.dropFirst()).allSatisfy { $0 + 1 == $1 }, "round \(round)")
            let last = batches.last ?? 0
            #expect(last >= sender.acknowledged.load(ordering: .acquiring), "round \(round)")
            #expect(last <= sender.sent.load(ordering: .acquiring), "round \(round)")
            (next, deletedBelow) = (last, batches.first ?? 0)
            #expect(restarted.stop() == 0)
        }
        #expect(next > 0)
    }
}
