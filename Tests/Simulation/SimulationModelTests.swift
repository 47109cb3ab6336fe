import ApusStorage
import ApusTestKit
import Testing

@Suite struct SimulationModelTests {
    /// Runs random operations and compares now and then.
    private static func run(
        seed: UInt64, count: Int, options: StorageOptions, failures: inout Failures
    ) {
        let clock = ManualClock()
        var reference = ReferenceDatabase(options: options)
        var generator = PointGenerator(seed: seed)
        var position = 0
        var last = "opening"
        do throws(StorageError) {
            let store = try SimulatedStore(
                disk: SimulatedFileSystem(), options: options, clock: clock)
            while position < count {
                let operation = generator.next(now: clock.now)
                last = operation.summary
                let outcome = try store.perform(operation)
                let expected = reference.apply(operation, now: clock.now)
                if operation.isWrite, outcome != expected {
                    failures.add(
                        "seed \(seed), operation \(position) (\(last)): \(outcome), expected \(expected)"
                    )
                    return
                }
                position += 1
                let isEvent = if case .write = operation { false } else { true }
                guard position % 20 == 0 || isEvent else { continue }
                if let difference = try store.difference(from: reference) {
                    failures.add(
                        "seed \(seed), after operation \(position) (\(last)):\n\(difference)")
                    return
                }
            }
            try store.reopen()
            if let difference = try store.difference(from: reference) {
                failures.add("seed \(seed), after reopening:\n\(difference)")
            }
        } catch {
            failures.add("seed \(seed), operation \(position) (\(last)): \(error)")
        }
    }

    @Test func `the engine answers what the reference database answers`() {
        var failures = Failures()
        for seed in UInt64(1)...UInt64(12 * simulationRounds) where !failures.areTooMany {
            Self.run(
                seed: seed, count: 300, options: SimulatedStore.smallOptions(), failures: &failures)
        }
    }

    @Test func `heads and segments of the usual size answer the same`() {
        var failures = Failures()
        for seed in UInt64(500)...UInt64(500 + 3 * simulationRounds) where !failures.areTooMany {
            var options = StorageOptions()
            options.logFileBytes = 1 << 20
            Self.run(seed: seed, count: 200, options: options, failures: &failures)
        }
    }

    @Test func `rows become invisible when retention is over, before files go and after`() throws {
        let options = SimulatedStore.smallOptions()
        let clock = ManualClock()
        let store = try SimulatedStore(disk: SimulatedFileSystem(), options: options, clock: clock)
        var reference = ReferenceDatabase(options: options)
        var generator = PointGenerator(seed: 77)
        func perform(_ operation: StoreOperation) throws {
            try store.perform(operation)
            reference.apply(operation, now: clock.now)
        }
        try perform(.createDatabase("default", retentionSeconds: 7_200))
        for round in 0..<40 {
            try perform(.write(database: "default", rows: generator.rows(now: clock.now)))
            try perform(.advanceClock(seconds: 600))
            if round % 7 == 3 { try perform(.flush) }
            if round % 11 == 5 { try perform(.compact) }
            #expect(try store.difference(from: reference) == nil, "round \(round)")
        }
        try store.reopen()
        #expect(try store.difference(from: reference) == nil)
    }

    @Test func `the same seed makes the same calls`() throws {
        func calls() -> [SimulatedFileSystem.Call] {
            let disk = SimulatedFileSystem()
            disk.recordsCalls = true
            _ = CrashRun.run(
                smallWorkload(seed: 3), on: disk, options: SimulatedStore.smallOptions())
            return disk.callLog
        }
        #expect(calls() == calls())
    }
}
