// `apus-bench load`: replays a data set into a server as fast as it answers.

import ArgumentParser
import Foundation
import Glibc
import Histogram

struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Replays a data set over HTTP or TCP and says how fast the server took it.",
        discussion: """
            Each sender has one connection and every N-th body; over HTTP it waits for each answer \
            before it sends the next. The kernel sends the bodies from the page cache, so that the \
            client costs next to nothing. Over TCP nothing is answered: the clock stops when all is \
            sent.

            Examples:
              apus-bench load cpu.lp --url 'http://127.0.0.1:8086/write?db=bench' --pid 4711
              apus-bench load cpu.lp --tcp 127.0.0.1:8094 --pid 4711 --json result.json
            """)

    @Argument(help: "The data set, as `generate` wrote it.")
    var file: String

    @Option(help: "Where bodies are posted: http://HOST:PORT/PATH?QUERY.")
    var url: String?

    @Option(help: "Instead of HTTP: where lines are sent, HOST:PORT.")
    var tcp: String?

    @Option(help: "Senders.")
    var senders = 4

    @Option(help: "The server's process, for its CPU seconds and memory.")
    var pid: Int32?

    @Option(help: "Replay the set only up to this many bodies.")
    var bodies: Int?

    @Flag(help: "Send each body as gzip, compressed before the clock starts; one pass, over HTTP.")
    var gzip = false

    @Option(
        help: "Replay the set, each time behind the last in time, for at least so many seconds.")
    var secondsMin = 0.0

    @Option(help: "No more values a second than these, evenly over the bodies.")
    var valuesPerSecond: Double?

    @Option(
        help: "A Prometheus page whose apus_background_idle says when flushes and merges are done.")
    var idleMetrics: String?

    @Option(help: "The longest wait for the server's background work, in seconds.")
    var idleSecondsMax = 300.0

    @Option(help: "Where the result goes as JSON; standard output without it.")
    var json: String?

    func validate() throws {
        guard (url == nil) != (tcp == nil) else { throw ValidationError("give --url or --tcp") }
        guard (1...256).contains(senders) else { throw ValidationError("--senders: 1 to 256") }
        guard !gzip || url != nil && secondsMin == 0 else {
            throw ValidationError("--gzip goes with --url and without --seconds-min")
        }
    }

    func run() throws {
        let set = try DataSet(path: file)
        let target = try LoadTarget(url: url, tcp: tcp, isGzip: gzip)
        let bodyCount = min(bodies ?? set.bodyCount, set.bodyCount)
        let probe = pid.map { ProcessProbe(processID: $0) }
        let progress = Progress(
            totalBytes: Int(set.offset(ofBody: bodyCount)), secondsMin: secondsMin,
            isShown: isatty(STDERR_FILENO) == 1)
        let passes = Passes(set.description, secondsMin: secondsMin)

        let pass = set.part(bodies: bodyCount, passes: 1)
        let pace = valuesPerSecond.map {
            Double(pass.values) / Double(max(1, bodyCount)) * Double(senders) / $0
        }
        let runners = try (0..<senders).map { number in
            try Sender(
                target: target, set: set, bodies: stride(from: number, to: bodyCount, by: senders),
                passes: passes, progress: progress, secondsPerBody: pace ?? 0)
        }
        if gzip { for runner in runners { try runner.compressBodies() } }
        let before = probe?.cpuSeconds() ?? 0
        let clientBefore = ProcessProbe.ownCPUSeconds()
        let begin = monotonicSeconds()
        let threads = runners.map { runner in Thread { runner.run() } }
        for thread in threads { thread.start() }
        while !runners.allSatisfy(\.hasEnded) {
            probe?.sampleMemory()
            progress.show()
            usleep(20_000)
        }
        let seconds = monotonicSeconds() - begin
        progress.clear()
        let clientCPUSeconds = ProcessProbe.ownCPUSeconds() - clientBefore
        let atAnswer = (probe?.cpuSeconds() ?? 0) - before
        let tail = probe.map { waitUntilIdle($0) } ?? 0
        let withTail = (probe?.cpuSeconds() ?? 0) - before

        var latencies = Histogram<UInt64>(
            highestTrackableValue: 600_000_000, numberOfSignificantValueDigits: .three)
        for runner in runners {
            for latency in runner.latencies { latencies.record(latency.microseconds) }
        }
        let part = set.part(bodies: bodyCount, passes: passes.count)
        let result = LoadResult(
            file: (file as NSString).lastPathComponent, target: url ?? tcp ?? "",
            senders: senders, bodies: bodyCount * passes.count, passes: passes.count,
            lines: part.lines, values: part.values,
            bytes: part.bytes, seconds: seconds, rowsPerSecond: Double(part.lines) / seconds,
            valuesPerSecond: Double(part.values) / seconds,
            megabytesPerSecond: Double(part.bytes) / seconds / 1e6,
            serverCPUSeconds: atAnswer, serverCPUSecondsWithTail: withTail, tailSeconds: tail,
            clientCPUSecondsPerGigabyte: clientCPUSeconds / (Double(part.bytes) / 1e9),
            serverPeakRSSBytes: probe?.peakRSSBytes, serverPeakAnonymousBytes: probe?.peakAnonymous,
            acknowledgementMilliseconds: tcp == nil
                ? [
                    "p50": Double(latencies.valueAtPercentile(50)) / 1e3,
                    "p95": Double(latencies.valueAtPercentile(95)) / 1e3,
                    "p99": Double(latencies.valueAtPercentile(99)) / 1e3,
                    "max": Double(latencies.max) / 1e3,
                ] : nil,
            acknowledgementByMinute: tcp == nil ? Self.byMinute(runners, from: begin) : nil,
            retriedBodies: runners.reduce(0) { $0 + $1.retriedCount },
            refusedBodies: runners.reduce(0) { $0 + $1.refusedCount },
            failedBodies: runners.reduce(0) { $0 + $1.failedCount },
            firstError: runners.lazy.compactMap(\.firstError).first)
        try write(result)
        if result.failedBodies > 0 || result.refusedBodies > 0 { throw ExitCode(1) }
    }

    /// p50 and p99 in milliseconds, minute by minute.
    private static func byMinute(_ runners: [Sender], from begin: Double) -> [[Double]] {
        var minutes: [[UInt64]] = []
        for latency in runners.flatMap(\.latencies) {
            let minute = max(0, Int((latency.sentAt - begin) / 60))
            while minutes.count <= minute { minutes.append([]) }
            minutes[minute].append(latency.microseconds)
        }
        return minutes.filter { !$0.isEmpty }.map { unsorted in
            let sorted = unsorted.sorted()
            return [50, 99].map { Double(sorted[sorted.count * $0 / 100]) / 1e3 }
        }
    }

    private func write(_ result: LoadResult) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let data = try encoder.encode(result) + Data("\n".utf8)
        if let json {
            try data.write(to: URL(fileURLWithPath: json))
        } else {
            FileHandle.standardOutput.write(data)
        }
    }

    /// Waits until the server's background work is done: its own word where it gives one, and less
    /// than 3 % of a core over two seconds. Returns how long that took, the two seconds left out.
    private func waitUntilIdle(_ probe: ProcessProbe) -> Double {
        let begin = monotonicSeconds()
        while monotonicSeconds() - begin < idleSecondsMax {
            let mark = monotonicSeconds()
            let cpu = probe.cpuSeconds()
            usleep(2_000_000)
            probe.sampleMemory()
            let isQuiet = probe.cpuSeconds() - cpu < 0.03 * (monotonicSeconds() - mark)
            if isQuiet, saysIdle() { return mark - begin }
        }
        return idleSecondsMax
    }

    private func saysIdle() -> Bool {
        guard let idleMetrics else { return true }
        let page = LoadTarget.get(idleMetrics) ?? ""
        return page.split(separator: "\n").contains { $0.hasPrefix("apus_background_idle 1") }
    }
}

struct LoadResult: Codable {
    var file: String
    var target: String
    var senders: Int
    var bodies: Int
    var passes: Int
    var lines: Int
    var values: Int
    var bytes: Int
    var seconds: Double
    var rowsPerSecond: Double
    var valuesPerSecond: Double
    var megabytesPerSecond: Double
    /// From the first byte until the last answer.
    var serverCPUSeconds: Double
    /// From the first byte until flushes and merges are idle.
    var serverCPUSecondsWithTail: Double
    var tailSeconds: Double
    var clientCPUSecondsPerGigabyte: Double
    var serverPeakRSSBytes: Int?
    var serverPeakAnonymousBytes: Int?
    var acknowledgementMilliseconds: [String: Double]?
    var acknowledgementByMinute: [[Double]]?
    /// Answered with 503, and sent again.
    var retriedBodies: Int
    var refusedBodies: Int
    var failedBodies: Int
    var firstError: String?
}

func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
