import ApusStorage
import ApusTestKit
import Testing

@Suite struct LogCrashTests {
    /// Writes until the disk dies, with rolls, recycling and unsynced groups in between; carries on
    /// through several lives. Returns the last sequence that was acknowledged as durable.
    private static func live(
        _ disk: SimulatedFileSystem, seed: UInt64, acknowledged: inout UInt64,
        written: inout UInt64, flushed: inout UInt64
    ) {
        var random = seed
        func next(_ limit: UInt64) -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (random >> 33) % limit
        }
        do {
            let (records, recovery) = try LogFixture.replay(disk, after: flushed)
            #expect(LogFixture.areRight(records, from: flushed + 1), "seed \(seed)")
            #expect(recovery.lastSequence >= acknowledged, "seed \(seed)")
            acknowledged = max(acknowledged, recovery.lastSequence)
            written = recovery.lastSequence
            let writer = try LogFixture.writer(disk, after: recovery)
            for _ in 0..<40 {
                let sync = next(3) > 0
                try LogFixture.commit(writer, count: Int(next(6)) + 1, sync: sync)
                written = writer.lastSequence
                if sync { acknowledged = writer.lastSequence }
                if next(8) == 0 {
                    try writer.sync()
                    acknowledged = writer.lastSequence
                    flushed = writer.lastSequence > 10 ? writer.lastSequence - 10 : 0
                    try writer.removeFiles(whollyAtOrBelow: flushed)
                }
                if next(5) == 0 { try writer.spares.prepareSpare() }
            }
        } catch {
            guard disk.hasCrashed else {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
    }

    @Test func `no acknowledged record is lost in a power cut`() {
        for seed in UInt64(1)...200 {
            var disk = SimulatedFileSystem()
            var acknowledged: UInt64 = 0
            var written: UInt64 = 0
            var flushed: UInt64 = 0
            for life in UInt64(0)..<4 {
                disk.crash(atCall: Int((seed &* 31 &+ life &* 17) % 140) + 1, seed: seed)
                Self.live(
                    disk, seed: seed &* 4 &+ life, acknowledged: &acknowledged, written: &written,
                    flushed: &flushed)
                let keeping: SimulatedFileSystem.PowerLoss =
                    [.randomSubset, .nothingUnsynced, .everything][Int(seed % 5) % 3]
                disk = disk.afterPowerLoss(keeping: keeping, seed: seed &+ life)
            }
            do {
                let (records, recovery) = try LogFixture.replay(disk, after: flushed)
                #expect(LogFixture.areRight(records, from: flushed + 1), "seed \(seed)")
                #expect(recovery.lastSequence >= acknowledged, "seed \(seed)")
            } catch {
                Issue.record("seed \(seed): \(error)")
            }
        }
    }

    @Test func `a killed process loses nothing that was written`() {
        for seed in UInt64(1)...60 {
            var disk = SimulatedFileSystem()
            var acknowledged: UInt64 = 0
            var written: UInt64 = 0
            var flushed: UInt64 = 0
            for life in UInt64(0)..<4 {
                disk.crash(atCall: Int((seed &* 13 &+ life &* 29) % 150) + 1, seed: seed)
                Self.live(
                    disk, seed: seed &* 4 &+ life, acknowledged: &acknowledged, written: &written,
                    flushed: &flushed)
                // Every other life ends in a power cut, which must not undo what the next replayed.
                disk =
                    life % 2 == 0
                    ? disk.afterProcessKill()
                    : disk.afterPowerLoss(keeping: .randomSubset, seed: seed)
                if life % 2 == 1 { written = 0 }
                if life % 2 == 0 {
                    do {
                        let recovery = try LogFixture.replay(disk, after: flushed).recovery
                        #expect(recovery.lastSequence >= written, "seed \(seed)")
                    } catch {
                        Issue.record("seed \(seed): \(error)")
                    }
                }
            }
        }
    }

    @Test func `what a failed sync left is durable once it was replayed`() throws {
        for seed in UInt64(1)...40 {
            let disk = SimulatedFileSystem()
            let writer = try LogFixture.writer(disk)
            try LogFixture.commit(writer, count: 5)
            disk.fail(.sync, with: .inputOutput)
            #expect(throws: StorageError.self) { try LogFixture.commit(writer, count: 9) }
            let reopened = disk.afterProcessKill()
            let recovery = try LogFixture.replay(reopened).recovery
            #expect(recovery.lastSequence == 14)
            let next = try LogFixture.writer(reopened, after: recovery)
            try LogFixture.commit(next, count: 2)
            let image = reopened.afterPowerLoss(keeping: .randomSubset, seed: seed)
            let records = try LogFixture.replay(image).records
            #expect(records.count == 16 && LogFixture.areRight(records), "seed \(seed)")
        }
    }
}
