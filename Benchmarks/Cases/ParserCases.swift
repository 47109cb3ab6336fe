// Line protocol to batches, with the caches that a connection has after its first request: every
// series and every order of fields is known. What is new costs what `index.resolve` says.

import ApusIngest
import ApusStorage

enum ParserCases {
    static let all = [
        parse("cpu-only") { .cpuOnly(hosts: $0.choose(20, 4_000), ticks: 2) },
        parse("decimals") { .cpuOnly(hosts: $0.choose(20, 4_000), ticks: 2, isDecimal: true) },
        parse("mixed-escapes") { .mixed(lines: $0.choose(200, 20_000)) },
    ]

    private static func parse(
        _ dataset: String, _ make: @escaping @Sendable (CaseSize) -> LineInput
    ) -> MicroCase {
        MicroCase("parser.parse.\(dataset)") { size in
            let input = make(size)
            let validation = BatchValidation()
            let context = LineContext(catalog: validation.catalog)
            let first = try batch(of: input, context)
            _ = try validation.validate(first)
            LineParser.learn(from: first, context: context)
            return PreparedCase(itemCount: input.valueCount, byteCount: input.bytes.count) {
                digest in
                let batch = try batch(of: input, context)
                batch.add(to: &digest)
            }
        }
    }

    static func batch(of input: LineInput, _ context: LineContext) throws -> WriteBatch {
        let parser = LineParser(
            context: context, database: "bench", precision: .nanoseconds,
            arrivalNanoseconds: 1_700_000_000_123_456_789)
        // Safe: the parser copies what it keeps.
        input.bytes.withUnsafeBytes { parser.feed($0) }
        parser.finish(endsLine: true)
        guard let batch = parser.takeBatch() else { throw CaseError("no rows") }
        return batch
    }
}

extension WriteBatch {
    /// Everything that a commit would look at.
    func add(to digest: inout Digest?) {
        guard digest != nil else { return }
        for group in groups {
            digest?.add(bytes: group.shape.table)
            for (name, type) in zip(group.shape.fieldNames, group.shape.types) {
                digest?.add(bytes: name)
                digest?.add(byte: type.rawValue)
            }
            for row in 0..<group.rowCount {
                digest?.add(UInt64(group.series[row]))
                digest?.add(UInt64(bitPattern: group.times[row]))
                digest?.add(UInt64(group.lines[row]))
                for field in 0..<group.fieldCount {
                    let slot = group.column(field)[row]
                    guard group.shape.types[field] == .string else {
                        digest?.add(slot)
                        continue
                    }
                    let place = StringSlot(rawValue: slot)
                    // Safe: the slots of a batch point into its strings.
                    digest?.add(
                        bytes: UnsafeRawBufferPointer(
                            start: strings + place.offset, count: place.length))
                }
            }
        }
        digest?.add(rejectedCount)
        for rejection in rejections {
            digest?.add(rejection.line)
            digest?.add(rejection.column)
        }
    }
}
