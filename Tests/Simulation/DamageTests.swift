import ApusStorage
import ApusTestKit
import Testing

/// A closed store, one of its files changed: it answers right, answers the rest and names the file,
/// or refuses to open with a clear error. It never traps and never answers wrong.
@Suite struct DamageTests {
    private struct Closed {
        var disk: SimulatedFileSystem
        var contents: StoreContents
        var clock: ManualClock
        var options: StorageOptions
    }

    /// Two flushes and some rows that only the log has. Each row is written once, so that a missing
    /// file can't bring an older value to light.
    private static func closedStore(killed: Bool) throws(StorageError) -> Closed {
        var options = SimulatedStore.smallOptions()
        options.logFileBytes = 16 << 10
        var generatorOptions = PointGenerator.Options()
        generatorOptions.overwrites = false
        generatorOptions.changesTypes = false
        generatorOptions.databases = ["default"]
        generatorOptions.rowsPerBatchMax = 8
        var generator = PointGenerator(seed: 11, options: generatorOptions)
        let store = try SimulatedStore(disk: SimulatedFileSystem(), options: options)
        for step in 0..<14 {
            try store.perform(
                .write(database: "default", rows: generator.rows(now: store.clock.now)))
            if step == 4 || step == 9 { try store.perform(.flush) }
        }
        let contents = try ScanDump.read(store.engine).contents
        if !killed { try store.engine.close() }
        return Closed(
            disk: store.disk.afterProcessKill(), contents: contents, clock: store.clock,
            options: options)
    }

    /// What is wrong with how the store takes the damage; nil if all is as promised.
    private static func verdict(
        _ image: SimulatedFileSystem, _ store: Closed, damaged path: String,
        mayLoseSilently: Bool = false
    ) -> String? {
        do throws(StorageError) {
            let opened = try SimulatedStore(disk: image, options: store.options, clock: store.clock)
            var warnings: [String] = []
            var contents = StoreContents()
            do throws(StorageError) {
                // The second reading finds what the first one set aside.
                for _ in 0..<2 {
                    let dump = try ScanDump.read(opened.engine, checksScans: false)
                    contents = dump.contents
                    warnings = dump.warnings
                    if let problem = dump.problems.first { return problem }
                }
            } catch {
                return isClear(error, path) ? nil : "reading throws \(error)"
            }
            if contents == store.contents { return nil }
            if let wrong = contents.firstWrong(comparedTo: store.contents) {
                return "wrong: \(wrong)"
            }
            let health = opened.engine.health()
            let isNamed =
                health.damagedFiles.contains { $0.contains(path) }
                || warnings.contains { $0.contains(path) } || health.message.contains(path)
            if isNamed || mayLoseSilently { return nil }
            return
                "\(contents.rowCount) of \(store.contents.rowCount) rows, and nobody names \(path): "
                + "\(health.status) \(health.message)"
        } catch {
            return isClear(error, path) ? nil : "opening throws \(error)"
        }
    }

    private static func isClear(_ error: StorageError, _ path: String) -> Bool {
        switch error {
        case .corrupt(let file, _, let reason):
            file.contains(path) || path.contains(file) || reason.contains(path)
        case .unsupportedFormat(let file, _, _): file.contains(path) || path.contains(file)
        default: false
        }
    }

    /// Every byte of a small file, and of a larger one as many as there is time for.
    private static func offsets(_ count: Int, limit: Int, seed: UInt64) -> [Int] {
        guard count > limit else { return Array(0..<count) }
        var random = SeededRandom(seed: seed)
        let edge = limit / 8
        let inner = Set((0..<(limit - 2 * edge)).map { _ in random.below(count) })
        return Array(Set(0..<edge).union(Set((count - edge)..<count)).union(inner)).sorted()
    }

    private static func sweep(
        _ store: Closed, paths: [String], limit: Int, mayLoseSilently: Bool = false
    ) {
        var failures = Failures()
        #expect(!paths.isEmpty)
        for path in paths {
            let count = store.disk.contents(path)?.count ?? 0
            for offset in Self.offsets(count, limit: limit * simulationRounds, seed: 1)
            where !failures.areTooMany {
                let image = store.disk.afterProcessKill()
                image.flipBit(path, offset: offset, bit: offset % 8)
                if let wrong = verdict(
                    image, store, damaged: path, mayLoseSilently: mayLoseSilently)
                {
                    failures.add(
                        "\(path), bit \(offset % 8) of byte \(offset) of \(count) flipped: \(wrong)"
                    )
                }
            }
            for size in Self.offsets(count, limit: limit / 3 * simulationRounds, seed: 2)
            where !failures.areTooMany {
                let image = store.disk.afterProcessKill()
                image.truncate(path, size: size)
                if let wrong = verdict(
                    image, store, damaged: path, mayLoseSilently: mayLoseSilently)
                {
                    failures.add("\(path) cut to \(size) of \(count) bytes: \(wrong)")
                }
            }
        }
    }

    @Test func `a damaged MANIFEST is replaced by its predecessor or named`() throws {
        let store = try Self.closedStore(killed: false)
        Self.sweep(store, paths: ["MANIFEST"], limit: 2_000)
    }

    @Test func `a damaged MANIFEST of a killed process is replaced by its predecessor or named`()
        throws
    {
        let store = try Self.closedStore(killed: true)
        Self.sweep(store, paths: ["MANIFEST"], limit: 2_000)
    }

    @Test func `a damaged predecessor of MANIFEST harms nothing`() throws {
        let store = try Self.closedStore(killed: false)
        Self.sweep(store, paths: ["MANIFEST.previous"], limit: 400)
    }

    @Test func `a damaged catalog file is named`() throws {
        let store = try Self.closedStore(killed: false)
        Self.sweep(store, paths: store.disk.paths.filter { $0.hasPrefix("catalog/") }, limit: 800)
    }

    @Test func `a damaged log of a cleanly closed store is named`() throws {
        let store = try Self.closedStore(killed: false)
        Self.sweep(store, paths: store.disk.paths.filter { $0.hasPrefix("log/") }, limit: 1_200)
    }

    /// After a kill the last record can't be told from a torn one: it may go, but is never wrong.
    @Test func `a damaged log of a killed process gives no wrong answers`() throws {
        let store = try Self.closedStore(killed: true)
        Self.sweep(
            store, paths: store.disk.paths.filter { $0.hasPrefix("log/") }, limit: 800,
            mayLoseSilently: true)
    }

    @Test func `a damaged segment is named and the rest is served`() throws {
        let store = try Self.closedStore(killed: false)
        let segments = store.disk.paths.filter { $0.hasSuffix(".segment") }
        Self.sweep(store, paths: Array(segments.prefix(3)), limit: 1_200)
    }

    @Test func `a missing file is named`() throws {
        let store = try Self.closedStore(killed: false)
        for path in store.disk.paths where path != "LOCK" && path != "MANIFEST.previous" {
            let image = store.disk.afterProcessKill()
            try image.remove(path)
            let opened = Result {
                try SimulatedStore(disk: image, options: store.options, clock: store.clock)
            }
            switch opened {
            case .failure(let error):
                #expect(
                    "\(error)".contains(path) || "\(error)".contains("log"),
                    "\(path) missing: \(error)")
            case .success(let opened):
                let dump = try ScanDump.read(opened.engine, checksScans: false)
                #expect(
                    dump.contents.firstWrong(comparedTo: store.contents) == nil, "\(path) missing")
                let health = opened.engine.health()
                #expect(
                    dump.contents == store.contents
                        || health.damagedFiles.contains { $0.contains(path) }
                        || health.message.contains(path), "\(path) missing: \(health.message)")
            }
        }
    }

    @Test func `an empty file in place of any file is no trap`() throws {
        let store = try Self.closedStore(killed: false)
        for path in store.disk.paths where path != "LOCK" {
            let image = store.disk.afterProcessKill()
            image.setContents(path, [])
            let wrong = Self.verdict(image, store, damaged: path)
            #expect(wrong == nil, "\(path) emptied")
        }
    }

    @Test func `files swapped with each other are no trap and give no wrong answers`() throws {
        let store = try Self.closedStore(killed: false)
        let paths = store.disk.paths.filter { $0 != "LOCK" }
        for first in paths {
            for second in paths where first < second {
                let image = store.disk.afterProcessKill()
                image.setContents(first, store.disk.contents(second) ?? [])
                image.setContents(second, store.disk.contents(first) ?? [])
                guard
                    let opened = try? SimulatedStore(
                        disk: image, options: store.options, clock: store.clock),
                    let dump = try? ScanDump.read(opened.engine, checksScans: false)
                else { continue }
                let wrong = dump.contents.firstWrong(comparedTo: store.contents)
                #expect(wrong == nil, "\(first) and \(second) swapped")
                let health = opened.engine.health()
                #expect(
                    dump.contents == store.contents || health.status != .pass,
                    "\(first) and \(second) swapped, rows missing, and health passes")
            }
        }
    }
}
