// rate and its kin over random samples, written out of order, against the obvious version: all samples
// of a series sorted by time, one step after the other.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Testing

private struct Sample: Sendable {
    var host: Int
    var port: Int
    var second: Int
    /// A counter that is reset now and then.
    var count: Int64?
    var level: Double?
    var state: String
}

/// What one series has to say of a group.
private struct SlowSeries {
    var samples: [Sample]

    init(_ samples: [Sample]) { self.samples = samples.sorted { $0.second < $1.second } }

    private func steps<Value>(_ value: (Sample) -> Value?) -> [(
        from: Value, to: Value, gap: Double
    )] {
        let known = samples.compactMap { sample in value(sample).map { (sample.second, $0) } }
        return zip(known, known.dropFirst()).map { ($0.1, $1.1, Double($1.0 - $0.0)) }
    }

    private var counts: [(second: Int, value: Double)] {
        samples.compactMap { sample in sample.count.map { (sample.second, Double($0)) } }
    }

    private func increase() -> Double? {
        let steps = steps { $0.count.map { Double($0) } }
        guard !steps.isEmpty else { return nil }
        return steps.reduce(0) { $0 + ($1.to < $1.from ? $1.to : $1.to - $1.from) }
    }

    private func extrapolated(_ window: Range<Int>) -> Double? {
        guard let increase = increase(), let first = counts.first, let last = counts.last else {
            return nil
        }
        let sampled = Double(last.second - first.second)
        let step = sampled / Double(counts.count - 1)
        var before = Double(first.second - window.lowerBound)
        var behind = Double(window.upperBound - last.second)
        if before >= step * 1.1 { before = step / 2 }
        if behind >= step * 1.1 { behind = step / 2 }
        if increase > 0 { before = min(before, sampled * first.value / increase) }
        return increase * (sampled + before + behind) / sampled
    }

    func value(_ function: String, _ window: Range<Int>) -> Double? {
        let levels = steps { $0.level }
        switch function {
        case "increase(c)": return increase()
        case "rate(c)":
            guard let increase = increase(), let first = counts.first, let last = counts.last
            else { return nil }
            return increase / Double(last.second - first.second)
        case "irate(c)":
            return steps { $0.count.map { Double($0) } }.last.map {
                ($0.to < $0.from ? $0.to : $0.to - $0.from) / $0.gap
            }
        case "resets(c)":
            return counts.isEmpty
                ? nil
                : Double(steps { $0.count }.reduce(0) { $0 + ($1.to < $1.from ? 1 : 0) })
        case "delta(v)":
            return levels.isEmpty ? nil : levels.reduce(0) { $0 + $1.to - $1.from }
        case "derivative(v)": return slope()
        case "increase(c, 'prometheus')": return extrapolated(window)
        case "rate(c, 'prometheus')":
            return extrapolated(window).map { $0 / Double(window.count) }
        case "changes(s)":
            return Double(steps { $0.state }.reduce(0) { $0 + ($1.to == $1.from ? 0 : 1) })
        case "state_count(s, 'on')":
            let entered = steps { $0.state }.filter { $0.to == "on" && $0.from != "on" }.count
            return Double(entered + (samples.first?.state == "on" ? 1 : 0))
        default:
            return steps { $0.state }.reduce(0) { $0 + ($1.from == "on" ? $1.gap : 0) }
        }
    }

    private func slope() -> Double? {
        let known = samples.compactMap { sample in
            sample.level.map { (x: Double(sample.second), y: $0) }
        }
        guard known.count > 1 else { return nil }
        let meanX = known.reduce(0) { $0 + $1.x } / Double(known.count)
        let meanY = known.reduce(0) { $0 + $1.y } / Double(known.count)
        let products = known.reduce(0) { $0 + ($1.x - meanX) * ($1.y - meanY) }
        return products / known.reduce(0) { $0 + ($1.x - meanX) * ($1.x - meanX) }
    }

    /// Area and duration.
    func area(isLinear: Bool) -> (area: Double, duration: Double) {
        steps { $0.level }.reduce((0, 0)) { sum, step in
            let height = isLinear ? (step.from + step.to) / 2 : step.from
            return (sum.0 + height * step.gap, sum.1 + step.gap)
        }
    }
}

struct SampleAggregateTests {
    private static let functions = [
        "increase(c)", "rate(c)", "irate(c)", "resets(c)", "delta(v)", "derivative(v)",
        "changes(s)", "state_count(s, 'on')", "extract(epoch FROM state_duration(s, 'on'))",
    ]
    private static let averages = ["time_weighted_avg(v)", "time_weighted_avg(v, 'linear')"]
    private static let extrapolations = ["increase(c, 'prometheus')", "rate(c, 'prometheus')"]
    private static let end = 7_200

    private static func samples(_ random: inout SeededRandom) -> [Sample] {
        var samples: [Sample] = []
        for host in 0..<4 {
            for port in 0..<3 {
                var count: Int64 = 0
                var second = random.below(300)
                let step = 1 + random.below(120)
                while second < end {
                    count =
                        random.oneIn(12)
                        ? Int64(random.below(50)) : count + Int64(random.below(400))
                    samples.append(
                        Sample(
                            host: host, port: port, second: second,
                            count: random.oneIn(8) ? nil : count,
                            level: random.oneIn(6) ? nil : Double(random.below(4_000)) / 8,
                            state: random.oneIn(3) ? "on" : "off"))
                    second += 1 + random.below(2 * step)
                }
            }
        }
        return samples
    }

    private static func lines(_ samples: ArraySlice<Sample>) -> [UInt8] {
        var text = ""
        for sample in samples {
            text +=
                "d,host=h\(sample.host),port=\(sample.port) s=\"\(sample.state)\",host_number=\(sample.host)i"
            if let count = sample.count { text += ",c=\(count)i" }
            if let level = sample.level { text += ",v=\(level)" }
            text += " \(sample.second)000000000\n"
        }
        return Array(text.utf8)
    }

    /// Over the series of a group.
    private static func slow(
        _ function: String, _ group: [Sample], _ window: Range<Int>
    ) -> Double? {
        let series = Dictionary(grouping: group) { $0.host * 10 + $0.port }
            .sorted { $0.key < $1.key }.map { SlowSeries($0.value) }
        if averages.contains(function) {
            let sum = series.map { $0.area(isLinear: function.hasSuffix("'linear')")) }
                .reduce((0, 0)) { ($0.0 + $1.area, $0.1 + $1.duration) }
            return sum.1 > 0 ? sum.0 / sum.1 : nil
        }
        let values = series.compactMap { $0.value(function, window) }
        return values.isEmpty ? nil : values.reduce(0, +)
    }

    private static func isNear(_ text: String, _ expected: Double?) -> Bool {
        guard let expected else { return text == "NULL" }
        guard let found = Double(text) else { return false }
        return abs(found - expected) <= 1e-9 * max(abs(found), abs(expected), 1)
    }

    @Test(arguments: [21, 22, 23] as [UInt64], ScriptState.tested)
    func `random samples equal the slow answer`(seed: UInt64, state: ScriptState) async throws {
        var random = SeededRandom(seed: seed)
        let samples = Self.samples(&random)
        let shuffled = samples.shuffled(using: &random)
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: state)
            // Every part has samples of every time: blocks overlap until they are merged.
            let third = shuffled.count / 3
            for part in [
                shuffled[..<third], shuffled[third..<(2 * third)], shuffled[(2 * third)...],
            ] {
                _ = try await store.write(lines: Self.lines(part))
                if state != .head { _ = try runner.query("FLUSH") }
            }
            if state == .compacted { _ = try runner.query("COMPACT") }
            let all = Self.functions + Self.averages
            let keys: [(sql: String, key: (Sample) -> String)] = [
                ("host", { "h\($0.host)" }), ("port", { "\($0.port)" }),
                ("host_number % 2", { "\($0.host % 2)" }), ("s", { $0.state }),
                (
                    "extract(epoch FROM time_bucket('10 minutes', time))",
                    { "\($0.second / 600 * 600)" }
                ),
            ]
            for (sql, key) in keys {
                try compare(runner, sql, all, key, samples, "seed \(seed), \(state)")
            }
            for width in [300, 3_600] {
                let bucket = "time_bucket('\(width) seconds', time)"
                try compareBuckets(
                    runner, bucket, width, all + Self.extrapolations, samples,
                    "seed \(seed), \(state)")
            }
        }
    }

    private func compare(
        _ runner: ScriptRunner, _ sql: String, _ functions: [String],
        _ key: (Sample) -> String, _ samples: [Sample], _ place: String
    ) throws {
        let groups = Dictionary(grouping: samples, by: key)
        let query = "SELECT \(sql), \(functions.joined(separator: ", ")) FROM d GROUP BY 1"
        let answer = try runner.query(query).rows
        #expect(answer.count == groups.count, "\(place): \(sql)")
        for row in answer {
            let group = groups[row[0]] ?? []
            for (index, function) in functions.enumerated() {
                let expected = Self.slow(function, group, 0..<Self.end)
                #expect(
                    Self.isNear(row[index + 1], expected),
                    "\(place): \(function) of \(sql) = \(row[0]): \(row[index + 1]), \(String(describing: expected))"
                )
            }
        }
    }

    private func compareBuckets(
        _ runner: ScriptRunner, _ bucket: String, _ width: Int, _ functions: [String],
        _ samples: [Sample], _ place: String
    ) throws {
        let groups = Dictionary(grouping: samples) { "h\($0.host) \($0.second / width * width)" }
        let query =
            "SELECT epoch_ns(\(bucket)) // 1000000000, host, \(functions.joined(separator: ", ")) "
            + "FROM d WHERE port <> '9' GROUP BY \(bucket), host"
        let answer = try runner.query(query).rows
        #expect(answer.count == groups.count, "\(place): \(bucket)")
        for row in answer {
            let group = groups["\(row[1]) \(row[0])"] ?? []
            let start = Int(row[0]) ?? 0
            for (index, function) in functions.enumerated() {
                let expected = Self.slow(function, group, start..<(start + width))
                #expect(
                    Self.isNear(row[index + 2], expected),
                    "\(place): \(function) of \(row[0]) \(row[1]): \(row[index + 2]), \(String(describing: expected))"
                )
            }
        }
    }
}
