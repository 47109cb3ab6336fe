// The measurements `mem` and `swap`, from /proc/meminfo and /proc/vmstat.
//
//     MemTotal:       24684096 kB        meminfo counts in KiB, except for HugePages_*
//     pswpin 0                           vmstat counts pages
//
// `used` is total − available, as `free` has shown it since procps 4: reclaimable caches are not
// in use. `cached` contains the reclaimable slab, as Telegraf has it.

package enum MemoryReader {
    /// Fields taken over as they are: Telegraf's name, the kernel's name.
    private static let copiedFields: [(name: String, kernelName: String)] = [
        ("free", "MemFree"), ("buffered", "Buffers"), ("active", "Active"),
        ("inactive", "Inactive"), ("slab", "Slab"), ("sreclaimable", "SReclaimable"),
        ("sunreclaim", "SUnreclaim"), ("shared", "Shmem"), ("mapped", "Mapped"),
        ("dirty", "Dirty"), ("write_back", "Writeback"), ("page_tables", "PageTables"),
        ("commit_limit", "CommitLimit"), ("committed_as", "Committed_AS"),
        ("swap_total", "SwapTotal"), ("swap_free", "SwapFree"), ("swap_cached", "SwapCached"),
    ]

    package static func memory(meminfo: String) -> Metric? {
        let bytes = byteCounts(meminfo)
        guard let total = bytes["MemTotal"], total > 0 else { return nil }
        let free = bytes["MemFree"] ?? 0
        let cached = (bytes["Cached"] ?? 0) &+ (bytes["SReclaimable"] ?? 0)
        // Kernels before 3.14 don't say what is available; this is what they themselves came to.
        let available = min(total, bytes["MemAvailable"] ?? (free &+ cached))
        let used = total - available

        var fields: [Metric.Field] = [
            .init("total", .counter(total)),
            .init("available", .counter(available)),
            .init("used", .counter(used)),
            .init("cached", .counter(cached)),
            .init("used_percent", .float(100 * Double(used) / Double(total))),
            .init("available_percent", .float(100 * Double(available) / Double(total))),
        ]
        for (name, kernelName) in copiedFields {
            if let value = bytes[kernelName] { fields.append(.init(name, .counter(value))) }
        }
        return Metric("mem", fields: fields)
    }

    /// - Parameter vmstat: For `in` and `out`, bytes since boot; may be empty.
    package static func swap(meminfo: String, vmstat: String, pageBytes: UInt64) -> Metric? {
        let bytes = byteCounts(meminfo)
        guard let total = bytes["SwapTotal"], let free = bytes["SwapFree"] else { return nil }
        let used = total >= free ? total - free : 0
        var fields: [Metric.Field] = [
            .init("total", .counter(total)),
            .init("free", .counter(free)),
            .init("used", .counter(used)),
            .init("used_percent", .float(total > 0 ? 100 * Double(used) / Double(total) : 0)),
        ]
        for (name, kernelName) in [("in", "pswpin"), ("out", "pswpout")] {
            if let pages = SystemReader.counter(named: kernelName, in: vmstat) {
                fields.append(.init(name, .counter(pages &* pageBytes)))
            }
        }
        return Metric("swap", fields: fields)
    }

    /// Rows that are counted in kB, in bytes.
    private static func byteCounts(_ meminfo: String) -> [String: UInt64] {
        var counts: [String: UInt64] = [:]
        for line in ProcText.lines(meminfo) {
            let words = ProcText.words(line)
            guard words.count == 3, words[2] == "kB", words[0].hasSuffix(":"),
                let kibibytes = UInt64(words[1])
            else { continue }
            counts[String(words[0].dropLast())] = kibibytes &* 1024
        }
        return counts
    }
}
