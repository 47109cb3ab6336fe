// Files that wait to become the next log file, so that a roll costs no allocation and a sync only
// has to write data: their blocks are written already, by zeros or by an earlier life.
//
// A retired log file gives up its name first and is used again only when that is durable: else a
// power cut could bring the old name back over the new content.

internal import Synchronization

/// Makes and keeps spare log files. Safe from any thread; no lock is held across I/O.
package final class LogSpares: Sendable {
    /// Retired files beyond this are removed. A head that is flushed retires several at once, and
    /// making one anew costs a third of what logging into it does.
    package static let sparesMax = 4
    private static let zeroFillBytes = 1 << 20

    private struct State {
        var ready: [String] = []
        /// Renamed away from the log's names, not durably yet.
        var retired: [String] = []
        var nextIndex: UInt64 = 1
        var preparing = false
    }

    private let fileSystem: any FileSystem
    private let fileBytes: Int
    private let state = Mutex(State())

    /// Adopts what an earlier process left, and removes what it left half made.
    init(fileSystem: any FileSystem, fileBytes: Int) throws(StorageError) {
        self.fileSystem = fileSystem
        self.fileBytes = fileBytes
        var found = State()
        for name in try fileSystem.list(LogNames.directory) {
            guard let spare = LogNames.spare(ofName: name) else { continue }
            found.nextIndex = max(found.nextIndex, spare.index &+ 1)
            let path = "\(LogNames.directory)/\(name)"
            if spare.ready, found.retired.count < LogSpares.sparesMax {
                found.retired.append(path)
            } else {
                try fileSystem.remove(path)
            }
        }
        let adopted = found
        state.withLock { $0 = adopted }
    }

    package var readyCount: Int { state.withLock { $0.ready.count } }

    /// A ready spare's path, which is then the caller's.
    func take() -> String? { state.withLock { $0.ready.popLast() } }

    /// Takes an obsolete log file out of the log: it becomes a spare, or goes.
    func retire(_ path: String) throws(StorageError) {
        let spare: String? = state.withLock { state in
            guard state.ready.count + state.retired.count < LogSpares.sparesMax else { return nil }
            defer { state.nextIndex += 1 }
            return LogNames.sparePath(state.nextIndex, ready: true)
        }
        guard let spare else { return try fileSystem.remove(path) }
        try fileSystem.rename(path, to: spare)
        state.withLock { $0.retired.append(spare) }
    }

    /// Removes every spare, also half-made ones, and makes none any more.
    ///
    /// Call it when no thread is in `prepareSpare`.
    func removeAll() throws(StorageError) {
        state.withLock { state in
            state.ready = []
            state.retired = []
            state.preparing = true
        }
        for name in try fileSystem.list(LogNames.directory)
        where LogNames.spare(ofName: name) != nil {
            try fileSystem.remove("\(LogNames.directory)/\(name)")
        }
    }

    /// Gets a spare ready if there is none: from a retired file, or by filling a new one with zeros.
    ///
    /// For a background thread: takes as long as writing `logFileBytes`. Returns at once when a
    /// spare is ready or being made.
    ///
    /// - Throws: `diskFull`, `io`. Harmless: the writer then makes its next file by itself.
    package func prepareSpare() throws(StorageError) {
        enum Step { case nothing, recycle([String]), make(UInt64) }
        let step: Step = state.withLock { state in
            if state.preparing { return .nothing }
            if !state.retired.isEmpty {
                state.preparing = true
                defer { state.retired = [] }
                return .recycle(state.retired)
            }
            guard state.ready.isEmpty else { return .nothing }
            state.preparing = true
            defer { state.nextIndex += 1 }
            return .make(state.nextIndex)
        }
        defer { state.withLock { $0.preparing = false } }
        switch step {
        case .nothing: return
        case .recycle(let paths):
            try fileSystem.syncDirectory(LogNames.directory)
            for path in paths { try recycle(path) }
        case .make(let index): try make(index)
        }
    }

    private func recycle(_ path: String) throws(StorageError) {
        let file = try fileSystem.open(path, create: false)
        let size = try file.size
        if size < fileBytes { try fill(file, from: size) }
        // A file made for one huge record is cut back, not kept for ever.
        if size > fileBytes { try file.truncate(to: fileBytes) }
        if size != fileBytes { try file.sync() }
        state.withLock { $0.ready.append(path) }
    }

    private func make(_ index: UInt64) throws(StorageError) {
        let unfinished = LogNames.sparePath(index, ready: false)
        do {
            let file = try fileSystem.open(unfinished, create: true)
            try file.allocate(fileBytes)
            try fill(file, from: 0)
            try file.sync()
            let path = LogNames.sparePath(index, ready: true)
            try fileSystem.rename(unfinished, to: path)
            state.withLock { $0.ready.append(path) }
        } catch {
            try? fileSystem.remove(unfinished)
            throw error
        }
    }

    private func fill(_ file: any FileHandle, from start: Int) throws(StorageError) {
        let zeros = [UInt8](repeating: 0, count: min(LogSpares.zeroFillBytes, fileBytes))
        var offset = start
        while offset < fileBytes {
            let count = min(zeros.count, fileBytes - offset)
            try file.writeBytes(zeros, count: count, at: offset)
            file.startWriteback(offset: offset, count: count)
            offset += count
        }
    }
}
