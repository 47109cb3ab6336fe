import ApusStorage
import ApusTestKit
import Testing

@Suite struct SimulationFaultTests {
    private typealias Kind = SimulatedFileSystem.CallKind

    /// What is known of a store in which some operations failed.
    private struct Known {
        var reference: ReferenceDatabase
        /// What reopening may find instead: a failed operation may turn up then, until the next
        /// success has settled it.
        var alternatives: [ReferenceDatabase] = []

        /// Among these states the one that the engine answers, or the difference from the first.
        static func match(
            _ candidates: [ReferenceDatabase], _ engine: StorageEngine, now: Int64
        ) throws(StorageError) -> (found: ReferenceDatabase?, difference: String) {
            let dump = try ScanDump.read(engine, checksScans: false)
            if let problem = dump.problems.first { return (nil, problem) }
            var first: String?
            for var candidate in candidates {
                _ = candidate.adoptTypes(of: engine.catalog)
                guard let difference = candidate.contents(now: now).difference(to: dump.contents)
                else {
                    return (candidate, "")
                }
                first = first ?? difference
            }
            return (nil, first ?? "")
        }

        /// Takes a failure in. What failed is nowhere to be seen.
        mutating func noteFailure(
            of operation: StoreOperation, _ engine: StorageEngine, now: Int64
        ) throws(StorageError) -> String? {
            var after = reference
            after.apply(operation, now: now)
            let (found, difference) = try Self.match([reference], engine, now: now)
            guard let found else { return difference }
            alternatives += [reference, after]
            reference = found
            return nil
        }
    }

    private static func run(
        _ operations: [StoreOperation], _ disk: SimulatedFileSystem, _ options: StorageOptions
    ) -> String? {
        let clock = ManualClock()
        var known = Known(reference: ReferenceDatabase(options: options))
        do throws(StorageError) {
            let store: SimulatedStore
            do throws(StorageError) {
                store = try SimulatedStore(disk: disk, options: options, clock: clock)
            } catch {
                disk.clearFaults()
                store = try SimulatedStore(disk: disk, options: options, clock: clock)
            }
            var isReadOnly = false
            for (position, operation) in operations.enumerated() {
                do throws(StorageError) {
                    try store.perform(operation)
                    known.reference.apply(operation, now: clock.now)
                    if operation.isWrite {
                        known.alternatives = []
                        if isReadOnly {
                            return "operation \(position): a write succeeded on a read-only store"
                        }
                    }
                } catch {
                    if case .readOnly = error { isReadOnly = true }
                    if case .corrupt = error { return "operation \(position): \(error)" }
                    if let wrong = try known.noteFailure(
                        of: operation, store.engine, now: clock.now)
                    {
                        return
                            "operation \(position) (\(operation.summary)) failed (\(error)), then:\n\(wrong)"
                    }
                }
            }
            let (found, difference) = try Known.match(
                [known.reference], store.engine, now: clock.now)
            guard found != nil else { return "at the end:\n\(difference)" }
        } catch {
            return "\(error)"
        }
        disk.clearFaults()
        return reopen(known, disk, options, clock)
    }

    /// Reopens both as a killed process and after a power cut, without faults.
    private static func reopen(
        _ known: Known, _ disk: SimulatedFileSystem, _ options: StorageOptions, _ clock: ManualClock
    ) -> String? {
        for (name, image) in [
            ("as killed", disk.afterProcessKill()),
            ("after a power cut", disk.afterPowerLoss(keeping: .nothingUnsynced)),
        ] {
            do throws(StorageError) {
                let store = try SimulatedStore(disk: image, options: options, clock: clock)
                let (found, difference) = try Known.match(
                    [known.reference] + known.alternatives, store.engine, now: clock.now)
                guard var reference = found else { return "reopened \(name):\n\(difference)" }
                for operation in Workload.make(seed: 31, count: 2, options: .small) {
                    try store.perform(operation)
                    reference.apply(operation, now: clock.now)
                }
                try store.reopen()
                if let difference = try store.difference(from: reference, checksScans: false) {
                    return "reopened \(name) and carried on:\n\(difference)"
                }
            } catch {
                return "reopened \(name): \(error)"
            }
        }
        return nil
    }

    private static let kinds: [Kind] = [
        .write, .sync, .create, .truncate, .allocate, .rename, .remove, .syncDirectory,
        .createDirectory, .open, .read, .map, .size, .list,
    ]

    @Test(arguments: [SimulatedFileSystem.Failure.noSpace, .inputOutput])
    func `whatever call fails, what was acknowledged is served`(
        failure: SimulatedFileSystem.Failure
    ) {
        let options = SimulatedStore.smallOptions()
        let operations = smallWorkload(seed: 4, count: 30).filter {
            if case .reopen = $0 { false } else { true }
        }
        let counting = SimulatedFileSystem()
        counting.recordsCalls = true
        _ = CrashRun.run(operations, on: counting, options: options)
        let calls = counting.callLog
        var failures = Failures()
        for kind in Self.kinds {
            let count = calls.count { $0.kind == kind }
            let step = max(1, count / (40 * simulationRounds))
            for number in stride(from: 1, through: count, by: step) where !failures.areTooMany {
                for forEver in [false, true] {
                    let disk = SimulatedFileSystem()
                    disk.fail(kind, number: number, with: failure, forEver: forEver)
                    if let wrong = Self.run(operations, disk, options) {
                        failures.add(
                            "\(kind) \(number) fails with \(failure)\(forEver ? " for ever" : ""):\n\(wrong)"
                        )
                    }
                }
            }
        }
    }

    @Test
    func `a full disk refuses writes, serves reads, and takes writes again when there is room`() {
        var failures = Failures()
        for round in 0..<(60 * simulationRounds) where !failures.areTooMany {
            let options = SimulatedStore.smallOptions()
            let disk = SimulatedFileSystem()
            let clock = ManualClock()
            var reference = ReferenceDatabase(options: options)
            var generator = PointGenerator(seed: UInt64(round))
            var refused = 0
            do throws(StorageError) {
                let store = try SimulatedStore(disk: disk, options: options, clock: clock)
                // Never so much room that it lasts to the end.
                disk.bytesMax = (300 << 10) + round % 60 * 7_919
                for step in 0..<400 {
                    let operation: StoreOperation =
                        step % 25 == 24
                        ? .flush : .write(database: "default", rows: generator.rows(now: clock.now))
                    do throws(StorageError) {
                        try store.perform(operation)
                        reference.apply(operation, now: clock.now)
                    } catch {
                        guard Self.isDiskFull(error) else { throw error }
                        refused += 1
                        if refused == 1 || refused == 5 {
                            _ = reference.adoptTypes(of: store.engine.catalog)
                            if let wrong = try store.difference(from: reference) {
                                failures.add("round \(round), full at step \(step):\n\(wrong)")
                                return
                            }
                        }
                    }
                    if refused >= 6 { break }
                }
                if refused == 0 { failures.add("round \(round): the disk never filled") }
                disk.bytesMax = nil
                _ = reference.adoptTypes(of: store.engine.catalog)
                for _ in 0..<5 {
                    let operation = StoreOperation.write(
                        database: "default", rows: generator.rows(now: clock.now))
                    try store.perform(operation)
                    reference.apply(operation, now: clock.now)
                }
                try store.perform(.flush)
                if let wrong = try store.difference(from: reference) {
                    failures.add("round \(round), with room again:\n\(wrong)")
                }
                try store.reopen()
                if let wrong = try store.difference(from: reference) {
                    failures.add("round \(round), reopened:\n\(wrong)")
                }
            } catch {
                failures.add("round \(round), \(refused) refused: \(error)")
            }
        }
    }

    private static func isDiskFull(_ error: StorageError) -> Bool {
        switch error {
        case .diskFull, .overloaded: true
        default: false
        }
    }

    @Test func `after a failed log sync the store only reads, and says so`() throws {
        let disk = SimulatedFileSystem()
        let options = SimulatedStore.smallOptions()
        let store = try SimulatedStore(disk: disk, options: options)
        var reference = ReferenceDatabase(options: options)
        var generator = PointGenerator(seed: 5, options: .small)
        let first = StoreOperation.write(
            database: "default", rows: generator.rows(now: store.clock.now))
        try store.perform(first)
        reference.apply(first, now: store.clock.now)
        disk.fail(.sync, with: .inputOutput, pathContains: "log/")
        for _ in 0..<3 {
            let write = StoreOperation.write(
                database: "default", rows: generator.rows(now: store.clock.now))
            #expect(throws: StorageError.self) { try store.perform(write) }
            _ = reference.adoptTypes(of: store.engine.catalog)
            #expect(try store.difference(from: reference, checksScans: false) == nil)
        }
        #expect(store.engine.health().status == .fail)
        #expect(throws: StorageError.self) {
            try store.perform(.dropTable(database: "default", table: "cpu"))
        }
        #expect(throws: StorageError.self) {
            try store.perform(.createDatabase("other", retentionSeconds: 0))
        }
        let again = try SimulatedStore(disk: disk.afterProcessKill(), options: options)
        #expect(again.engine.health().status == .pass)
        try again.perform(first)
    }
}
