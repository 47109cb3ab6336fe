// `APUS_…` variables: what flags leave open.

internal import Glibc

/// The process's environment, as far as it concerns Apus.
package struct Environment: Sendable {
    /// Variables that other commands know.
    private static let others: Set<String> = ["APUS_TOKEN", "APUS_HISTORY"]
    /// Those of tests and benchmarks, which start servers with all of their environment.
    private static let ofTests: Set<String> = [
        "APUS_BACKUP_ROUNDS", "APUS_BENCH", "APUS_BINARY", "APUS_FAULTS", "APUS_GOLDEN_WRITE",
        "APUS_KILL_ROUNDS",
        "APUS_READ_ROUNDS",
        "APUS_RECORDING", "APUS_SCRIPT_STATES", "APUS_SEED", "APUS_SHELL_ROWS",
        "APUS_SIMULATION_ROUNDS",
        "APUS_TEST_SEEDS",
    ]

    private let values: [String: String]

    package init() {
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

    package init(_ values: [String: String]) { self.values = values }

    /// An empty variable counts as none.
    package func value(of setting: Setting) -> String? {
        guard setting.places.contains(.environment) else { return nil }
        return values[setting.variable].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Variables that mean nothing to anyone.
    package var unknown: [String] {
        let settings = Setting.all.filter { $0.places.contains(.environment) }.map(\.variable)
        let known = Self.others.union(Self.ofTests).union(settings)
        return values.keys.filter { !known.contains($0) }.sorted()
    }
}
