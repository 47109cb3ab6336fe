// Where a backup comes to lie. It is built in a hidden sibling, `.NAME.apus-backup`, read back
// whole, and only then gets its name, by one rename:
//
//     step                                        a crash afterwards leaves
//     ──────────────────────────────────────────  ─────────────────────────────────────────────
//     1  the sibling is made and locked           nothing under NAME, or the older backup; the
//     2  files come in, synced, MANIFEST last     sibling, which the next backup to NAME removes
//     3  every byte is verified
//     4  the sibling becomes NAME; with an older  the new backup, or as before; where there was an
//        backup there, the two swap names         older one, the other of the two in the sibling
//     5  the parent directory is synced           the new backup, for good
//     6  the older one goes                       the new backup
//
// Adding to an older backup makes a new directory too: files that are the same get a link from the
// old one, so that only new ones take room, and the old backup is whole until the new one is.

internal import Glibc

/// Why there is no backup.
package enum BackupFault: Error, Sendable {
    /// The directories given can't be meant so; the text says what to do.
    case refused(String)
    /// A directory isn't a store; the text names it.
    case noStore(String)
    case store(StorageError)
    /// What was copied isn't what was once written. Restore or remove these files first.
    case damaged([IntegrityCheck.Finding])
}

package enum BackupDirectory {
    package enum Step: Sendable {
        /// The work directory is made next: `begun` follows, or an error.
        case beginning
        /// The work directory at this path is there, and this process's own. Whoever ends the
        /// process has to `discard` it.
        case begun(path: String)
        case copying(Backup.Progress)
        case verifying(IntegrityCheck.Progress)
        /// All is well; the next thing is the name. Until this call returns nothing has changed.
        case naming
    }

    /// Removes what `begun` named, in a process that is about to end. What other threads still make
    /// in it goes too.
    package static func discard(path: String) {
        guard let slash = path.lastIndex(of: "/") else { return }
        let parent = String(path[..<slash])
        guard let files = try? PosixFileSystem(root: parent.isEmpty ? "/" : parent, create: false)
        else { return }
        for _ in 0..<100 where access(path, F_OK) == 0 {
            try? files.removeTree(String(path[path.index(after: slash)...]))
        }
    }

    /// Makes a backup under a name that doesn't exist yet, or is an empty directory.
    package static func create(
        from directory: String, at destination: String, progress: @escaping @Sendable (Step) -> Void
    ) throws(BackupFault) -> Backup.Report {
        let (source, place) = try resolve(directory, destination)
        if let path = place.existingPath {
            let isEmpty = try storage { () throws(StorageError) in
                try PosixFileSystem(root: path, create: false).list("").isEmpty
            }
            guard isEmpty else {
                throw .refused(
                    "\(destination) exists and isn't empty: choose another directory, or add to "
                        + "an earlier backup with --to \(destination)")
            }
        }
        return try build(source, place, older: nil, progress)
    }

    /// Brings an earlier backup up to date. Until that is done, the earlier one stays as it is.
    package static func update(
        from directory: String, to destination: String, progress: @escaping @Sendable (Step) -> Void
    ) throws(BackupFault) -> Backup.Report {
        let (source, place) = try resolve(directory, destination)
        guard let path = place.existingPath else {
            throw .refused(
                "there is no backup at \(destination) to add to: make it without --to")
        }
        let older = try storage { () throws(StorageError) in
            try PosixFileSystem(root: path, create: false)
        }
        guard older.exists(Manifest.path) else {
            throw .noStore("\(destination) is no backup: it holds no MANIFEST")
        }
        let lock = try storage { () throws(StorageError) in
            try DirectoryLock(directory: older.root)
        }
        defer { withExtendedLifetime(lock) {} }
        try checkDescent(of: older, from: source, destination)
        return try build(source, place, older: older, progress)
    }

    // MARK: Looking before

    private struct Place {
        var parent: PosixFileSystem
        var name: String
        var existingPath: String?
        var workName: String { ".\(name).apus-backup" }
    }

    private static func resolve(
        _ directory: String, _ destination: String
    ) throws(BackupFault) -> (PosixFileSystem, Place) {
        let source = try storage { () throws(StorageError) in
            try PosixFileSystem(root: directory, create: false)
        }
        guard source.exists(Manifest.path) || source.exists(Manifest.previousPath) else {
            throw .noStore("\(directory) is no data directory of Apus: it holds no MANIFEST")
        }
        let place = try locate(destination)
        let path = place.existingPath ?? "\(place.parent.root)/\(place.name)"
        if path == source.root {
            throw .refused("\(destination) is the data directory itself: choose another place")
        }
        if path.hasPrefix(source.root + "/") {
            throw .refused("\(destination) lies inside of \(directory): choose a place outside")
        }
        if source.root.hasPrefix(path + "/") {
            throw .refused("\(directory) lies inside of \(destination): choose another place")
        }
        return (source, place)
    }

    private static func locate(_ destination: String) throws(BackupFault) -> Place {
        var full = destination
        while full.count > 1, full.hasSuffix("/") { full.removeLast() }
        var existingPath: String?
        if let resolved = realpath(full, nil) {
            full = String(cString: resolved)
            free(resolved)
            existingPath = full
        }
        let slash = full.lastIndex(of: "/")
        let name = slash.map { String(full[full.index(after: $0)...]) } ?? full
        let parent = slash.map { $0 == full.startIndex ? "/" : String(full[..<$0]) } ?? "."
        guard !name.isEmpty, name != ".", name != ".." else {
            throw .refused("\(destination) can't be a backup: name a directory that is to be made")
        }
        return Place(
            parent: try storage { () throws(StorageError) in
                try PosixFileSystem(root: parent, create: false)
            }, name: name, existingPath: existingPath)
    }

    /// What replaces a directory must be its successor: nothing in it may get lost.
    private static func checkDescent(
        of older: PosixFileSystem, from source: PosixFileSystem, _ destination: String
    ) throws(BackupFault) {
        let isUntouched = try storage { () throws(StorageError) in
            try Backup.isUntouched(older)
        }
        guard isUntouched else {
            throw .refused(
                "\(destination) is no backup, or was opened since it was made, and what was "
                    + "written then would be lost: make a new backup elsewhere")
        }
        let (old, new) = try storage { () throws(StorageError) in
            (try Manifest.load(older)?.manifest, try Manifest.load(source)?.manifest)
        }
        guard let old, let new else { return }
        var isSuccessor =
            old.version <= new.version && old.nextFileNumber <= new.nextFileNumber
            && old.flushedThrough <= new.flushedThrough
        let current = Set(
            new.segments.map(\.path) + new.catalogFiles.map { CatalogFile.path($0.number) })
        let shared = old.segments.map(\.path) + old.catalogFiles.map { CatalogFile.path($0.number) }
        for path in shared where isSuccessor && current.contains(path) {
            // A file that goes meanwhile says nothing.
            let isSame = try? FileCopy.isSame(path, in: older, and: source)
            isSuccessor = isSame ?? true
        }
        guard isSuccessor else {
            throw .refused(
                "\(destination) is a backup of another store, or of a later state: "
                    + "make a new backup elsewhere")
        }
    }

    // MARK: Building

    private static func build(
        _ source: PosixFileSystem, _ place: Place, older: PosixFileSystem?,
        _ progress: @escaping @Sendable (Step) -> Void
    ) throws(BackupFault) -> Backup.Report {
        let (parent, work) = (place.parent, place.workName)
        progress(.beginning)
        let lock = try takeWorkDirectory(place)
        defer { withExtendedLifetime(lock) {} }
        let report: Backup.Report
        progress(.begun(path: parent.root + "/" + work))
        do throws(BackupFault) {
            report = try fill(source, parent.root + "/" + work, older, progress)
            progress(.naming)
            try storage { () throws(StorageError) in
                try giveName(place, replaces: older != nil)
            }
        } catch {
            try? parent.removeTree(work)
            throw error
        }
        // Until the swap is durable, a power cut may bring the older one back: nothing of it goes.
        try storage { () throws(StorageError) in try parent.syncDirectory("") }
        // The new one is in its place: what can't be removed is left to the next backup.
        try? parent.removeTree(work)
        return report
    }

    /// An empty sibling of the destination, held for this process.
    private static func takeWorkDirectory(_ place: Place) throws(BackupFault) -> DirectoryLock {
        let path = place.parent.root + "/" + place.workName
        return try storage { () throws(StorageError) in
            do throws(StorageError) { try place.parent.createDirectory(place.workName) } catch {
                guard case .io(_, let call, let number) = error else { throw error }
                throw .io(file: path, call: call, errno: number)
            }
            let lock = try DirectoryLock(directory: path)
            // What a backup left that didn't come to its end.
            try clear(try PosixFileSystem(root: path, create: false))
            return lock
        }
    }

    private static func clear(_ target: PosixFileSystem) throws(StorageError) {
        for name in try target.list("") where name != "LOCK" {
            if name.hasSuffix("/") {
                try target.removeTree(String(name.dropLast()))
            } else {
                try target.remove(name)
            }
        }
    }

    private static func fill(
        _ source: PosixFileSystem, _ path: String, _ older: PosixFileSystem?,
        _ progress: @escaping @Sendable (Step) -> Void
    ) throws(BackupFault) -> Backup.Report {
        let target = try storage { () throws(StorageError) in
            try PosixFileSystem(root: path, create: false)
        }
        let report = try storage { () throws(StorageError) in
            try Backup.write(from: source, into: target, reusing: older) {
                progress(.copying($0))
            }
        }
        let check = try storage { () throws(StorageError) in
            try IntegrityCheck.run(fileSystem: target) { progress(.verifying($0)) }
        }
        guard check.findings.isEmpty else {
            guard older != nil, report.reused.files > 0 else { throw .damaged(check.findings) }
            // Perhaps it is the older backup that was damaged: everything comes from the source.
            try storage { () throws(StorageError) in try clear(target) }
            return try fill(source, path, nil, progress)
        }
        return report
    }

    /// Makes the work directory the destination. After a throw nothing has changed.
    private static func giveName(_ place: Place, replaces: Bool) throws(StorageError) {
        let parent = place.parent
        guard replaces else { return try parent.rename(place.workName, to: place.name) }
        if try parent.exchange(place.workName, place.name) { return }
        // For a moment nothing has the name; both are whole.
        let aside = place.workName + "-older"
        try parent.rename(place.name, to: aside)
        do throws(StorageError) { try parent.rename(place.workName, to: place.name) } catch {
            try? parent.rename(aside, to: place.name)
            throw error
        }
        try? parent.rename(aside, to: place.workName)
    }

    private static func storage<Result>(
        _ body: () throws(StorageError) -> Result
    ) throws(BackupFault) -> Result {
        do throws(StorageError) { return try body() } catch { throw .store(error) }
    }
}
