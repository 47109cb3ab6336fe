import ApusStorage
import ApusTestKit
import Glibc
import Testing

/// How many times the usual number of rounds, from APUS_SIMULATION_ROUNDS.
let simulationRounds: Int = {
    let text = getenv("APUS_SIMULATION_ROUNDS").map { String(cString: $0) } ?? ""
    return max(1, Int(text) ?? 1)
}()

/// Collects failures; the first few are enough to see what is wrong.
struct Failures {
    private(set) var count = 0
    private static let shownMax = 4

    var areTooMany: Bool { count >= Self.shownMax }

    mutating func add(_ text: String) {
        count += 1
        Issue.record("\(text)")
    }
}

/// A run of operations up to a crash or the end, and what it left.
struct CrashRun {
    var disk: SimulatedFileSystem
    var reference: ReferenceDatabase
    /// The operation under way when the machine died.
    var inFlight: StoreOperation?
    var clock: ManualClock
    /// What happened that shouldn't have.
    var surprise: String?
    /// Operations acknowledged, in order, with the time of each.
    var acknowledged: [(operation: StoreOperation, now: Int64)] = []

    static func run(
        _ operations: [StoreOperation], on disk: SimulatedFileSystem, options: StorageOptions
    ) -> CrashRun {
        var run = CrashRun(
            disk: disk, reference: ReferenceDatabase(options: options), clock: ManualClock())
        let store: SimulatedStore
        do throws(StorageError) {
            store = try SimulatedStore(disk: disk, options: options, clock: run.clock)
        } catch {
            if !disk.hasCrashed { run.surprise = "opening: \(error)" }
            return run
        }
        for operation in operations {
            do throws(StorageError) {
                try store.perform(operation)
                run.reference.apply(operation, now: run.clock.now)
                run.acknowledged.append((operation, run.clock.now))
            } catch {
                run.inFlight = operation
                if !disk.hasCrashed { run.surprise = "\(operation.summary): \(error)" }
                return run
            }
        }
        return run
    }

    /// The states that may be found after the crash: without and with what was in flight.
    func candidates() -> [ReferenceDatabase] {
        guard let inFlight else { return [reference] }
        var after = reference
        after.apply(inFlight, now: clock.now)
        return [reference, after]
    }

    /// Opens what survived, compares, and carries on. Returns what is wrong.
    func verify(_ image: SimulatedFileSystem, options: StorageOptions, continuing: [StoreOperation])
        -> String?
    {
        let clock = ManualClock(nanoseconds: clock.now)
        do throws(StorageError) {
            let store = try SimulatedStore(disk: image, options: options, clock: clock)
            let dump = try ScanDump.read(store.engine)
            if let problem = dump.problems.first { return problem }
            if let warning = dump.warnings.first { return "warning: \(warning)" }
            let health = store.engine.health()
            if !health.damagedFiles.isEmpty || health.status == .fail {
                return "health: \(health.message)"
            }
            var found: ReferenceDatabase?
            var firstDifference: String?
            for var candidate in candidates() {
                // What was in flight may have widened a field, or not.
                let types = candidate.adoptTypes(of: store.engine.catalog).first
                let difference =
                    types ?? candidate.contents(now: clock.now).difference(to: dump.contents)
                if difference == nil {
                    found = candidate
                } else if firstDifference == nil {
                    firstDifference = difference
                }
            }
            guard var reference = found else { return firstDifference }
            for operation in continuing {
                try store.perform(operation)
                reference.apply(operation, now: clock.now)
            }
            if let difference = try store.difference(from: reference, checksScans: false) {
                return "after carrying on: \(difference)"
            }
            try store.reopen()
            if let difference = try store.difference(from: reference, checksScans: false) {
                return "after reopening: \(difference)"
            }
            try store.engine.close()
        } catch {
            return "\(error)"
        }
        return nil
    }
}

extension PointGenerator.Options {
    /// A few small writes and definitions: a workload for tests that repeat it thousands of times.
    static var small: PointGenerator.Options {
        var options = PointGenerator.Options()
        options.rowsPerBatchMax = 6
        options.databases = ["default"]
        return options
    }
}

/// A workload with everything in it that touches the disk.
func smallWorkload(seed: UInt64, count: Int = 24) -> [StoreOperation] {
    var operations = Workload.make(seed: seed, count: count, options: .small)
    operations.insert(.flush, at: count / 4)
    operations.insert(.flush, at: count / 2)
    operations.insert(.dropTable(database: "default", table: "disk io"), at: count / 2 + 2)
    operations.insert(
        .dropSeries(database: "default", table: "cpu", tag: "region", value: "eu"),
        at: count / 2 + 4)
    operations.insert(
        .delete(
            database: "default", table: "cpu", series: nil, from: .min,
            to: PointGenerator.startNanoseconds + 300_000_000_000), at: count / 2 + 6)
    operations.insert(
        .dropField(database: "default", table: "cpu", field: "count"), at: count / 2 + 7)
    operations.insert(
        .renameField(database: "default", table: "cpu", field: "used", to: "other"),
        at: count / 2 + 8)
    operations.insert(.flush, at: count * 3 / 4)
    operations.insert(.compact, at: count * 3 / 4 + 1)
    operations.insert(.reopen, at: count * 7 / 8)
    return operations
}
