// A clock for durations.

internal import Glibc

/// Nanoseconds of a clock that never jumps.
package func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}

/// Sleeps for some time on the calling thread.
package func pause(milliseconds: Int) {
    usleep(UInt32(clamping: max(0, milliseconds) * 1_000))
}
