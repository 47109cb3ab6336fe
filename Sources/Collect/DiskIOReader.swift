// The `diskio` measurement, from /proc/diskstats:
//
//     254 0 vda 8717 5226 3959034 20145 4956 8983 619280 1916 0 9432 22263 …
//     word  2 name       3 reads      4 reads merged    5 sectors read     6 ms reading
//           7 writes     8 merged     9 sectors written 10 ms writing
//          11 in progress            12 ms busy         13 ms busy × requests waiting
//
// Counters since boot, as Telegraf sends them; rates are the query's business.

package enum DiskIOReader {
    /// The kernel's sector in this file is 512 bytes whatever the device's own is.
    private static let sectorBytes: UInt64 = 512
    private static let wordCountMin = 14

    /// Devices that never moved a byte are left out: every kernel keeps a row of loop and ram
    /// devices that nobody uses.
    package static func read(diskstats: String) -> [Metric] {
        ProcText.lines(diskstats).compactMap { line in
            let words = ProcText.words(line)
            guard words.count >= wordCountMin else { return nil }
            let counters = ProcText.counters(words, from: 3)
            guard counters[0] > 0 || counters[4] > 0 else { return nil }
            return Metric(
                "diskio", tags: [.init("name", String(words[2]))],
                fields: [
                    .init("reads", .counter(counters[0])),
                    .init("merged_reads", .counter(counters[1])),
                    .init("read_bytes", .counter(counters[2] &* sectorBytes)),
                    .init("read_time", .counter(counters[3])),
                    .init("writes", .counter(counters[4])),
                    .init("merged_writes", .counter(counters[5])),
                    .init("write_bytes", .counter(counters[6] &* sectorBytes)),
                    .init("write_time", .counter(counters[7])),
                    .init("iops_in_progress", .counter(counters[8])),
                    .init("io_time", .counter(counters[9])),
                    .init("weighted_io_time", .counter(counters[10])),
                ])
        }
    }
}
