// Acknowledged means durable: no 204 leaves the server before the sync that covers its record has
// returned. A library preloaded into the real binary writes down the order of its system calls.

import ApusTestKit
import Glibc
import Testing

/// What `recorder.c` wrote.
private struct Recording {
    struct Event {
        var order: Int
        var word: String
        var descriptor: Int
        var detail: String
    }

    var events: [Event]

    init(path: String) throws {
        guard let file = fopen(path, "r") else { throw ClientFault("no recording at \(path)") }
        defer { fclose(file) }
        var events: [Event] = []
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, 256, file) != nil {
            let end = line.firstIndex(of: 0) ?? 255
            let text = String(decoding: line[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let words = text.split { $0 == " " || $0 == "\n" }
            guard words.count == 4, let order = Int(words[0]), let descriptor = Int(words[2]) else {
                throw ClientFault("a line of the recording: \(text)")
            }
            events.append(
                Event(
                    order: order, word: String(words[1]), descriptor: descriptor,
                    detail: String(words[3])))
        }
        self.events = events.sorted { $0.order < $1.order }
    }

    /// Whether a sync that began after the marker was written to the log has returned.
    func covers(_ marker: String) -> Bool {
        guard let written = events.first(where: { $0.word == "wrote" && $0.detail == marker })
        else { return false }
        return events.contains {
            $0.word == "synced" && $0.descriptor == written.descriptor
                && Int($0.detail) ?? 0 > written.order
        }
    }

    /// Answers that were sent, and those of them that no sync covered in time.
    func check() -> (answers: Int, tooEarly: [String]) {
        var written: [String: (order: Int, descriptor: Int)] = [:]
        /// The marker of the request that a connection waits for.
        var asked: [Int: String] = [:]
        /// By descriptor, the latest beginning of a sync that has returned.
        var syncedSince: [Int: Int] = [:]
        var answers = 0
        var tooEarly: [String] = []
        for event in events {
            switch event.word {
            case "asked": asked[event.descriptor] = event.detail
            case "wrote":
                written[event.detail] = written[event.detail] ?? (event.order, event.descriptor)
            case "synced":
                syncedSince[event.descriptor] = max(
                    syncedSince[event.descriptor] ?? 0, Int(event.detail) ?? 0)
            case "answering":
                guard let marker = asked.removeValue(forKey: event.descriptor) else { continue }
                answers += 1
                guard let place = written[marker] else {
                    tooEarly.append("\(marker) was answered before it was written")
                    continue
                }
                if (syncedSince[place.descriptor] ?? 0) < place.order {
                    tooEarly.append(
                        "\(marker) was answered before a sync that began after its write returned")
                }
            default: break
            }
        }
        return (answers, tooEarly)
    }
}

private final class MarkerSender: Sendable {
    private let number: Int
    private let port: Int
    private let count: Int

    init(number: Int, port: Int, count: Int) {
        self.number = number
        self.port = port
        self.count = count
    }

    func run() {
        guard let client = try? LoopbackConnection(port: port) else { return }
        for index in 0..<count {
            let digits = String(number * 1_000_000 + index)
            let marker = "mark" + String(repeating: "0", count: 8 - digits.utf8.count) + digits
            let line = "ack,sender=\(number) m=\"\(marker)\" \(1_700_000_000_000_000_000 + index)"
            guard (try? client.request("POST", "/write", text: line))?.status == 204 else { return }
        }
    }
}

private func markerThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<MarkerSender>.fromOpaque(context).takeRetainedValue().run()
    return nil
}

@Suite(.serialized) struct AckOrderTests {
    private static let senders = 4
    private static let requests = 100

    private static func record(_ arguments: [String]) throws -> (answers: Int, tooEarly: [String]) {
        let directory = TemporaryDirectory()
        let recording = directory.path + "/recording"
        let library = try PreloadedLibrary("recorder")
        let server = try ServerProcess(
            data: directory.path + "/data", arguments: arguments,
            environment: library.environment.merging(["APUS_RECORDING": recording]) { $1 })
        let threads = (1...senders).map { number in
            let sender = MarkerSender(number: number, port: server.httpPort, count: requests)
            var thread = pthread_t()
            pthread_create(&thread, nil, markerThread, Unmanaged.passRetained(sender).toOpaque())
            return thread
        }
        for thread in threads { pthread_join(thread, nil) }
        _ = server.stop()
        return try Recording(path: recording).check()
    }

    /// Without a flag too: it is what holds by default.
    @Test(arguments: [[], ["--durability", "always"]])
    func `no 204 leaves before the sync that covers its record has returned`(
        _ arguments: [String]
    ) throws {
        let (answers, tooEarly) = try Self.record(arguments)
        #expect(answers == Self.senders * Self.requests)
        #expect(tooEarly.isEmpty, "\(tooEarly.prefix(5))")
    }

    /// Otherwise the test above might be blind.
    @Test func `the recorder sees answers that no sync covers where none is promised`() throws {
        let (answers, tooEarly) = try Self.record(["--durability", "none"])
        #expect(answers == Self.senders * Self.requests)
        #expect(!tooEarly.isEmpty)
    }
    /// A server whose log is written to while it runs; nothing closes it.
    private final class Syncs {
        let directory = TemporaryDirectory()
        let server: ServerProcess
        let client: LoopbackConnection
        private var count = 0

        init(durability: String) throws {
            let library = try PreloadedLibrary("recorder")
            server = try ServerProcess(
                data: directory.path + "/data", arguments: ["--durability", durability],
                environment: library.environment.merging([
                    "APUS_RECORDING": directory.path + "/recording"
                ]) { $1 })
            client = try LoopbackConnection(port: server.httpPort)
        }

        func write() throws -> String {
            count += 1
            let marker = "mark\(10_000_000 + count)"
            let answer = try client.request("POST", "/write", text: "m s=\"\(marker)\" \(count)")
            #expect(answer.status == 204)
            return marker
        }

        /// Nil while the last line of the recording is being written.
        func covers(_ marker: String) -> Bool? {
            (try? Recording(path: directory.path + "/recording"))?.covers(marker)
        }
    }

    @Test func `with an interval the log is synced by itself, again and again`() throws {
        let syncs = try Syncs(durability: "interval:50")
        for _ in 0..<3 {
            let marker = try syncs.write()
            var isCovered = false
            for _ in 0..<1_000 where !isCovered {
                isCovered = syncs.covers(marker) ?? false
                if !isCovered { usleep(10_000) }
            }
            #expect(isCovered, "ten seconds without a sync of an interval of 50 ms")
        }
    }

    @Test(arguments: ["none", "interval:3600000"])
    func `without an interval, or within it, the log is not synced`(_ durability: String) throws {
        let syncs = try Syncs(durability: durability)
        var markers: [String] = []
        for _ in 0..<20 {
            markers.append(try syncs.write())
            usleep(50_000)
        }
        let covered = markers.filter { syncs.covers($0) != false }
        #expect(covered.isEmpty, "\(covered)")
        #expect(syncs.server.stop() == 0)
        #expect(syncs.covers(markers[19]) == true, "the end syncs")
    }
}
