// `apus-micro`: the cases of ApusBenchmarkCases under ordo-one/benchmark, whose tool starts it once
// a case. See Benchmarks/micro.py, which starts the tool.

internal import ApusBenchmarkCases
internal import Benchmark
internal import Foundation
internal import Glibc

@main
struct MicroCommand: BenchmarkRunnerHooks {
    /// The package's own CPU times come in ticks of ten milliseconds, longer than most passes.
    private static let processorTime = BenchmarkMetric.custom(
        "cpu-nanoseconds", polarity: .prefersSmaller, useScalingFactor: false)

    static func registerBenchmarks() {
        let configuration = Benchmark.Configuration(
            metrics: [.wallClock, .throughput, .instructions, processorTime],
            warmupIterations: 3, maxDuration: .milliseconds(300), maxIterations: 2_000)
        for item in MicroCase.all {
            let run = CaseRun(item)
            Benchmark(item.name, configuration: configuration) { benchmark in
                let prepared = try run.prepared()
                benchmark.startMeasurement()
                let start = processorNanoseconds()
                try prepared.run()
                let end = processorNanoseconds()
                benchmark.stopMeasurement()
                benchmark.measurement(processorTime, end - start)
            } teardown: {
                try run.finish()
            }
        }
    }

    /// Of all threads of this process.
    private static func processorNanoseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}

/// One case in this process: its input, made when it is first needed, and what is told of it.
private final class CaseRun {
    private let item: MicroCase
    private var input: PreparedCase?

    init(_ item: MicroCase) { self.item = item }

    func prepared() throws -> PreparedCase {
        if let input { return input }
        let made = try item.prepare(.full)
        input = made
        return made
    }

    /// Appends the hash and the counts to the file that the environment names: a metric of the
    /// package keeps three digits. Then lets go of the input and its files.
    func finish() throws {
        defer { input = nil }
        guard let input, let path = ProcessInfo.processInfo.environment["APUS_MICRO_OUTCOMES"]
        else { return }
        let line =
            "\(item.name) \(input.itemCount) \(input.byteCount) "
            + String(try input.resultHash(), radix: 16) + "\n"
        guard let file = fopen(path, "a") else { throw CocoaError(.fileWriteUnknown) }
        fputs(line, file)
        fclose(file)
    }
}
