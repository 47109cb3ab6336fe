// Fields as tables: what a value does from one row to the next.

/// How a field moves.
enum FieldMotion {
    /// A random walk of normal steps, held in a range.
    case walk(in: ClosedRange<Double>, step: Double)
    /// Counts up by about `mean` a row, never down.
    case counter(mean: Double, deviation: Double)
    /// The same in every row of a series, chosen once from a range.
    case constant(ClosedRange<Double>)
}

struct FieldSpecification {
    let name: String
    let motion: FieldMotion
    /// Digits behind the point; nil writes an integer with its `i`.
    let decimals: Int?

    static func walk(
        _ name: String, _ range: ClosedRange<Double> = 0...100, step: Double = 1,
        decimals: Int? = nil
    ) -> Self {
        Self(name: name, motion: .walk(in: range, step: step), decimals: decimals)
    }

    static func counter(_ name: String, mean: Double, deviation: Double? = nil) -> Self {
        Self(
            name: name, motion: .counter(mean: mean, deviation: deviation ?? mean / 4),
            decimals: nil)
    }

    static func constant(_ name: String, _ range: ClosedRange<Double>) -> Self {
        Self(name: name, motion: .constant(range), decimals: nil)
    }

    func start(_ random: inout WorkloadRandom) -> Double {
        switch motion {
        case .walk(let range, _), .constant(let range):
            (range.lowerBound + random.unit() * (range.upperBound - range.lowerBound))
        case .counter(let mean, _): (random.unit() * mean * 100_000).rounded(.down)
        }
    }

    func next(_ value: Double, _ random: inout WorkloadRandom) -> Double {
        switch motion {
        case .walk(let range, let step):
            min(range.upperBound, max(range.lowerBound, value + step * random.normal()))
        case .counter(let mean, let deviation):
            value + max(0, mean + deviation * random.normal()).rounded(.down)
        case .constant: value
        }
    }
}

/// One measurement: its name, its fields as they are written, and where the values go.
struct MeasurementWriter {
    let table: String
    private let fields: [FieldSpecification]
    /// `name=` of each field, the later ones with their comma.
    private let labels: [[UInt8]]

    init(_ table: String, _ fields: [FieldSpecification]) {
        self.table = table
        self.fields = fields
        labels = fields.enumerated().map { index, field in
            Array(((index == 0 ? " " : ",") + field.name + "=").utf8)
        }
    }

    var fieldCount: Int { fields.count }

    func start(_ random: inout WorkloadRandom) -> [Double] {
        fields.map { $0.start(&random) }
    }

    /// Writes one row and moves the values on.
    ///
    /// - Parameter prefix: the table and its tags.
    func write(
        _ prefix: [UInt8], _ values: inout ArraySlice<Double>, _ timeNanoseconds: Int64,
        to file: LineFile, _ random: inout WorkloadRandom
    ) throws {
        file.text.append(prefix)
        var checked: Int64 = 0
        for (index, field) in fields.enumerated() {
            let position = values.startIndex + index
            file.text.append(labels[index])
            if let decimals = field.decimals {
                let scale = decimals == 1 ? 10.0 : 100.0
                let scaled = Int64((values[position] * scale).rounded())
                file.text.append(scaled, decimals: decimals)
                if index == 0 { checked = scaled }
            } else {
                let whole = Int64(values[position])
                file.text.append(whole)
                file.text.append(byte: UInt8(ascii: "i"))
                if index == 0 { checked = whole }
            }
            values[position] = field.next(values[position], &random)
        }
        try file.endLine(timeNanoseconds, table: table, values: fields.count, checked: checked)
    }
}
