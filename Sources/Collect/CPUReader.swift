// The `cpu` measurement, from the lines `cpu` and `cpuN` of /proc/stat:
//
//     cpu0 1234 0 1260 122981 18 0 13 34 0 0
//          user nice system idle iowait irq softirq steal guest guest_nice     in clock ticks
//
// The kernel counts guest time inside user, and guest_nice inside nice; both are taken out again,
// so that the ten percentages of a row add up to 100.

/// What one processor, or all of them together, has spent since boot, in clock ticks.
package struct CPUTimes: Equatable, Sendable {
    /// `cpu0`, `cpu1`, … or `cpu-total`.
    package var name: String
    /// In the order of the drawing above; what an older kernel doesn't have is 0.
    package var ticks: [UInt64]
}

package enum CPUReader {
    package static let stateCount = 10
    private static let stateNames = [
        "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest",
        "guest_nice",
    ]

    package static func read(stat: String) -> [CPUTimes] {
        ProcText.lines(stat).compactMap { line in
            let words = ProcText.words(line)
            guard let label = words.first, label.hasPrefix("cpu") else { return nil }
            var ticks = Array(ProcText.counters(words, from: 1).prefix(stateCount))
            guard ticks.count >= 4 else { return nil }
            ticks.append(contentsOf: repeatElement(0, count: stateCount - ticks.count))
            return CPUTimes(name: label == "cpu" ? "cpu-total" : String(label), ticks: ticks)
        }
    }

    /// Percentages over the interval, for processors that both readings know.
    ///
    /// A processor whose clock did not move between the readings gives no row: nothing is known.
    package static func usage(from earlier: [CPUTimes], to later: [CPUTimes]) -> [Metric] {
        later.compactMap { now in
            guard let before = earlier.first(where: { $0.name == now.name }) else { return nil }
            var growth = zip(before.ticks, now.ticks).map { earlier, later in
                Double(counterGrowth(from: earlier, to: later))
            }
            // user holds guest, nice holds guest_nice. The kernel updates them one after the
            // other, so a reading in between can show a little more guest than user.
            growth[0] = max(0, growth[0] - growth[8])
            growth[1] = max(0, growth[1] - growth[9])
            let total = growth.reduce(0, +)
            guard total > 0 else { return nil }
            let fields = zip(stateNames, growth).map { name, ticks in
                Metric.Field("usage_\(name)", .float(100 * ticks / total))
            }
            return Metric("cpu", tags: [.init("cpu", now.name)], fields: fields)
        }
    }
}
