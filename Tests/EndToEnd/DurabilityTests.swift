// Load from four connections, SIGKILL, restart, compare; and reads of what was just written.

import ApusTestKit
import Glibc
import Synchronization
import Testing

/// One sender: batches of lines whose value says which batch they came from.
private final class Sender: Sendable {
    let number: Int
    /// The last batch that was answered with 204, and the last one sent.
    let acknowledged = Atomic<Int>(0)
    let sent = Atomic<Int>(0)
    private let port: Int
    private let first: Int
    static let linesPerBatch = 20

    init(number: Int, port: Int, first: Int) {
        self.number = number
        self.port = port
        self.first = first
        acknowledged.store(first, ordering: .relaxed)
        sent.store(first, ordering: .relaxed)
    }

    func run() {
        guard let client = try? LoopbackConnection(port: port) else { return }
        var batch = first
        while true {
            batch += 1
            sent.store(batch, ordering: .releasing)
            var body = ""
            for index in 0..<Self.linesPerBatch {
                let time = 1_700_000_000_000_000_000 + batch * 1_000 + index
                body += "load,sender=\(number) batch=\(batch)i,line=\(index)i \(time)\n"
            }
            guard let answer = try? client.request("POST", "/write", text: body),
                answer.status == 204
            else { return }
            acknowledged.store(batch, ordering: .releasing)
        }
    }
}

private func senderThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<Sender>.fromOpaque(context).takeRetainedValue().run()
    return nil
}

@Suite(.serialized) struct Durability {
    @Test func `a kill under load loses and duplicates nothing`() throws {
        let rounds = environmentNumber("APUS_KILL_ROUNDS", default: 3)
        let directory = TemporaryDirectory()
        var next = [Int](repeating: 0, count: 4)
        var generator = SplitMix(seed: 42)
        for round in 1...max(1, rounds) {
            let server = try ServerProcess(data: directory.path)
            try check(server, next, round)
            let senders = next.indices.map {
                Sender(number: $0, port: server.httpPort, first: next[$0])
            }
            let threads = senders.map { sender in
                var thread = pthread_t()
                pthread_create(
                    &thread, nil, senderThread, Unmanaged.passRetained(sender).toOpaque())
                return thread
            }
            usleep(UInt32(100_000 + generator.next() % 400_000))
            server.kill()
            for thread in threads { pthread_join(thread, nil) }
            let restarted = try ServerProcess(data: directory.path)
            for sender in senders {
                next[sender.number] = try stored(restarted, sender, round)
            }
            #expect(restarted.stop() == 0)
        }
        #expect(next.allSatisfy { $0 > 0 })
    }

    /// How many batches are there: all acknowledged, perhaps the one under way, whole.
    private func stored(_ server: ServerProcess, _ sender: Sender, _ round: Int) throws -> Int {
        let acknowledged = sender.acknowledged.load(ordering: .acquiring)
        let sent = sender.sent.load(ordering: .acquiring)
        let rows = try count(server, sender.number)
        #expect(
            rows % Sender.linesPerBatch == 0,
            "round \(round): half a batch of sender \(sender.number)")
        let batches = rows / Sender.linesPerBatch
        #expect(
            batches >= acknowledged,
            "round \(round): sender \(sender.number) lost \(acknowledged - batches)")
        #expect(batches <= sent, "round \(round): sender \(sender.number) has more than was sent")
        return batches
    }

    private func check(_ server: ServerProcess, _ next: [Int], _ round: Int) throws {
        for sender in next.indices where next[sender] > 0 {
            #expect(
                try count(server, sender) == next[sender] * Sender.linesPerBatch,
                "before round \(round)")
        }
    }

    private func count(_ server: ServerProcess, _ sender: Int) throws -> Int {
        let client = try LoopbackConnection(port: server.httpPort)
        let answer = try client.sql(
            "SELECT count(*), count(DISTINCT time) FROM load WHERE sender = '\(sender)'")
        if answer.status == 404 { return 0 }
        let rows = try client.rows(
            "SELECT count(*), count(DISTINCT time) FROM load WHERE sender = '\(sender)'")
        let numbers = rows.split { !$0.isNumber }.compactMap { Int($0) }
        guard numbers.count == 2 else { throw ClientFault("counts: \(rows)") }
        #expect(numbers[0] == numbers[1], "a row is there twice")
        return numbers[0]
    }

    @Test func `each read finds the row written just before`() throws {
        let rounds = environmentNumber("APUS_READ_ROUNDS", default: 500)
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let noise = Sender(number: 9, port: server.httpPort, first: 0)
        var thread = pthread_t()
        pthread_create(&thread, nil, senderThread, Unmanaged.passRetained(noise).toOpaque())
        let client = try LoopbackConnection(port: server.httpPort)
        var missed = 0
        for round in 1...rounds {
            let time = 1_700_000_000_000_000_000 + round
            let written = try client.request("POST", "/write", text: "mine,k=a v=\(round)i \(time)")
            #expect(written.status == 204)
            if try client.rows("SELECT v FROM mine WHERE k = 'a' ORDER BY time DESC LIMIT 1")
                != "[[\(round)]]"
            {
                missed += 1
            }
        }
        #expect(missed == 0)
        server.kill()
        pthread_join(thread, nil)
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func `a clean stop keeps everything`(_ signal: Int32) throws {
        let directory = TemporaryDirectory()
        do {
            let server = try ServerProcess(data: directory.path)
            let client = try LoopbackConnection(port: server.httpPort)
            #expect(
                try client.request("POST", "/write", text: "m,k=a v=1 1700000000000000000").status
                    == 204)
            #expect(server.stop(signal) == 0)
        }
        // Nothing is left that a crash would leave.
        let check = try Binary.run(["check", directory.path])
        #expect(check.code == 0 && !check.errors.contains("note:"), "\(check.errors)")
        let server = try ServerProcess(data: directory.path)
        #expect(try LoopbackConnection(port: server.httpPort).rows("SELECT v FROM m") == "[[1.0]]")
    }
}

/// A small seeded generator, so that a run can be repeated.
private struct SplitMix {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
