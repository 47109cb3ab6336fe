// `apus backup` beside a running server under load, opened and compared.

import ApusTestKit
import Glibc
import Synchronization
import Testing

/// One connection that writes, or makes the server flush and merge, until told to stop.
private final class Pressure: Sendable {
    enum Kind: Sendable { case writes(sender: Int), flushes }

    let kind: Kind
    /// The last batch that was answered with 204.
    let acknowledged = Atomic<Int>(0)
    let isStopped = Atomic<Bool>(false)
    let failures = Atomic<Int>(0)
    /// What the first request that failed was answered.
    let firstFailure = Mutex("")
    private let port: Int
    static let linesPerBatch = 20

    init(_ kind: Kind, port: Int) {
        self.kind = kind
        self.port = port
    }

    func run() {
        // COMPACT waits for a merge of all there is, beside four writers.
        let connection = try? LoopbackConnection(port: port, timeoutSeconds: 300)
        guard let client = connection else { return }
        var step = 0
        while !isStopped.load(ordering: .acquiring) {
            step += 1
            let answer: HTTPAnswer?
            let isFine: Bool
            switch kind {
            case .writes(let sender):
                answer = try? client.request("POST", "/write", text: Self.batch(sender, step))
                isFine = answer?.status == 204
                if isFine { acknowledged.store(step, ordering: .releasing) }
            case .flushes:
                let statement = step % 3 == 0 ? "COMPACT" : "FLUSH"
                answer = try? client.request("POST", "/sql", text: statement)
                isFine = answer?.status == 200
            }
            if answer?.status == 503 {
                // Nothing of it was stored: on a busy machine flushes may lag behind.
                usleep(20_000)
                step -= 1
            } else if !isFine, failures.add(1, ordering: .relaxed).oldValue == 0 {
                firstFailure.withLock { $0 = "step \(step): \(answer?.text ?? "no answer")" }
            }
        }
    }

    /// New rows, and in each batch late ones, one written twice, one changed again long after,
    /// strings, booleans, and every so often another field that begins as an integer and is widened.
    static func batch(_ sender: Int, _ step: Int) -> String {
        var body = ""
        for index in 0..<linesPerBatch {
            let time = 1_700_000_000_000_000_000 + step * 1_000_000 + index
            body += "load,sender=\(sender) batch=\(step)i,line=\(index)i \(time)\n"
        }
        func late(_ step: Int) -> Int {
            1_700_000_000_000_000_000 - (step * 7_919 % 400) * 3_600_000_000_000
        }
        let number = step % 50 < 25 ? "\(step)i" : "\(step).5"
        let wide = "wide\(min(step / 50, 199))=\(number)"
        let others = "up=\(step % 2 == 0),text=\"s\(step % 9)\""
        body += "mixed,sender=\(sender) \(wide),\(others) \(late(step))\n"
        body += "mixed,sender=\(sender) \(wide) \(late(step))\n"
        body += "mixed,sender=\(sender) text=\"again \(step)\" \(late(step / 2))\n"
        return body
    }
}

private func pressureThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<Pressure>.fromOpaque(context).takeRetainedValue().run()
    return nil
}

/// A server that was sent the same batches one after the other and was never backed up.
private struct Reference {
    let server: ServerProcess
    private var steps = [Int](repeating: 0, count: 4)
    private static let stepsPerBody = 100

    init(data: String) throws { server = try ServerProcess(data: data) }

    /// Brings every sender up to its step.
    mutating func catchUp(to wanted: [Int]) throws {
        let client = try LoopbackConnection(port: server.httpPort)
        for sender in steps.indices {
            while steps[sender] < wanted[sender] {
                let end = min(wanted[sender], steps[sender] + Self.stepsPerBody)
                let body = (steps[sender] + 1...end).map { Pressure.batch(sender, $0) }.joined()
                #expect(try client.request("POST", "/write", text: body).status == 204)
                steps[sender] = end
            }
        }
    }
}

@Suite(.serialized) struct BackupTests {
    private static let statements = [
        "DESCRIBE mixed", "DESCRIBE load",
        "SELECT sender, count(*), min(time), max(time), sum(batch), sum(line) FROM load "
            + "GROUP BY sender ORDER BY sender",
        "SELECT * FROM mixed ORDER BY sender, time",
        "SELECT time, sender, batch, line FROM load ORDER BY time, sender LIMIT 500",
        "SELECT time, sender, batch, line FROM load ORDER BY time DESC, sender LIMIT 500",
        "SELECT sender, up, text, count(*), min(time), max(time) FROM mixed "
            + "GROUP BY sender, up, text ORDER BY sender, up, text",
    ]

    private static func answers(_ server: ServerProcess) throws -> [String] {
        let client = try LoopbackConnection(port: server.httpPort)
        return try statements.map { try client.rows($0) }
    }

    private static func counts(_ server: ServerProcess) throws -> [Int: Int] {
        let client = try LoopbackConnection(port: server.httpPort)
        var counts: [Int: Int] = [:]
        for sender in 0..<4 {
            let rows = try client.rows("SELECT count(*) FROM load WHERE sender = '\(sender)'")
            counts[sender] = Int(rows.filter(\.isNumber)) ?? 0
        }
        return counts
    }

    private static func start(_ all: [Pressure]) -> [pthread_t] {
        all.map { pressure in
            var thread = pthread_t()
            pthread_create(
                &thread, nil, pressureThread, Unmanaged.passRetained(pressure).toOpaque())
            return thread
        }
    }

    /// Every row that was acknowledged before a backup began, and in every answer the bytes of a
    /// store that was sent the same.
    @Test func `a backup under load answers as a store that was never backed up`() throws {
        let rounds = environmentNumber("APUS_BACKUP_ROUNDS", default: 3)
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        let server = try ServerProcess(data: data, arguments: ["--memory", "32MiB"])
        let writers = (0..<4).map { Pressure(.writes(sender: $0), port: server.httpPort) }
        let all = writers + [Pressure(.flushes, port: server.httpPort)]
        let threads = Self.start(all)
        defer {
            for pressure in all { pressure.isStopped.store(true, ordering: .releasing) }
            for thread in threads { pthread_join(thread, nil) }
        }
        while writers.contains(where: { $0.acknowledged.load(ordering: .acquiring) < 10 }) {
            usleep(10_000)
            guard all.allSatisfy({ $0.failures.load(ordering: .relaxed) < 100 }) else {
                throw ClientFault("the load fails")
            }
        }
        var reference = try Reference(data: directory.path + "/reference")
        for round in 1...max(1, rounds) {
            let before = writers.map { $0.acknowledged.load(ordering: .acquiring) }
            // Every other round brings the same backup up to date instead of making one.
            let name = round % 2 == 0 ? "kept" : "once"
            let path = directory.path + "/" + name
            let isOld = access(path, F_OK) == 0
            let arguments = isOld ? ["backup", data, "--to", path] : ["backup", data, path]
            let result = try Binary.run(arguments)
            #expect(result.code == 0, "round \(round): \(result.output) \(result.errors)")
            let check = try Binary.run(["check", path])
            #expect(check.code == 0, "round \(round): \(check.output) \(check.errors)")
            // Opening changes it, so what is opened is a copy of the copy.
            let copy = "\(directory.path)/opened"
            #expect(try Binary.run(["backup", path, copy]).code == 0)
            do {
                let restored = try ServerProcess(data: copy)
                let counts = try Self.counts(restored)
                for (sender, acknowledged) in before.enumerated() {
                    let rows = counts[sender] ?? 0
                    #expect(
                        rows % Pressure.linesPerBatch == 0
                            && rows >= acknowledged * Pressure.linesPerBatch,
                        "round \(round): \(rows) rows of sender \(sender), \(acknowledged) batches")
                }
                try reference.catchUp(
                    to: before.indices.map { (counts[$0] ?? 0) / Pressure.linesPerBatch })
                let expected = try Self.answers(reference.server)
                for (index, answer) in try Self.answers(restored).enumerated() {
                    #expect(
                        answer == expected[index], "round \(round): \(Self.statements[index])")
                }
                #expect(restored.stop() == 0)
            }
            _ = try Binary.spawn(["/bin/rm", "-rf", copy], output: 1).waited
            if name == "once" { _ = try Binary.spawn(["/bin/rm", "-rf", path], output: 1).waited }
        }
        for pressure in all {
            let reason = pressure.firstFailure.withLock { $0 }
            #expect(reason.isEmpty, "\(pressure.kind): \(reason)")
        }
    }

    @Test func `a backup of a server at rest answers byte for byte as the server does`() throws {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        let server = try ServerProcess(data: data)
        let client = try LoopbackConnection(port: server.httpPort)
        for step in 1...60 {
            for sender in 0..<4 {
                let text = Pressure.batch(sender, step)
                #expect(try client.request("POST", "/write", text: text).status == 204)
            }
            if step == 20 || step == 40 {
                #expect(try client.request("POST", "/sql", text: "FLUSH").status == 200)
            }
            if step == 41 {
                #expect(try client.request("POST", "/sql", text: "COMPACT").status == 200)
            }
        }
        let expected = try Self.answers(server)
        let path = directory.path + "/backup"
        #expect(try Binary.run(["backup", data, path]).code == 0)
        server.kill()
        let restored = try ServerProcess(data: path)
        #expect(try Self.answers(restored) == expected)
        #expect(expected.allSatisfy { $0.count > 50 })
    }

    @Test func `an update links what the backup has, and takes only what is new`() throws {
        let directory = TemporaryDirectory()
        let (data, path) = (directory.path + "/data", directory.path + "/backup")
        let server = try ServerProcess(data: data)
        let client = try LoopbackConnection(port: server.httpPort)
        func writeAndFlush(_ step: Int) throws {
            let text = "m,k=a v=\(step) \(1_700_000_000_000_000_000 + step)"
            #expect(try client.request("POST", "/write", text: text).status == 204)
            #expect(try client.request("POST", "/sql", text: "FLUSH").status == 200)
        }
        try writeAndFlush(1)
        let missing = try Binary.run(["backup", data, "--to", path])
        #expect(missing.code == 64 && missing.errors.contains("without --to"))
        #expect(try Binary.run(["backup", data, path]).code == 0)
        try writeAndFlush(2)
        let again = try Binary.run(["backup", data, path])
        #expect(again.code == 64 && again.errors.contains("--to"))
        let update = try Binary.run(["backup", data, "--to", path])
        #expect(update.code == 0, "\(update.errors)")
        #expect(update.output.contains("already there"), "\(update.output)")
        // A segment came, and no catalog file, since nothing new was defined.
        #expect(update.output.contains("1 linked"), "\(update.output)")
        // One whose bytes are its own, and damaged: what is the same comes from the store instead.
        let own = directory.path + "/own"
        #expect(try Binary.spawn(["/bin/cp", "-r", path, own], output: 1).waited == 0)
        let damage = try Binary.spawn(
            [
                "/bin/sh", "-c",
                "for f in \(own)/data/*/*/*.segment; do printf '\\377' "
                    + "| dd of=$f bs=1 seek=20 conv=notrunc 2>/dev/null; done",
            ], output: 1)
        #expect(damage.waited == 0)
        #expect(try Binary.run(["check", own]).code == 1)
        let mended = try Binary.run(["backup", data, "--to", own])
        #expect(mended.code == 0, "\(mended.errors)")
        #expect(try Binary.run(["check", own]).code == 0)
        let restored = try ServerProcess(data: path)
        #expect(
            try LoopbackConnection(port: restored.httpPort).rows("SELECT count(*) FROM m")
                == "[[2]]")
        #expect(restored.stop() == 0)
        let opened = try Binary.run(["backup", data, "--to", path])
        #expect(opened.code == 64 && opened.errors.contains("opened since"), "\(opened.errors)")
    }

    @Test func `what can't be backed up is refused in one line and leaves nothing`() throws {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        do { #expect(try ServerProcess(data: data).stop() == 0) }
        mkdir(directory.path + "/empty", 0o755)
        for (arguments, code) in [
            (["/nonexistent/apus", directory.path + "/b"], 74),
            ([directory.path + "/empty", directory.path + "/b"], 65),
            ([data, data], 64), ([data, data + "/b"], 64), ([data, directory.path], 64),
            ([data, directory.path + "/no/such/b"], 74), ([data], 64),
            ([data, directory.path + "/b", "--to", directory.path + "/b"], 64),
            ([data, "--to", directory.path + "/empty"], 65),
        ] as [([String], Int32)] {
            let result = try Binary.run(["backup"] + arguments)
            #expect(result.code == code, "\(arguments): \(result.code) \(result.errors)")
            #expect(!result.errors.isEmpty)
        }
        #expect(access(directory.path + "/b", F_OK) != 0)
        #expect(access(directory.path + "/.b.apus-backup", F_OK) != 0)
    }
}

extension pid_t {
    /// The exit code of this process, once it ended.
    fileprivate var waited: Int32 { Binary.wait(self) }
}
