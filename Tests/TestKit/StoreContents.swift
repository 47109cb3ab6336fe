// Everything a store answers, in a form that two of them can be compared in.

internal import ApusStorage

package struct StoreContents: Sendable, Equatable {
    package struct TableName: Hashable, Sendable, CustomStringConvertible {
        package var database: String
        package var table: String

        package init(database: String, table: String) {
            self.database = database
            self.table = table
        }

        package var description: String { "\(database).\(table)" }
    }

    package struct RowKey: Hashable, Sendable, CustomStringConvertible {
        /// A canonical series key.
        package var series: [UInt8]
        package var time: Int64

        package init(series: [UInt8], time: Int64) {
            self.series = series
            self.time = time
        }

        package var description: String {
            let tags = series.withUnsafeBytes { bytes in
                (SeriesKey.decode(bytes) ?? []).map {
                    String(decoding: bytes[$0.key], as: UTF8.self) + "="
                        + String(decoding: bytes[$0.value], as: UTF8.self)
                }
            }
            return "{\(tags.joined(separator: ","))}@\(time)"
        }
    }

    package typealias Rows = [RowKey: [String: ReferenceValue]]

    /// Tables that have rows.
    package var tables: [TableName: Rows] = [:]

    package init() {}

    package var rowCount: Int { tables.values.reduce(0) { $0 + $1.count } }

    /// Nil if `actual` is the same, else the first differences in words.
    package func difference(to actual: StoreContents) -> String? {
        if self == actual { return nil }
        var lines: [String] = []
        for name in Set(tables.keys).union(actual.tables.keys).sorted(by: { "\($0)" < "\($1)" }) {
            let expected = tables[name] ?? [:]
            let found = actual.tables[name] ?? [:]
            guard expected != found else { continue }
            lines.append("\(name): \(expected.count) rows expected, \(found.count) found")
            var shown = 0
            for key in Set(expected.keys).union(found.keys).sorted(by: {
                ($0.time, "\($0)") < ($1.time, "\($1)")
            })
            where expected[key] != found[key] {
                lines.append("    \(key): \(Self.words(expected[key], found[key]))")
                shown += 1
                if shown == 6 {
                    lines.append("    …")
                    break
                }
            }
        }
        return lines.joined(separator: "\n")
    }

    private static func words(
        _ expected: [String: ReferenceValue]?, _ found: [String: ReferenceValue]?
    ) -> String {
        guard let expected else { return "not expected, found \(found ?? [:])" }
        guard let found else { return "missing, expected \(expected)" }
        var words: [String] = []
        for name in Set(expected.keys).union(found.keys).sorted()
        where expected[name] != found[name] {
            words.append(
                "\(name) expected \(expected[name]?.description ?? "absent"), "
                    + "found \(found[name]?.description ?? "absent")")
        }
        return words.joined(separator: "; ")
    }

    /// Whether all rows and values of this one are also in the other: some may be missing, none may
    /// be wrong. Returns the first that is not.
    package func firstWrong(comparedTo truth: StoreContents) -> String? {
        for (name, rows) in tables {
            for (key, fields) in rows {
                guard let right = truth.tables[name]?[key] else {
                    return "\(name) \(key): no such row"
                }
                for (field, value) in fields where right[field] != value {
                    return
                        "\(name) \(key) \(field): \(value), not \(right[field]?.description ?? "absent")"
                }
            }
        }
        return nil
    }
}
