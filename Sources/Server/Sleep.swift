internal import Glibc

/// Blocks the calling thread. Not for event loops.
func sleepMilliseconds(_ milliseconds: Int) {
    usleep(UInt32(clamping: milliseconds * 1_000))
}
