internal import Glibc

/// What the engine takes from its surroundings, so that tests can run it on a clock and a thread
/// of their own.
package struct EngineEnvironment: Sendable {
    /// Nanoseconds since 1970 UTC.
    package var now: @Sendable () -> Int64
    /// Without threads everything runs on the caller's thread, one call at a time: commits log and
    /// apply inline, a head past its limit is flushed inline, merges happen only when asked for.
    package var usesThreads: Bool
    /// The most bytes that a record of the log may hold.
    package var logRecordBytesMax: Int

    package init(
        now: @escaping @Sendable () -> Int64, usesThreads: Bool,
        logRecordBytesMax: Int = LogRecord.payloadBytesMax
    ) {
        self.now = now
        self.usesThreads = usesThreads
        self.logRecordBytesMax = logRecordBytesMax
    }

    package static let system = EngineEnvironment(now: systemNanoseconds, usesThreads: true)
}

@Sendable private func systemNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}

/// Nanoseconds of a clock that never jumps, for durations.
package func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}
