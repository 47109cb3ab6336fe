// `cardinality`: very many tag sets with few points each, as VMs that come and go leave behind.

struct Cardinality {
    var seriesCount: Int
    var pointsPerSeries: Int
    var startNanoseconds: Int64
    var tickNanoseconds: Int64 = 60_000_000_000

    func write(to file: LineFile, _ random: inout WorkloadRandom) throws {
        file.setCheckedField("mem_used", of: "vm")
        let images = (0..<40).map { "img-\($0)" }
        // The seed of each series, from which its tags follow: 8 bytes a series instead of 150.
        let seeds = (0..<seriesCount).map { _ in random.next() }
        for point in 0..<pointsPerSeries {
            let time = startNanoseconds + Int64(point) * tickNanoseconds
            for (index, seed) in seeds.enumerated() {
                var own = WorkloadRandom(seed: seed)
                let high = own.next()
                let low = own.next()
                file.text.append("vm,uuid=")
                appendUUID(high, low, to: file)
                file.text.append(Array(",host=hv\(own.below(2_000))".utf8))
                file.text.append(Array(",tenant=t\(own.below(500))".utf8))
                file.text.append(Array(",az=az\(own.below(6)),image=\(own.choose(images))".utf8))
                for _ in 0..<point { _ = own.next() }
                let percent = Int64(own.below(1_001))
                let memory = Int64(own.below(64 << 20)) << 10
                file.text.append(" cpu=")
                file.text.append(percent, decimals: 1)
                file.text.append(",mem_used=")
                file.text.append(memory)
                file.text.append("i")
                // Within a tick every series has its own moment, as real scrapes do.
                try file.endLine(
                    time + Int64(index % 60_000) * 1_000_000, table: "vm", values: 2,
                    checked: memory)
            }
        }
    }

    private func appendUUID(_ high: UInt64, _ low: UInt64, to file: LineFile) {
        for nibble in 0..<32 {
            if nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20 { file.text.append("-") }
            let word = nibble < 16 ? high : low
            let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (nibble % 16)) & 15)
            file.text.append(
                byte: digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}
