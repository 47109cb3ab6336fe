import ApusStorage
import ApusTestKit
import Testing

@Suite struct SimulationCrashTests {
    private static let continuing = Workload.make(seed: 9_001, count: 3, options: .small)

    @Test func `a crash at any call loses nothing acknowledged and halves nothing`() {
        var failures = Failures()
        let options = SimulatedStore.smallOptions()
        for seed in UInt64(1)...UInt64(2 * simulationRounds) {
            let operations = smallWorkload(seed: seed)
            var call = 1
            while !failures.areTooMany {
                let disk = SimulatedFileSystem()
                disk.crash(atCall: call, changesOnly: true, seed: seed &+ UInt64(call))
                let run = CrashRun.run(operations, on: disk, options: options)
                if let surprise = run.surprise {
                    failures.add("seed \(seed), crash at change \(call): \(surprise)")
                }
                for (name, image) in Self.images(disk, seed: UInt64(call)) {
                    if let wrong = run.verify(image, options: options, continuing: Self.continuing)
                    {
                        failures.add(
                            "seed \(seed), crash at change \(call) in \(run.inFlight?.summary ?? "opening or the end"), \(name):\n\(wrong)"
                        )
                        break
                    }
                }
                if !disk.hasCrashed { break }
                call += 1
            }
        }
    }

    private static func images(
        _ disk: SimulatedFileSystem, seed: UInt64
    ) -> [(String, SimulatedFileSystem)] {
        [
            ("process killed", disk.afterProcessKill()),
            ("power cut, nothing unsynced kept", disk.afterPowerLoss(keeping: .nothingUnsynced)),
            ("power cut, any subset kept", disk.afterPowerLoss(keeping: .randomSubset, seed: seed)),
        ]
    }

    @Test func `a thousand power losses lose nothing acknowledged`() {
        var failures = Failures()
        var losses = 0
        var seed: UInt64 = 10_000
        let options = SimulatedStore.smallOptions()
        while losses < 1_000 * simulationRounds, !failures.areTooMany {
            seed += 1
            var random = SeededRandom(seed: seed)
            let operations = Workload.make(seed: seed, count: 12, options: .small)
            var crashing = SimulatedFileSystem()
            crashing.crash(atCall: 1 + random.below(220), seed: seed)
            var run = CrashRun.run(operations, on: crashing, options: options)
            // A second life on what the first one left, which dies too.
            if random.oneIn(2), run.inFlight == nil || run.surprise == nil {
                let image = crashing.afterPowerLoss(keeping: .nothingUnsynced)
                losses += 1
                if let wrong = run.verify(image, options: options, continuing: []) {
                    failures.add("seed \(seed), first life:\n\(wrong)")
                    continue
                }
                crashing = SimulatedFileSystem()
                crashing.crash(atCall: 1 + random.below(600), seed: seed &+ 1)
                run = CrashRun.run(
                    smallWorkload(seed: seed &+ 5, count: 16), on: crashing, options: options)
            }
            losses += 1
            if let surprise = run.surprise { failures.add("seed \(seed): \(surprise)") }
            let image = crashing.afterPowerLoss(keeping: .nothingUnsynced)
            if let wrong = run.verify(image, options: options, continuing: Self.continuing) {
                failures.add(
                    "seed \(seed), in \(run.inFlight?.summary ?? "opening or the end"):\n\(wrong)")
            }
        }
    }

    @Test func `a crash while recovering from a crash loses nothing`() {
        var failures = Failures()
        let options = SimulatedStore.smallOptions()
        for seed in UInt64(1)...UInt64(25 * simulationRounds) where !failures.areTooMany {
            var random = SeededRandom(seed: seed)
            let disk = SimulatedFileSystem()
            disk.crash(atCall: 40 + random.below(400), seed: seed)
            let run = CrashRun.run(smallWorkload(seed: seed), on: disk, options: options)
            for call in 1...40 where !failures.areTooMany {
                let again = disk.afterPowerLoss(keeping: .randomSubset, seed: seed)
                again.crash(atCall: call, changesOnly: true, seed: seed &+ UInt64(call))
                let clock = ManualClock(nanoseconds: run.clock.now)
                _ = try? SimulatedStore(disk: again, options: options, clock: clock)
                guard again.hasCrashed else { break }
                let image = again.afterPowerLoss(keeping: .randomSubset, seed: seed &+ 7)
                if let wrong = run.verify(image, options: options, continuing: []) {
                    failures.add("seed \(seed), crash at change \(call) of opening:\n\(wrong)")
                }
            }
        }
    }

    @Test(arguments: [Durability.interval(milliseconds: 1_000), .none])
    func `a killed process loses nothing whatever the durability`(durability: Durability) {
        var failures = Failures()
        let options = SimulatedStore.smallOptions(durability: durability)
        for seed in UInt64(1)...UInt64(120 * simulationRounds) where !failures.areTooMany {
            var random = SeededRandom(seed: seed)
            let disk = SimulatedFileSystem()
            disk.crash(atCall: 1 + random.below(350), seed: seed)
            let run = CrashRun.run(smallWorkload(seed: seed), on: disk, options: options)
            if let surprise = run.surprise { failures.add("seed \(seed): \(surprise)") }
            if let wrong = run.verify(
                disk.afterProcessKill(), options: options, continuing: Self.continuing)
            {
                failures.add(
                    "seed \(seed), in \(run.inFlight?.summary ?? "opening or the end"):\n\(wrong)")
            }
        }
    }

    /// Without a sync per write a power cut may take the last ones, but no earlier ones.
    @Test(arguments: [Durability.interval(milliseconds: 1_000), .none])
    func `a power cut takes only the last writes`(durability: Durability) {
        var failures = Failures()
        let options = SimulatedStore.smallOptions(durability: durability)
        for seed in UInt64(1)...UInt64(60 * simulationRounds) where !failures.areTooMany {
            var random = SeededRandom(seed: seed)
            let disk = SimulatedFileSystem()
            disk.crash(atCall: 1 + random.below(350), seed: seed)
            let run = CrashRun.run(smallWorkload(seed: seed), on: disk, options: options)
            let image = disk.afterPowerLoss(keeping: .nothingUnsynced)
            do throws(StorageError) {
                let store = try SimulatedStore(
                    disk: image, options: options, clock: ManualClock(nanoseconds: run.clock.now))
                let dump = try ScanDump.read(store.engine, checksScans: false)
                if !Self.isSomePrefix(dump.contents, run, options, store.engine.catalog) {
                    failures.add("seed \(seed): what is left is no prefix of what was written")
                }
            } catch {
                failures.add("seed \(seed): \(error)")
            }
        }
    }

    private static func isSomePrefix(
        _ contents: StoreContents, _ run: CrashRun, _ options: StorageOptions, _ catalog: Catalog
    ) -> Bool {
        var reference = ReferenceDatabase(options: options)
        func matches() -> Bool {
            var adopted = reference
            _ = adopted.adoptTypes(of: catalog)
            return adopted.contents(now: run.clock.now) == contents
        }
        if matches() { return true }
        for (operation, now) in run.acknowledged {
            reference.apply(operation, now: now)
            if matches() { return true }
        }
        return run.candidates().contains { candidate in
            var adopted = candidate
            _ = adopted.adoptTypes(of: catalog)
            return adopted.contents(now: run.clock.now) == contents
        }
    }
}
