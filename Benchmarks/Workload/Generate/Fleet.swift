// `fleet`: what a hypervisor estate sends. Proxmox-shaped rows of nodes, guests and storages,
// Telegraf-shaped rows of libvirt; guests that are born, move and die; counters that start again;
// states as strings; rows that come late or twice.

struct Fleet {
    var hostCount: Int
    var guestsPerHost: Int
    var tickCount: Int
    var startNanoseconds: Int64
    /// Births, deaths and migrations together.
    var changesPerMinute: Double
    /// Of all rows: held back for up to a day.
    var latePercent: Double
    /// Of all rows: sent a second time, unchanged, up to a minute later.
    var duplicatePercent: Double
    var tickNanoseconds: Int64 = 10_000_000_000

    private struct Row {
        let line: LineBytes
        let table: String
        let valueCount: Int
        let time: Int64
        var isNew = true
    }

    func write(to file: LineFile, _ random: inout WorkloadRandom) throws {
        var estate = FleetEstate(hostCount: hostCount, guestsPerHost: guestsPerHost, &random)
        // By the tick in which they are sent; those of the last day come at the end.
        var held: [Int: [Row]] = [:]
        let dayTicks = Int(86_400_000_000_000 / tickNanoseconds)
        for tick in 0..<tickCount {
            for row in held.removeValue(forKey: tick) ?? [] { try send(row, file) }
            let time = startNanoseconds + Int64(tick) * tickNanoseconds
            estate.change(changesPerMinute * Double(tickNanoseconds) / 60e9, &random)
            estate.advance(&random)
            for sample in estate.rows() {
                let row = Row(
                    line: sample.line, table: sample.table, valueCount: sample.valueCount,
                    time: time)
                if random.unit() * 100 < latePercent {
                    held[min(tickCount, tick + 1 + random.below(dayTicks)), default: []]
                        .append(row)
                    continue
                }
                try send(row, file)
                if random.unit() * 100 < duplicatePercent {
                    var again = row
                    again.isNew = false
                    held[min(tickCount, tick + 1 + random.below(6)), default: []].append(again)
                }
            }
        }
        for row in held.removeValue(forKey: tickCount) ?? [] { try send(row, file) }
    }

    private func send(_ row: Row, _ file: LineFile) throws {
        file.text.append(row.line.bytes)
        try file.endLine(row.time, table: row.table, values: row.valueCount, isNew: row.isNew)
    }
}
