// `shapes`: rows as wide as one asks for, of as many tables by turns.

struct Shapes {
    var hostCount: Int
    var tickCount: Int
    var tableCount: Int
    var fieldCount: Int
    var decimals: Int?
    var startNanoseconds: Int64
    var tickNanoseconds: Int64 = 10_000_000_000

    func write(to file: LineFile, _ random: inout WorkloadRandom) throws {
        let fields = (0..<fieldCount).map {
            FieldSpecification.walk("f\($0)", decimals: decimals)
        }
        let writers = (0..<tableCount).map { MeasurementWriter("t\($0)", fields) }
        for writer in writers { file.setCheckedField("f0", of: writer.table) }
        // Neighbouring hosts belong to different tables.
        let prefixes = (0..<hostCount).map {
            Array("\(writers[$0 % tableCount].table),host=host_\($0)".utf8)
        }
        var values: [Double] = []
        for host in 0..<hostCount { values += writers[host % tableCount].start(&random) }
        for tick in 0..<tickCount {
            let time = startNanoseconds + Int64(tick) * tickNanoseconds
            for host in 0..<hostCount {
                let start = host * fieldCount
                try writers[host % tableCount].write(
                    prefixes[host], &values[start..<start + fieldCount], time, to: file, &random)
            }
        }
    }
}
