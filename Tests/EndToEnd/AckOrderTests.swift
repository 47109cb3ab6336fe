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

/// The server with the recorder in it.
private final class RecordedServer {
    private var processID: pid_t
    let httpPort: Int

    init(directory: String, library: String, recording: String, durability: String) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw ClientFault("pipe: \(errno)") }
        defer { close(ends[0]) }
        processID = try Binary.spawn(
            [
                "/usr/bin/env", "LD_PRELOAD=\(library)", "APUS_RECORDING=\(recording)",
                try Binary.path(),
                "serve", "--data", directory + "/data", "--http", "127.0.0.1:0", "--line-tcp",
                "off",
                "--line-udp", "off", "--log-level", "error", "--durability", durability,
            ], output: ends[1])
        close(ends[1])
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(ends[0], &byte, 1) == 1, byte != 0x0A { line.append(byte) }
        let ready = String(decoding: line, as: UTF8.self)
        let port = ready.split(separator: " ").first { $0.hasPrefix("http=") }?
            .split(separator: ":").last.flatMap { Int($0) }
        guard let port else { throw ClientFault("no ready line but '\(ready)'") }
        httpPort = port
    }

    deinit { stop() }

    func stop() {
        guard processID > 0 else { return }
        kill(processID, SIGTERM)
        _ = Binary.wait(processID)
        processID = 0
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

    /// Builds the recorder with whichever C compiler there is: Swift brings clang.
    private static func buildRecorder(_ directory: String) throws -> String {
        let source = String(#filePath.dropLast("AckOrderTests.swift".count)) + "recorder/recorder.c"
        let library = directory + "/recorder.so"
        for compiler in ["clang", "cc", "gcc"] {
            let process = try Binary.spawn(
                [
                    "/usr/bin/env", compiler, "-shared", "-fPIC", "-O1", "-o", library, source,
                    "-ldl",
                ],
                output: 2)
            if Binary.wait(process) == 0 { return library }
        }
        throw ClientFault("no C compiler that builds \(source)")
    }

    private static func record(durability: String) throws -> (answers: Int, tooEarly: [String]) {
        let directory = TemporaryDirectory()
        let library = try buildRecorder(directory.path)
        let recording = directory.path + "/recording"
        let server = try RecordedServer(
            directory: directory.path, library: library, recording: recording,
            durability: durability)
        let threads = (1...senders).map { number in
            let sender = MarkerSender(number: number, port: server.httpPort, count: requests)
            var thread = pthread_t()
            pthread_create(&thread, nil, markerThread, Unmanaged.passRetained(sender).toOpaque())
            return thread
        }
        for thread in threads { pthread_join(thread, nil) }
        server.stop()
        return try Recording(path: recording).check()
    }

    @Test func `no 204 leaves before the sync that covers its record has returned`() throws {
        let (answers, tooEarly) = try Self.record(durability: "always")
        #expect(answers == Self.senders * Self.requests)
        #expect(tooEarly.isEmpty, "\(tooEarly.prefix(5))")
    }

    /// Otherwise the test above might be blind.
    @Test func `the recorder sees answers that no sync covers where none is promised`() throws {
        let (answers, tooEarly) = try Self.record(durability: "none")
        #expect(answers == Self.senders * Self.requests)
        #expect(!tooEarly.isEmpty)
    }
}
