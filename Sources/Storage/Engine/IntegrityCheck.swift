// `apus check`: reads every byte of a store that is not open, and names what is not as it was
// written. Changes nothing: no recovery, no repair, no lock file.
//
// The order is MANIFEST, MANIFEST.previous, catalog files, log, segments, and at last all names in
// the directory that nothing speaks of. Damage in one file doesn't keep the others from being read.

internal import Glibc

package enum IntegrityCheck {
    /// A violation: what was written is not there any more.
    package struct Finding: Sendable, Equatable, CustomStringConvertible {
        /// Relative to the store's directory.
        package var file: String
        /// Where in the file, or where the smallest part begins that is known to be damaged.
        package var offset: UInt64
        package var what: String

        package init(file: String, offset: UInt64, what: String) {
            self.file = file
            self.offset = offset
            self.what = what
        }

        package var description: String { "\(file): byte \(offset): \(what)" }
    }

    /// Something worth knowing that loses nothing: a tail cut by a crash, a file nobody lists.
    package struct Note: Sendable, Equatable, CustomStringConvertible {
        package var file: String
        package var what: String

        package var description: String { "\(file): \(what)" }
    }

    package struct Report: Sendable {
        package var findings: [Finding] = []
        package var notes: [Note] = []
        package var filesChecked = 0
        package var bytesChecked = 0
        /// Whether the store was closed as it should be. Only then is every byte accounted for.
        package var wasClosedCleanly = false
    }

    /// Told before each file is read, and now and then inside of large ones; from any thread.
    package struct Progress: Sendable {
        package var file: String
        package var filesChecked: Int
        package var bytesChecked: Int
    }

    /// Checks a store's files, which nobody may change meanwhile.
    ///
    /// - Throws: `unsupportedFormat` for a store of a newer release; `io` if there is no store or a
    ///   file can't be read. Damage is in the report, never thrown.
    /// - Parameter threadsMax: Threads that read segments; as many as processors if nil. What is
    ///   found, and its order, doesn't depend on it.
    /// - Complexity: as long as reading and decoding everything; memory for the catalog, one log
    ///   record, and a block a thread.
    package static func run(
        fileSystem: any FileSystem, threadsMax: Int? = nil,
        progress: @escaping @Sendable (Progress) -> Void = { _ in }
    ) throws(StorageError) -> Report {
        var run = IntegrityRun(
            fileSystem: fileSystem, threadsMax: threadsMax ?? min(Processors.count, 64),
            progress: progress)
        try run.checkAll()
        return run.report
    }

    /// The same for a directory; writers are kept out as long as it takes.
    ///
    /// - Throws: Also `locked` if a process has it open.
    package static func run(
        directory: String, progress: @escaping @Sendable (Progress) -> Void = { _ in }
    ) throws(StorageError) -> Report {
        let fileSystem = try PosixFileSystem(root: directory, create: false)
        let lock = try DirectoryReadLock(directory: fileSystem.root)
        defer { withExtendedLifetime(lock) {} }
        return try run(fileSystem: fileSystem, progress: progress)
    }
}

/// One check under way.
private struct IntegrityRun {
    let fileSystem: any FileSystem
    let threadsMax: Int
    let progress: @Sendable (IntegrityCheck.Progress) -> Void
    var report = IntegrityCheck.Report()
    private var seen: Set<String> = []
    private var current: Manifest?
    private var previous: Manifest?

    init(
        fileSystem: any FileSystem, threadsMax: Int,
        progress: @escaping @Sendable (IntegrityCheck.Progress) -> Void
    ) {
        self.fileSystem = fileSystem
        self.threadsMax = threadsMax
        self.progress = progress
    }

    mutating func checkAll() throws(StorageError) {
        try checkManifests()
        // Both take long, neither needs the catalog, and their findings come behind its own.
        let log = try beginLog()
        let segments = beginSegments()
        let catalogFailure = failure { run throws(StorageError) in try run.checkCatalog() }
        let (logOutcome, segmentOutcomes) = (log.wait(), segments.wait())
        if let catalogFailure { throw catalogFailure }
        try takeLog(logOutcome)
        takeSegments(try segmentOutcomes.get())
        try checkOtherNames()
    }

    // MARK: What the steps share

    private mutating func find(_ file: String, _ offset: UInt64, _ what: String) {
        report.findings.append(.init(file: file, offset: offset, what: what))
    }

    private mutating func note(_ file: String, _ what: String) {
        report.notes.append(.init(file: file, what: what))
    }

    /// Keeps damage as a finding; throws what is no damage.
    private mutating func take(_ error: StorageError) throws(StorageError) {
        guard case .corrupt(let file, let offset, let reason) = error else { throw error }
        find(file, offset, reason)
    }

    private mutating func begin(_ file: String, byteCount: Int) {
        seen.insert(file)
        progress(
            .init(
                file: file, filesChecked: report.filesChecked, bytesChecked: report.bytesChecked))
        report.filesChecked += 1
        report.bytesChecked += byteCount
    }

    private mutating func failure(
        _ step: (inout Self) throws(StorageError) -> Void
    ) -> StorageError? {
        do throws(StorageError) { try step(&self) } catch { return error }
        return nil
    }

    /// Does work on a thread of its own, if there may be one.
    private func start<Outcome: Sendable>(
        _ threadName: String, _ work: @escaping @Sendable () -> Outcome
    ) -> Promise<Outcome> {
        let outcome = Promise<Outcome>()
        if threadsMax > 1 {
            startThread(threadName) { outcome.fulfil(work()) }
        } else {
            outcome.fulfil(work())
        }
        return outcome
    }

    // MARK: MANIFEST and its predecessor

    private mutating func checkManifests() throws(StorageError) {
        let hasCurrent = fileSystem.exists(Manifest.path)
        let hasPrevious = fileSystem.exists(Manifest.previousPath)
        guard hasCurrent || hasPrevious || StoreFiles.exist(in: fileSystem) else {
            throw .io(file: "\(fileSystem.root)/\(Manifest.path)", call: "open", errno: ENOENT)
        }
        if hasCurrent {
            current = try readManifest(Manifest.path)
        } else {
            find(Manifest.path, 0, "the file is missing")
        }
        if hasPrevious { previous = try readManifest(Manifest.previousPath) }
        // Equal is what a process leaves that ended between the two replacements.
        if let current, let previous, previous != current, previous.version >= current.version {
            find(
                Manifest.previousPath, 20,
                "version \(previous.version) is not below MANIFEST's \(current.version)")
        }
        if let current, current.version > 1, !hasPrevious {
            note(
                Manifest.previousPath,
                "the file is missing; MANIFEST has no predecessor to fall back to")
        }
        for (manifest, path) in [(current, Manifest.path), (previous, Manifest.previousPath)] {
            if let manifest, let what = Self.contradiction(manifest) { find(path, 20, what) }
        }
        if let clean = current?.cleanEnd {
            let newest = try logNumbers().max() ?? 0
            report.wasClosedCleanly = newest <= clean.fileNumber
        }
    }

    private mutating func readManifest(_ path: String) throws(StorageError) -> Manifest? {
        do throws(StorageError) {
            let bytes = try fileSystem.readFile(path)
            begin(path, byteCount: bytes.count)
            return try Manifest.decode(bytes, path: path)
        } catch {
            try take(error)
            return nil
        }
    }

    private static func contradiction(_ manifest: Manifest) -> String? {
        var numbers: Set<UInt64> = []
        for number in manifest.catalogFiles.map(\.number) + manifest.segments.map(\.number) {
            if !numbers.insert(number).inserted { return "file number \(number) is listed twice" }
            if number >= manifest.nextFileNumber {
                return "file number \(number) is not below the next, \(manifest.nextFileNumber)"
            }
        }
        for segment in manifest.segments {
            guard segment.firstSequence <= segment.lastSequence,
                segment.minTime <= segment.maxTime, segment.partitionNanoseconds > 0
            else { return "the entry of segment \(segment.number) contradicts itself" }
            guard segment.lastSequence <= manifest.flushedThrough else {
                return "segment \(segment.number) holds records that are not flushed"
            }
        }
        var last: UInt64 = 0
        for tombstone in manifest.tombstones {
            guard tombstone.sequence > last, tombstone.sequence <= manifest.flushedThrough,
                tombstone.tableID < manifest.nextTableID
            else { return "the tombstone of record \(tombstone.sequence) has no place there" }
            last = tombstone.sequence
        }
        return nil
    }

    private func logNumbers() throws(StorageError) -> [UInt64] {
        try fileSystem.list(LogNames.directory).compactMap { LogNames.number(ofName: $0) }
    }

    // MARK: Catalog files

    private mutating func checkCatalog() throws(StorageError) {
        let listed = current?.catalogFiles ?? previous?.catalogFiles ?? []
        let catalog = Catalog()
        var isWhole = true
        for file in listed {
            let path = CatalogFile.path(file.number)
            let good = try checkCatalogFile(
                path, byteCount: file.byteCount, applyingTo: isWhole ? catalog : nil)
            // What is missing now would make later entries look wrong.
            if !good { isWhole = false }
        }
        guard current != nil else { return }
        for file in previous?.catalogFiles ?? [] where !listed.contains(file) {
            let path = CatalogFile.path(file.number)
            guard !seen.contains(path) else { continue }
            guard fileSystem.exists(path) else {
                note(path, "the file is missing; only MANIFEST.previous lists it")
                continue
            }
            _ = try checkCatalogFile(path, byteCount: file.byteCount, applyingTo: nil)
        }
    }

    /// - Parameter byteCount: What MANIFEST says; nil for a file that it doesn't list.
    /// - Returns: Whether nothing is wrong.
    private mutating func checkCatalogFile(
        _ path: String, byteCount: Int?, applyingTo catalog: Catalog?
    ) throws(StorageError) -> Bool {
        guard fileSystem.exists(path) else {
            seen.insert(path)
            find(path, 0, "the file is missing")
            return false
        }
        do throws(StorageError) {
            let bytes = try fileSystem.readFile(path)
            begin(path, byteCount: bytes.count)
            if let byteCount, bytes.count != byteCount {
                throw .corrupt(
                    file: path, offset: UInt64(min(bytes.count, byteCount)),
                    reason: "\(bytes.count) bytes, MANIFEST says \(byteCount)")
            }
            try CatalogFile.read(bytes, path: path) { payload throws(ByteReader.Malformed) in
                try catalog?.applyAll(payload)
            }
            return true
        } catch {
            try take(error)
            return false
        }
    }

    // MARK: The log

    private mutating func beginLog() throws(StorageError) -> Promise<LogOutcome> {
        // News, not damage.
        if let newer = try LogChain(fileSystem: fileSystem).firstUnsupported { throw newer }
        for number in try logNumbers().sorted() {
            let path = LogNames.path(number)
            begin(path, byteCount: try fileSystem.open(path, create: false).size)
        }
        // Without MANIFEST nobody knows which files had to be there; those that are, are read.
        let flushedThrough = current?.flushedThrough ?? UInt64.max / 2
        let cleanEnd = current?.cleanEnd
        let fileSystem = fileSystem
        let read: @Sendable () -> LogOutcome = {
            var problems: [LogProblem] = []
            do throws(StorageError) {
                try LogReader.verify(
                    fileSystem: fileSystem, flushedThrough: flushedThrough, cleanEnd: cleanEnd,
                    endsAreCut: true
                ) { problems.append($0) }
                return .success(problems)
            } catch {
                return .failure(error)
            }
        }
        return start("apus-check-log", read)
    }

    private typealias LogOutcome = Result<[LogProblem], StorageError>

    private mutating func takeLog(_ outcome: LogOutcome) throws(StorageError) {
        for problem in try outcome.get() {
            if problem.isDamage {
                find(problem.file, problem.offset, problem.what)
            } else {
                note(
                    problem.file,
                    "torn at byte \(problem.offset), which the next opening cuts: \(problem.what)")
            }
        }
    }

    // MARK: Segments

    private typealias SegmentOutcomes = Result<
        [(job: SegmentCheck.Job, outcome: SegmentCheck.Outcome)], StorageError
    >

    private mutating func beginSegments() -> Promise<SegmentOutcomes> {
        let listed = current?.segments ?? previous?.segments ?? []
        var jobs: [SegmentCheck.Job] = []
        for segment in listed {
            if seen.insert(segment.path).inserted {
                jobs.append(.init(path: segment.path, entry: segment))
            }
        }
        if current != nil {
            for segment in previous?.segments ?? [] where seen.insert(segment.path).inserted {
                jobs.append(.init(path: segment.path, entry: segment, mayBeMissing: true))
            }
        }
        return start("apus-check", segmentWork(jobs))
    }

    private func segmentWork(
        _ jobs: [SegmentCheck.Job]
    ) -> @Sendable () -> SegmentOutcomes {
        let check = SegmentCheck(
            fileSystem: fileSystem, jobs: jobs, filesBefore: report.filesChecked,
            bytesBefore: report.bytesChecked, progress: progress)
        return { [threadsMax] in
            do throws(StorageError) {
                return .success(Array(zip(jobs, try check.run(threadsMax: threadsMax))))
            } catch {
                return .failure(error)
            }
        }
    }

    private mutating func takeSegments(
        _ verified: [(job: SegmentCheck.Job, outcome: SegmentCheck.Outcome)]
    ) {
        for (job, outcome) in verified {
            guard let byteCount = outcome.byteCount else {
                if job.mayBeMissing {
                    note(job.path, "the file is missing; only MANIFEST.previous lists it")
                } else {
                    find(job.path, 0, "the file is missing")
                }
                continue
            }
            report.filesChecked += 1
            report.bytesChecked += byteCount
            report.findings += outcome.findings
        }
    }

    // MARK: Names that nothing speaks of

    private mutating func checkOtherNames() throws(StorageError) {
        try checkNames(in: "", depth: 0)
    }

    private mutating func checkNames(in directory: String, depth: Int) throws(StorageError) {
        for name in try fileSystem.list(directory).sorted() {
            let isDirectory = name.hasSuffix("/")
            let path =
                (directory.isEmpty ? "" : directory + "/")
                + (isDirectory ? String(name.dropLast()) : name)
            if isDirectory {
                if depth == 0, path != LogNames.directory, path != "catalog", path != "data" {
                    note(path + "/", "not part of the store")
                } else if depth < 4 {
                    try checkNames(in: path, depth: depth + 1)
                }
            } else if !seen.contains(path) {
                try checkUnknown(path, name: name, in: directory)
            }
        }
    }

    /// A whole file that MANIFEST doesn't list is checked all the same: after a fallback to the
    /// predecessor it may be all there is.
    private mutating func checkUnknown(
        _ path: String, name: String, in directory: String
    ) throws(StorageError) {
        if path == "LOCK" {
            if try fileSystem.open(path, create: false).size > 0 {
                note(path, "left by a process that ended without closing the store")
            }
        } else if name.hasSuffix(".new") {
            note(path, "half made; the next opening removes it")
        } else if directory == LogNames.directory, LogNames.spare(ofName: name) != nil {
            note(path, "a spare log file; what it holds means nothing")
        } else if directory == "catalog", name.hasSuffix(".catalog") {
            note(path, "not listed in MANIFEST")
            _ = try checkCatalogFile(path, byteCount: nil, applyingTo: nil)
        } else if directory.hasPrefix("data/"), name.hasSuffix(".segment") {
            note(path, "not listed in MANIFEST")
            takeSegments(try segmentWork([.init(path: path, entry: nil)])().get())
        } else {
            note(path, "not part of the store")
        }
    }
}
