// `cpu-only`: the shape of the public TSBS use case of that name. One measurement, ten tags, ten
// fields that walk by N(0,1) inside 0 … 100, one row a host every ten seconds.

struct CPUOnly {
    var hostCount: Int
    var tickCount: Int
    /// Nil writes integers, as TSBS does: the walk cut to its whole part.
    var decimals: Int?
    var startNanoseconds: Int64
    var tickNanoseconds: Int64 = 10_000_000_000

    static let fieldNames = [
        "usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq",
        "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice",
    ]

    func write(to file: LineFile, _ random: inout WorkloadRandom) throws {
        let writer = MeasurementWriter(
            "cpu", Self.fieldNames.map { .walk($0, decimals: decimals) })
        file.setCheckedField("usage_user", of: "cpu")
        let prefixes = (0..<hostCount).map {
            Array("cpu,\(HostTags.text(host: $0, &random))".utf8)
        }
        var values = [Double]()
        for _ in 0..<hostCount { values += writer.start(&random) }
        for tick in 0..<tickCount {
            let time = startNanoseconds + Int64(tick) * tickNanoseconds
            for host in 0..<hostCount {
                let start = host * writer.fieldCount
                try writer.write(
                    prefixes[host], &values[start..<start + writer.fieldCount], time, to: file,
                    &random)
            }
        }
    }
}
