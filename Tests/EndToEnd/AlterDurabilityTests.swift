// Writes and drops of a column by turns, SIGKILL, restart: dropped values stay away, no row goes, and what
// was written since is there.

import ApusTestKit
import Glibc
import Synchronization
import Testing

/// Writes batches, and drops the column that they write every few of them.
private final class DroppingSender: Sendable {
    static let linesPerBatch = 10
    /// The last batch that was answered, and the last one sent.
    let acknowledged = Atomic<Int>(0)
    let sent = Atomic<Int>(0)
    /// The last batch before a drop: one that was answered, and one that was sent.
    let dropped = Atomic<Int>(0)
    let dropping = Atomic<Int>(0)
    private let port: Int
    private let first: Int

    init(port: Int, first: Int, dropped last: Int) {
        self.port = port
        self.first = first
        acknowledged.store(first, ordering: .relaxed)
        sent.store(first, ordering: .relaxed)
        dropped.store(last, ordering: .relaxed)
        dropping.store(last, ordering: .relaxed)
    }

    func run() {
        guard let client = try? LoopbackConnection(port: port) else { return }
        var batch = first
        while true {
            batch += 1
            sent.store(batch, ordering: .releasing)
            let body = (0..<Self.linesPerBatch).map {
                "load,line=\($0) batch=\(batch)i \(1_700_000_000_000_000_000 + batch * 1_000)\n"
            }.joined()
            guard let answer = try? client.request("POST", "/write", text: body),
                answer.status == 204
            else { return }
            acknowledged.store(batch, ordering: .releasing)
            guard batch % 5 == 0 else { continue }
            dropping.store(batch, ordering: .releasing)
            guard
                let answer = try? client.request(
                    "POST", "/sql", text: "ALTER TABLE load DROP COLUMN batch"),
                answer.status == 200
            else { return }
            dropped.store(batch, ordering: .releasing)
        }
    }
}

private func droppingThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<DroppingSender>.fromOpaque(context).takeRetainedValue().run()
    return nil
}

@Suite(.serialized) struct AlterDurability {
    @Test func `a kill between drops of a column brings no value back and takes no more`() throws {
        let directory = TemporaryDirectory()
        var (next, dropped) = (0, 0)
        var delay: UInt32 = 120_000
        for round in 1...environmentNumber("APUS_KILL_ROUNDS", default: 3) {
            let server = try ServerProcess(data: directory.path)
            let sender = DroppingSender(port: server.httpPort, first: next, dropped: dropped)
            var thread = pthread_t()
            pthread_create(
                &thread, nil, droppingThread, Unmanaged.passRetained(sender).toOpaque())
            usleep(delay)
            delay = 100_000 + (delay &* 48_271) % 400_000
            server.kill()
            pthread_join(thread, nil)

            let restarted = try ServerProcess(data: directory.path)
            let client = try LoopbackConnection(port: restarted.httpPort)
            func numbers(_ sql: String) throws -> [Int] {
                try client.rows(sql).split { !$0.isNumber }.compactMap { Int($0) }
            }
            let rows = try numbers("SELECT count(*) FROM load")[0] / DroppingSender.linesPerBatch
            #expect(rows >= sender.acknowledged.load(ordering: .acquiring), "round \(round)")
            #expect(rows <= sender.sent.load(ordering: .acquiring), "round \(round)")
            // A row, so that there is a column to ask for.
            let line = "load,line=x batch=0i 1\n"
            #expect(try client.request("POST", "/write", text: line).status == 204)
            let batches = try numbers(
                "SELECT batch FROM load WHERE batch > 0 GROUP BY batch ORDER BY batch")
            let lowest = sender.dropped.load(ordering: .acquiring)
            let highest = sender.dropping.load(ordering: .acquiring)
            let found = batches.first ?? rows + 1
            #expect(found == lowest + 1 || found == highest + 1, "round \(round): \(batches)")
            #expect(batches == Array(found..<max(found, rows + 1)), "round \(round)")
            let drop = "DELETE FROM load WHERE line = 'x'"
            #expect(try client.request("POST", "/sql", text: drop).status == 200)
            (next, dropped) = (rows, found - 1)
            #expect(restarted.stop() == 0)
        }
        #expect(next > 0)
    }
}
