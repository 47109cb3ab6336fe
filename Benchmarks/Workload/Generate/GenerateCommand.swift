// `apus-bench generate`: a data set by seed.

import ArgumentParser
import Foundation

struct GenerateCommand: ParsableCommand {
    enum Workload: String, ExpressibleByArgument, CaseIterable {
        case cpuOnly = "cpu-only"
        case devops, fleet, cardinality, shapes
    }

    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Makes a data set; the same options give the same bytes.",
        discussion: """
            Writes OUT (line protocol), OUT.bodies (where each HTTP body begins) and OUT.json (what \
            is in it). The generators are frozen: a changed one gets a new name.

            Examples:
              apus-bench generate cpu-only --hosts 4000 --hours 6 --out cpu.lp
              apus-bench generate fleet --hosts 100 --hours 1 --late 10 --duplicate 2 --out fleet.lp
              apus-bench generate cardinality --series 1000000 --points 3 --out series.lp
              apus-bench generate shapes --tables 500 --fields 10 --out tables.lp
            """)

    @Argument(help: "cpu-only, devops, fleet, cardinality or shapes.")
    var workload: Workload

    @Option(help: "The file to write.")
    var out: String

    @Option(help: "Hosts.")
    var hosts = 100

    @Option(help: "Hours of data, one row a host every ten seconds.")
    var hours = 1.0

    @Option(help: "cpu-only, shapes: digits behind the point; 0 writes integers.")
    var decimals = 0

    @Option(help: "shapes: tables, by turns.")
    var tables = 1

    @Option(help: "shapes: fields a row.")
    var fields = 10

    @Option(help: "fleet: guests per host.")
    var guests = 20

    @Option(help: "fleet: births, deaths, migrations and restarts per minute.")
    var churn = 30.0

    @Option(help: "fleet: percent of the rows that come up to a day late.")
    var late = 0.0

    @Option(help: "fleet: percent of the rows that are sent twice.")
    var duplicate = 0.0

    @Option(help: "cardinality: tag sets.")
    var series = 1_000_000

    @Option(help: "cardinality: points of each.")
    var points = 3

    @Option(help: "The seed.")
    var seed: UInt64 = 1

    @Option(help: "The first time, in seconds since 1970 UTC. (default: 2026-01-01)")
    var start: Int64 = 1_767_225_600

    @Option(help: "Lines in one HTTP body.")
    var linesPerBody = 5_000

    func validate() throws {
        guard (1...10_000_000).contains(hosts), hours > 0, hours <= 87_600, linesPerBody > 0,
            (1...100_000_000).contains(series), (1...1_000_000).contains(points),
            (0...1_000).contains(guests), churn >= 0, (0...100).contains(late),
            (0...100).contains(duplicate), (0...9_000_000_000).contains(start),
            (1...100_000).contains(tables), (1...10_000).contains(fields)
        else { throw ValidationError("an option is out of its range") }
        guard [0, 1, 2].contains(decimals) else { throw ValidationError("--decimals 0, 1 or 2") }
    }

    func run() throws {
        let ticks = max(1, Int((hours * 360).rounded()))
        let first = start * 1_000_000_000
        var random = WorkloadRandom(seed: seed)
        let file = try LineFile(
            path: out, linesPerBody: linesPerBody,
            description: DataSetDescription(workload: workload.rawValue, options: options))
        switch workload {
        case .cpuOnly:
            try CPUOnly(
                hostCount: hosts, tickCount: ticks, decimals: decimals == 0 ? nil : decimals,
                startNanoseconds: first
            ).write(to: file, &random)
        case .devops:
            try Devops(hostCount: hosts, tickCount: ticks, startNanoseconds: first)
                .write(to: file, &random)
        case .fleet:
            try Fleet(
                hostCount: hosts, guestsPerHost: guests, tickCount: ticks, startNanoseconds: first,
                changesPerMinute: churn, latePercent: late, duplicatePercent: duplicate
            ).write(to: file, &random)
        case .cardinality:
            try Cardinality(
                seriesCount: series, pointsPerSeries: points, startNanoseconds: first
            ).write(to: file, &random)
        case .shapes:
            try Shapes(
                hostCount: hosts, tickCount: ticks, tableCount: tables, fieldCount: fields,
                decimals: decimals == 0 ? nil : decimals, startNanoseconds: first
            ).write(to: file, &random)
        }
        try file.finish()
        let description = file.description
        print(
            "\(out): \(description.lineCount) lines, \(description.rowCount) rows, "
                + "\(description.valueCount) values, \(description.byteCount) bytes")
    }

    private var options: [String: String] {
        var options = ["seed": "\(seed)", "start": "\(start)", "lines-per-body": "\(linesPerBody)"]
        switch workload {
        case .cpuOnly:
            options.merge(["hosts": "\(hosts)", "hours": "\(hours)", "decimals": "\(decimals)"]) {
                $1
            }
        case .devops: options.merge(["hosts": "\(hosts)", "hours": "\(hours)"]) { $1 }
        case .fleet:
            options.merge([
                "hosts": "\(hosts)", "hours": "\(hours)", "guests": "\(guests)",
                "churn": "\(churn)", "late": "\(late)", "duplicate": "\(duplicate)",
            ]) { $1 }
        case .cardinality: options.merge(["series": "\(series)", "points": "\(points)"]) { $1 }
        case .shapes:
            options.merge([
                "hosts": "\(hosts)", "hours": "\(hours)", "tables": "\(tables)",
                "fields": "\(fields)", "decimals": "\(decimals)",
            ]) { $1 }
        }
        return options
    }
}
