// The measurements `system`, `kernel` and `processes`, from the small files of /proc:
//
//     /proc/loadavg   0.09 0.06 0.01 1/89 5583         three loads, running/all threads, last id
//     /proc/uptime    1258.83 2439.90                  seconds since boot, seconds idle
//     /proc/stat      ctxt 179827                      one counter a line, besides the cpu lines
//     /proc/sys/kernel/random/entropy_avail   256
//
// Telegraf's `n_users` is left out, since new distributions no longer keep utmp. Of `processes`
// there is what costs nothing: counting by state would open a file for each process every second.

package enum SystemReader {
    package static func system(loadavg: String, uptime: String, processorCount: Int) -> Metric? {
        let loads = ProcText.words(loadavg[...]).prefix(3).compactMap { Double($0) }
        guard loads.count == 3 else { return nil }
        var fields: [Metric.Field] = [
            .init("load1", .float(loads[0])),
            .init("load5", .float(loads[1])),
            .init("load15", .float(loads[2])),
        ]
        if processorCount > 0 {
            fields.append(.init("n_cpus", .integer(Int64(processorCount))))
        }
        if let seconds = ProcText.words(uptime[...]).first.flatMap({ Double($0) }), seconds >= 0,
            seconds < 1e15
        {
            fields.append(.init("uptime", .integer(Int64(seconds))))
        }
        return Metric("system", fields: fields)
    }

    /// - Parameter entropy: May be empty.
    package static func kernel(stat: String, entropy: String) -> Metric? {
        var fields: [Metric.Field] = []
        for (name, kernelName) in [
            ("boot_time", "btime"), ("context_switches", "ctxt"), ("interrupts", "intr"),
            ("processes_forked", "processes"),
        ] {
            if let value = counter(named: kernelName, in: stat) {
                fields.append(.init(name, .counter(value)))
            }
        }
        if let available = ProcText.lines(entropy).first.flatMap({ UInt64($0) }) {
            fields.append(.init("entropy_avail", .counter(available)))
        }
        return fields.isEmpty ? nil : Metric("kernel", fields: fields)
    }

    package static func processes(stat: String, loadavg: String) -> Metric? {
        var fields: [Metric.Field] = []
        for (name, kernelName) in [("running", "procs_running"), ("blocked", "procs_blocked")] {
            if let value = counter(named: kernelName, in: stat) {
                fields.append(.init(name, .counter(value)))
            }
        }
        let words = ProcText.words(loadavg[...])
        if words.count >= 4,
            let threads = words[3].split(separator: "/").last.flatMap({ UInt64($0) })
        {
            fields.append(.init("total_threads", .counter(threads)))
        }
        return fields.isEmpty ? nil : Metric("processes", fields: fields)
    }

    /// The first number of the line that starts with the word `name`.
    static func counter(named name: String, in text: String) -> UInt64? {
        for line in ProcText.lines(text) where line.hasPrefix(name) {
            // Not split as a whole: the line `intr` has a word for each interrupt there is.
            let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
            if words.count >= 2, words[0] == name { return UInt64(words[1]) }
        }
        return nil
    }
}
