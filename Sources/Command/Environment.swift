// `APUS_…` variables: what flags leave open.

import Glibc

/// The process's environment, as far as it concerns Apus.
struct Environment {
    /// Variables that other commands and tests know.
    private static let others: Set<String> = [
        "APUS_TOKEN", "APUS_HISTORY", "APUS_BINARY", "APUS_SHELL_ROWS", "APUS_KILL_ROUNDS",
        "APUS_READ_ROUNDS", "APUS_TEST_SEEDS",
    ]

    private let values: [String: String]

    init() {
        var values: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let pair = String(cString: text).split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2, pair[0].hasPrefix("APUS_") {
                values[String(pair[0])] = String(pair[1])
            }
            entry += 1
        }
        self.values = values
    }

    init(_ values: [String: String]) { self.values = values }

    /// The variable of a flag: `--line-tcp` is `APUS_LINE_TCP`.
    static func name(ofFlag flag: String) -> String {
        "APUS_" + flag.uppercased().replacing("-", with: "_")
    }

    func value(ofFlag flag: String) -> String? {
        values[Self.name(ofFlag: flag)].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Variables that mean nothing to anyone.
    func unknown(knownFlags: [String]) -> [String] {
        let known = Self.others.union(knownFlags.map(Self.name))
        return values.keys.filter { !known.contains($0) }.sorted()
    }
}
