// The collector as a whole: sleep until the next tick, sample, hand over.

package import ApusClient
import Glibc

/// What `apus collect` was told.
package struct CollectorOptions: Sendable {
    /// http://HOST:PORT with an optional path prefix.
    package var url = "http://127.0.0.1:8086"
    package var database = "default"
    package var token: String?
    package var intervalNanoseconds: Int64 = 1_000_000_000
    /// Added to every line; a `host` here replaces the machine's name.
    package var tags: [Metric.Tag] = []
    /// Samples kept while the server cannot be reached.
    package var backlogSampleCountMax = 60

    package init() {}
}

package struct Collector: ~Copyable {
    /// At the end, and with `once`: how long a slow server is waited for.
    private static let finishTimeoutMilliseconds = 2_000
    /// Between the two readings of `once`, if the interval isn't shorter.
    private static let onceIntervalNanosecondsMax: Int64 = 1_000_000_000

    private let options: CollectorOptions
    private let target: WriteTarget
    private let lineWriter: LineWriter
    private let log: @Sendable (String) -> Void
    private var sampler: HostSampler<LocalHostFiles>

    /// - Throws: `ServerAddressError` if the URL or the token cannot be used.
    package init(
        options: CollectorOptions, log: @escaping @Sendable (String) -> Void
    ) throws(ServerAddressError) {
        self.options = options
        self.log = log
        target = try WriteTarget(
            url: options.url, database: options.database, token: options.token)
        var tags = options.tags
        if !tags.contains(where: { $0.key == "host" }) {
            tags.append(.init("host", LocalHostFiles.hostName()))
        }
        lineWriter = LineWriter(commonTags: tags)
        sampler = HostSampler(files: LocalHostFiles(), pageBytes: LocalHostFiles.pageBytes())
    }

    /// Collects until SIGINT or SIGTERM. Blocks the calling thread.
    ///
    /// - Returns: False if the sending thread could not be started.
    package mutating func run() -> Bool {
        let signals = StopSignals()
        let sender = Sender(
            target: target, targetText: options.url,
            sampleCountMax: options.backlogSampleCountMax, log: log)
        guard sender.start() else { return false }
        // The first reading of the counters; its rows would lack `cpu`.
        _ = sampler.sample()
        while true {
            let tick = Ticks.next(
                after: Ticks.now(), intervalNanoseconds: options.intervalNanoseconds)
            if signals.wait(nanoseconds: tick - Ticks.now()) { break }
            // The clock may have been set back meanwhile: the tick is then not reached yet.
            if Ticks.now() < tick { continue }
            sender.offer(sample(timestampNanoseconds: tick))
        }
        if !sender.finish(timeoutMilliseconds: Self.finishTimeoutMilliseconds) {
            log("stopped with samples that could not be sent")
        }
        return true
    }

    /// Takes one sample, with percentages over at most a second, and sends it.
    ///
    /// - Throws: `ExchangeFailure` if it was not stored.
    package mutating func once() throws(ExchangeFailure) {
        _ = sampler.sample()
        let pause = min(options.intervalNanoseconds, Self.onceIntervalNanosecondsMax)
        usleep(UInt32(clamping: pause / 1000))
        let sample = sample(timestampNanoseconds: Ticks.now())
        var client = HTTPConnection(to: target.address, timeoutMilliseconds: 5_000)
        let answer = try client.send(target.requestHead, body: sample.body)
        guard (200..<300).contains(answer.status) else {
            throw ExchangeFailure(description: "status \(answer.status) \(answer.body.prefix(500))")
        }
    }

    private mutating func sample(timestampNanoseconds: Int64) -> Sample {
        let metrics = sampler.sample()
        return Sample(
            timestampNanoseconds: timestampNanoseconds,
            body: lineWriter.body(of: metrics, timestampNanoseconds: timestampNanoseconds))
    }
}
