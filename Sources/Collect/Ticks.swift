// When samples are taken: at multiples of the interval since 1970, so that the times of all hosts
// fall together and the steps between them are all the same, which the database stores in no space.

import Glibc

package enum Ticks {
    /// The first multiple of the interval that lies after `now`; after a pause of the whole
    /// machine the missed ones are left out.
    package static func next(after now: Int64, intervalNanoseconds: Int64) -> Int64 {
        now - now % intervalNanoseconds + intervalNanoseconds
    }

    package static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// A time span as it is typed: `500ms`, `1s`, `2m`, `1h`.
package enum IntervalText {
    package static let nanosecondsMin: Int64 = 100_000_000
    package static let nanosecondsMax: Int64 = 3_600_000_000_000

    /// nil for anything else, and outside of 100ms … 1h.
    package static func nanoseconds(_ text: String) -> Int64? {
        let units: [(suffix: String, nanoseconds: Int64)] = [
            ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000),
            ("h", 3_600_000_000_000),
        ]
        for unit in units where text.hasSuffix(unit.suffix) {
            guard let count = Int64(text.dropLast(unit.suffix.count)), count > 0 else { return nil }
            let product = count.multipliedReportingOverflow(by: unit.nanoseconds)
            guard !product.overflow,
                (nanosecondsMin...nanosecondsMax).contains(product.partialValue)
            else { return nil }
            return product.partialValue
        }
        return nil
    }
}
