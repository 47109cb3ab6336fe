// Verifies many segments on several threads, for IntegrityCheck.
//
// A thread takes a part of a segment that is open, or opens the next one. Whoever finishes a
// segment's last part puts its findings together. Results stand in the order of the jobs.

internal import Glibc
internal import Synchronization

/// One pass over a list of segments. Use once.
final class SegmentCheck: Sendable {
    struct Job: Sendable {
        var path: String
        /// What MANIFEST says; nil for a file that it doesn't list.
        var entry: Manifest.Segment?
        /// Only the predecessor of MANIFEST lists it.
        var mayBeMissing = false
    }

    struct Outcome: Sendable {
        /// Nil where there is no such file.
        var byteCount: Int?
        var findings: [IntegrityCheck.Finding] = []
    }

    /// Rows of a part: some megabytes of a column, so that threads end at about the same time.
    private static let partRowsMax = 1 << 20

    private struct Open {
        var reader: SegmentReader
        var parts: [SegmentPart]
        var results: [SegmentPartResult]
        var leftCount: Int
        var byteCount: Int
    }

    private struct State {
        var nextJob = 0
        var openingCount = 0
        /// Parts to do: a job and a number in its parts, last first.
        var ready: [(job: Int, part: Int)] = []
        var open: [Int: Open] = [:]
        var outcomes: [Outcome]
        var failures: [Int: StorageError] = [:]
        var filesChecked: Int
        var bytesChecked: Int
    }

    private let fileSystem: any FileSystem
    private let jobs: [Job]
    private let progress: @Sendable (IntegrityCheck.Progress) -> Void
    private let state: Mutex<State>

    init(
        fileSystem: any FileSystem, jobs: [Job], filesBefore: Int, bytesBefore: Int,
        progress: @escaping @Sendable (IntegrityCheck.Progress) -> Void
    ) {
        self.fileSystem = fileSystem
        self.jobs = jobs
        self.progress = progress
        state = Mutex(
            State(
                outcomes: [Outcome](repeating: Outcome(), count: jobs.count),
                filesChecked: filesBefore, bytesChecked: bytesBefore))
    }

    /// - Throws: What kept a file from being read, of the first such file.
    func run(threadsMax: Int) throws(StorageError) -> [Outcome] {
        let byteCount = jobs.reduce(0) { $0 + ($1.entry?.byteCount ?? 0) }
        // A thread is worth it from some megabytes on.
        let threadCount = max(1, min(threadsMax, byteCount >> 22))
        let ended = BlockingQueue<Bool>()
        for _ in 1..<threadCount {
            startThread("apus-check") {
                self.work()
                ended.push(true)
            }
        }
        work()
        var endedCount = 1
        while endedCount < threadCount { endedCount += ended.takeAll(milliseconds: 1_000).count }
        let (outcomes, failure) = state.withLock { state in
            (state.outcomes, state.failures.min { $0.key < $1.key }?.value)
        }
        if let failure { throw failure }
        return outcomes
    }

    private enum Step {
        case open(Int)
        case verify(job: Int, part: Int, SegmentReader, SegmentPart)
        case wait
        case end
    }

    private func work() {
        let scratch = CheckScratch()
        while true {
            switch nextStep() {
            case .open(let job): open(job)
            case .verify(let job, let number, let reader, let part):
                finish(job, number, reader.verify(part, scratch))
            case .wait: usleep(100)
            case .end: return
            }
        }
    }

    private func nextStep() -> Step {
        state.withLock { state in
            if let (job, part) = state.ready.popLast(), let open = state.open[job] {
                return .verify(job: job, part: part, open.reader, open.parts[part])
            }
            if state.nextJob < jobs.count, state.failures.isEmpty {
                state.nextJob += 1
                state.openingCount += 1
                return .open(state.nextJob - 1)
            }
            return state.openingCount > 0 ? .wait : .end
        }
    }

    private func open(_ index: Int) {
        let job = jobs[index]
        var outcome = Outcome()
        var open: Open?
        var failure: StorageError?
        do throws(StorageError) {
            if fileSystem.exists(job.path) {
                let byteCount = try fileSystem.open(job.path, create: false).size
                outcome.byteCount = byteCount
                tell(job.path, files: 1, bytes: 0)
                let reader = try openReader(job, byteCount, &outcome)
                let parts = reader.verificationParts(rowsMax: Self.partRowsMax)
                open = Open(
                    reader: reader, parts: parts,
                    results: [SegmentPartResult](repeating: .init(), count: parts.count),
                    leftCount: parts.count, byteCount: byteCount)
            }
        } catch {
            if case .corrupt(let file, let offset, let reason) = error {
                outcome.findings.append(.init(file: file, offset: offset, what: reason))
            } else {
                failure = error
            }
        }
        let (result, opened, failed) = (outcome, open, failure)
        state.withLock { state in
            state.openingCount -= 1
            state.outcomes[index] = result
            state.failures[index] = failed
            guard let opened, opened.leftCount > 0 else { return }
            state.open[index] = opened
            for part in opened.parts.indices.reversed() { state.ready.append((index, part)) }
        }
        if let opened, opened.leftCount == 0 { assemble(index, opened) }
    }

    private func openReader(
        _ job: Job, _ byteCount: Int, _ outcome: inout Outcome
    ) throws(StorageError) -> SegmentReader {
        if let entry = job.entry, byteCount != entry.byteCount {
            throw .corrupt(
                file: job.path, offset: UInt64(min(byteCount, entry.byteCount)),
                reason: "\(byteCount) bytes, MANIFEST says \(entry.byteCount)")
        }
        let reader = try SegmentReader.open(fileSystem, path: job.path)
        if let entry = job.entry, let what = Self.difference(reader, entry) {
            outcome.findings.append(
                .init(file: job.path, offset: UInt64(reader.footer.lowerBound), what: what))
        }
        return reader
    }

    private func tell(_ path: String, files: Int, bytes: Int) {
        let (filesBefore, bytesNow) = state.withLock { state in
            defer { state.filesChecked += files }
            state.bytesChecked += bytes
            return (state.filesChecked, state.bytesChecked)
        }
        progress(.init(file: path, filesChecked: filesBefore, bytesChecked: bytesNow))
    }

    private func finish(_ job: Int, _ number: Int, _ result: SegmentPartResult) {
        let (whole, bytes): (Open?, Int) = state.withLock { state in
            state.open[job]?.results[number] = result
            state.open[job]?.leftCount -= 1
            guard let open = state.open[job] else { return (nil, 0) }
            // Parts are of about the same size, which is all that a progress line needs.
            let bytes = open.byteCount / max(open.parts.count, 1)
            return (open.leftCount == 0 ? state.open.removeValue(forKey: job) : nil, bytes)
        }
        tell(jobs[job].path, files: 0, bytes: bytes)
        if let whole { assemble(job, whole) }
    }

    private func assemble(_ job: Int, _ open: Open) {
        let findings = open.reader.assemble(open.parts, open.results).map {
            IntegrityCheck.Finding(file: jobs[job].path, offset: $0.offset, what: $0.what)
        }
        state.withLock { $0.outcomes[job].findings += findings }
    }

    /// Where a segment isn't the one that MANIFEST means.
    private static func difference(_ reader: SegmentReader, _ entry: Manifest.Segment) -> String? {
        let identity = reader.identity
        guard identity.number == entry.number else {
            return "it is segment \(identity.number), MANIFEST says \(entry.number)"
        }
        guard identity.databaseID == entry.databaseID,
            identity.partitionStart == entry.partitionStart,
            identity.partitionNanoseconds == entry.partitionNanoseconds
        else { return "its database or partition is not what MANIFEST says" }
        guard identity.firstSequence == entry.firstSequence,
            identity.lastSequence == entry.lastSequence
        else { return "its sequences are not what MANIFEST says" }
        let minTime = reader.tables.map(\.minTime).min() ?? .max
        let maxTime = reader.tables.map(\.maxTime).max() ?? .min
        guard minTime == entry.minTime, maxTime == entry.maxTime else {
            return "its range of time is not what MANIFEST says"
        }
        return nil
    }
}
