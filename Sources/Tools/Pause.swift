// Waiting.

internal import Glibc

/// Sleeps for some time on the calling thread.
package func pause(milliseconds: Int) {
    usleep(UInt32(clamping: max(0, milliseconds) * 1_000))
}
