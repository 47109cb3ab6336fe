// Coded frames that wait for a second one.

internal import ApusKernels

/// Decodes coded frames two at a time, which takes less than one after the other. For one thread.
///
/// Safe: whoever hands it to a decoder keeps the payloads, the decoders of their symbol tables and the
/// memory for the numbers until `finish`.
package final class DeferredFrames {
    @exclusivity(unchecked) private var waiting: apus_symbols_job?
    @exclusivity(unchecked) private var hasFailed = false

    package init() {}

    /// Takes a frame, whose numbers will be there after `finish`. False if it isn't one to wait.
    func take(_ job: apus_symbols_job) -> Bool {
        guard job.fitsStack else { return false }
        guard var first = waiting else {
            waiting = job
            return true
        }
        waiting = nil
        var second = job
        if apus_decode_symbols_twice(&first, &second) == 0 { hasFailed = true }
        return true
    }

    /// Forgets what waits, as after an error elsewhere.
    func removeAll() {
        waiting = nil
        hasFailed = false
    }

    /// Decodes what waits.
    /// - Returns: Whether all frames since the last call were whole.
    func finish() -> Bool {
        if var last = waiting {
            waiting = nil
            if !last.run() { hasFailed = true }
        }
        defer { hasFailed = false }
        return !hasFailed
    }
}
