// A consistent copy of a store, taken from its files alone, while another process may be writing.
//
// The copy is a store that looks cleanly closed: a MANIFEST of the source, exactly the segments and
// catalog files it names, the log's records from `flushedThrough` up to the last whole one, and in
// MANIFEST the clean end there. So every byte of a backup is one that a check reads. MANIFEST and
// its predecessor are the same, which no store that was opened since has: `isUntouched`.
//
// Order: MANIFEST is read first, then segments and catalog files get their names in the copy (hard
// links where possible), then the log is copied, and at last the log's names are looked for again.
//
//     meanwhile, in the other process          what the copy does
//     ───────────────────────────────────────  ─────────────────────────────────────────────────
//     rows are written                         they are behind what is read, or in it: a record
//                                              is taken only whole. What was acknowledged before
//                                              the start is in segments or in the log read later.
//     a flush or merge replaces MANIFEST       nothing: a file is removed one replacement after
//                                              the last MANIFEST that named it (invariant 8).
//     another one removes files of ours        a link or open finds no file: MANIFEST is read
//                                              again. What is in the copy already, and named by
//                                              the new one, stays.
//     a second flush retires log files         a retired file loses its name before its bytes
//                                              change, and numbers are never used again. So the
//                                              bytes were right if the names are still there
//                                              afterwards; if not, MANIFEST is read again.
//     the process stops, is killed, starts     as above. A stop cuts a log file behind its last
//                                              record; a start writes unsynced records again as
//                                              they are, and begins a new file.
//     this process dies                        the copy is a directory that nobody names yet, and
//                                              the next backup removes it (BackupDirectory).
//
// Sharing a segment between two stores by a link is safe, since no byte of a segment or catalog
// file changes once it has its name: stores write under `.new` and rename, and only ever remove
// names. Log files are rewritten, cut and recycled in place, so they are always copied.

internal import Glibc

package enum Backup {
    /// How a backup came about.
    package struct Report: Sendable, Equatable {
        /// Segments and catalog files by the way they came: hard links into the source, bytes
        /// copied, and those the older backup had already.
        package var linked = FileCount()
        package var copied = FileCount()
        package var reused = FileCount()
        package var log = FileCount()
        /// The last record inside.
        package var lastSequence: UInt64 = 0
        package var manifestVersion: UInt64 = 0
        /// More than 1 where MANIFEST changed meanwhile.
        package var attempts = 0

        package init() {}
    }

    /// Told before each file.
    package struct Progress: Sendable {
        package var file: String
        package var bytesDone: Int
        package var bytesTotal: Int
    }

    /// MANIFESTs that may pass by while their files are taken.
    static let attemptsMax = 200

    /// Writes a copy of a store into a directory that nobody names yet. Durable on return, but for
    /// the directory's own name.
    ///
    /// - Parameter older: An earlier backup; what it has already is taken from there.
    /// - Throws: `corrupt` where the source is damaged; `diskFull` or `io`; `limit` if the store
    ///   changed faster than it could be copied.
    package static func write(
        from source: any FileSystem, into target: any FileSystem, reusing older: (any FileSystem)?,
        progress: (Progress) -> Void = { _ in }
    ) throws(StorageError) -> Report {
        try withoutActuallyEscaping(progress) { progress throws(StorageError) in
            var run = BackupRun(source: source, target: target, older: older, progress: progress)
            return try run.run()
        }
    }

    /// Whether a directory holds a backup that no process has opened since it was made.
    package static func isUntouched(_ fileSystem: any FileSystem) throws(StorageError) -> Bool {
        guard fileSystem.exists(Manifest.path), fileSystem.exists(Manifest.previousPath) else {
            return false
        }
        let bytes = try fileSystem.readFile(Manifest.path)
        guard bytes == (try fileSystem.readFile(Manifest.previousPath)) else { return false }
        let end = try Manifest.decode(bytes, path: Manifest.path).cleanEnd
        let newest = try fileSystem.list(LogNames.directory).compactMap(LogNames.number).max() ?? 0
        return end.map { newest <= $0.fileNumber } ?? false
    }
}

private struct BackupRun {
    let source: any FileSystem
    let target: any FileSystem
    let older: (any FileSystem)?
    let progress: (Backup.Progress) -> Void
    var report = Backup.Report()

    private enum Way { case linked, copied, reused }
    /// Files that lie whole in the target.
    private var placed: [String: (way: Way, byteCount: Int)] = [:]
    /// The last MANIFEST whose files could not all be taken, though it was still there.
    private var failed: Manifest?
    private var bytesDone = 0
    private var bytesTotal = 0

    init(
        source: any FileSystem, target: any FileSystem, older: (any FileSystem)?,
        progress: @escaping (Backup.Progress) -> Void
    ) {
        self.source = source
        self.target = target
        self.older = older
        self.progress = progress
    }

    mutating func run() throws(StorageError) -> Backup.Report {
        for directory in ["catalog", "data", LogNames.directory] {
            try target.createDirectory(directory)
        }
        for _ in 0..<Backup.attemptsMax {
            report.attempts += 1
            guard let loaded = try Manifest.load(source) else {
                throw .io(file: Manifest.path, call: "open", errno: ENOENT)
            }
            if let end = try attempt(loaded.manifest) {
                try finish(loaded.manifest, logEnd: end)
                return report
            }
        }
        throw .limit(
            "MANIFEST changed \(Backup.attemptsMax) times while its files were copied: "
                + "try again when fewer flushes and merges run")
    }

    /// Takes all that a MANIFEST names. Returns nil if the store has moved on.
    private mutating func attempt(_ manifest: Manifest) throws(StorageError) -> LogCopy.End? {
        do throws(StorageError) {
            let files =
                manifest.catalogFiles.map { (CatalogFile.path($0.number), $0.byteCount) }
                + manifest.segments.map { ($0.path, $0.byteCount) }
            bytesTotal = files.reduce(0) { $0 + $1.1 }
            bytesDone = 0
            for (path, byteCount) in files {
                try place(path, byteCount: byteCount)
                bytesDone += byteCount
            }
            for name in try target.list(LogNames.directory) {
                try target.remove("\(LogNames.directory)/\(name)")
            }
            progress(.init(file: "log", bytesDone: bytesDone, bytesTotal: bytesTotal))
            return try LogCopy.copy(
                from: source, into: target, after: manifest.flushedThrough,
                cleanEnd: manifest.cleanEnd)
        } catch {
            // Is it that the file went, or that it should be there?
            switch error {
            case .corrupt: break
            case .io(_, _, let number) where number == ENOENT: break
            default: throw error
            }
            if try Manifest.load(source)?.manifest != manifest { return nil }
            // A listing that is made while log files come may have one and not the one before.
            if failed != manifest {
                failed = manifest
                return nil
            }
            guard case .io(let file, _, _) = error else { throw error }
            throw .corrupt(file: file, offset: 0, reason: "the file is missing")
        }
    }

    /// Brings a segment or catalog file into the target, unless it is there.
    private mutating func place(_ path: String, byteCount: Int) throws(StorageError) {
        guard placed[path] == nil else { return }
        progress(.init(file: path, bytesDone: bytesDone, bytesTotal: bytesTotal))
        if let slash = path.lastIndex(of: "/") {
            try target.createDirectory(String(path[..<slash]))
        }
        if let older, try FileCopy.isSame(path, in: older, and: source),
            try older.link(path, into: target)
        {
            placed[path] = (.reused, byteCount)
        } else if try source.link(path, into: target) {
            placed[path] = (.linked, byteCount)
        } else {
            try target.remove(path)
            try FileCopy.copy(path, from: source, into: target, byteCount: byteCount)
            placed[path] = (.copied, byteCount)
        }
    }

    private mutating func finish(
        _ manifest: Manifest, logEnd: LogCopy.End
    ) throws(StorageError) {
        let named = Set(
            manifest.catalogFiles.map { CatalogFile.path($0.number) }
                + manifest.segments.map(\.path))
        for (path, file) in placed {
            guard named.contains(path) else {
                try target.remove(path)
                continue
            }
            switch file.way {
            case .linked: report.linked.add(file.byteCount)
            case .copied: report.copied.add(file.byteCount)
            case .reused: report.reused.add(file.byteCount)
            }
        }
        report.log = logEnd.copied
        report.lastSequence = logEnd.lastSequence
        report.manifestVersion = manifest.version
        try syncDirectories(named)
        var closed = manifest
        closed.cleanEnd = logEnd.position
        try closed.store(target, predecessor: closed.encoded())
    }

    /// Makes all names durable. Directories of files that were dropped again go.
    private func syncDirectories(_ named: Set<String>) throws(StorageError) {
        for database in try target.list("data") where database.hasSuffix("/") {
            let database = "data/" + database.dropLast()
            for partition in try target.list(database) where partition.hasSuffix("/") {
                let directory = database + "/" + partition.dropLast()
                if try target.list(directory).isEmpty {
                    try target.remove(directory)
                } else {
                    try target.syncDirectory(directory)
                }
            }
            if try target.list(database).isEmpty {
                try target.remove(database)
            } else {
                try target.syncDirectory(database)
            }
        }
        for directory in ["data", "catalog", LogNames.directory, ""] {
            try target.syncDirectory(directory)
        }
    }
}
