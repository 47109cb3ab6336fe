/// Appends records to the log, a group at a time: one write and one sync for all that gathered.
///
/// One thread owns a writer. A group is built in memory (`beginGroup`, `appendRecord` …) and goes
/// out whole into one file (`commitGroup`); a file too full for it is synced and closed, and the
/// next begins. The first file is made by the first commit, so that a store opens on a full disk.
///
/// Invariants
///   - Sequences rise by one. A group that wasn't written gives its sequences back.
///   - After a failed write the place is zeros again, durably, before anything else is written
///     there: no record of a refused group can be replayed.
///   - After a failed sync nothing is ever written or synced again: what it left is unknown.
package final class LogWriter {
    /// Spare files. Call `spares.prepareSpare()` from a background thread.
    package let spares: LogSpares

    /// The last sequence written.
    package private(set) var lastSequence: UInt64
    /// The last sequence known to be on the device.
    package private(set) var durableThrough: UInt64
    /// Record bytes written by this writer.
    package private(set) var bytesSinceStart = 0
    /// Why nothing can be written any more.
    package private(set) var failure: StorageError?

    private let fileSystem: any FileSystem
    private let fileBytes: Int
    private let payloadBytesMax: Int
    private let makeGeneration: () -> UInt32
    private var nextFileNumber: UInt64
    private var closedFiles: [LogFileSummary]
    private var current: OpenFile?

    private var group = ByteWriter()
    private var groupOffsets: [Int] = []

    private struct OpenFile {
        var file: any FileHandle
        var path: String
        var number: UInt64
        var generation: UInt32
        var firstSequence: UInt64
        var capacityBytes: Int
        /// Where the next record goes.
        var offset: Int
    }

    /// - Parameters:
    ///   - nextSequence: One more than what recovery found, at least 1.
    ///   - nextFileNumber: `LogRecovery.nextFileNumber`.
    ///   - payloadBytesMax: Tests make it small.
    ///   - liveFiles: `LogRecovery.files`; they are removed like the writer's own.
    ///   - makeGeneration: Tests that compare bytes pass their own. Random otherwise, so that no
    ///     payload can pretend to be a record of its file.
    /// - Throws: `io` if `log/` can't be made or listed.
    package init(
        fileSystem: any FileSystem, nextSequence: UInt64, nextFileNumber: UInt64,
        options: StorageOptions, payloadBytesMax: Int = LogRecord.payloadBytesMax,
        liveFiles: [LogFileSummary] = [],
        makeGeneration: @escaping () -> UInt32 = { UInt32.random(in: 1...UInt32.max) }
    ) throws(StorageError) {
        precondition(nextSequence > 0, "BUG: sequences start at 1")
        self.fileSystem = fileSystem
        self.nextFileNumber = max(nextFileNumber, 1)
        self.payloadBytesMax = min(payloadBytesMax, LogRecord.payloadBytesMax)
        self.makeGeneration = makeGeneration
        // Room for the header, one small record and its end; pages keep writes aligned.
        fileBytes = max(options.logFileBytes, 2 * LogFileHeader.pageBytes)
        lastSequence = nextSequence - 1
        durableThrough = nextSequence - 1
        closedFiles = liveFiles
        if !fileSystem.exists(LogNames.directory) {
            try fileSystem.createDirectory(LogNames.directory)
        }
        // Also if it exists: whoever made it may have died before this.
        try fileSystem.syncDirectory("")
        spares = try LogSpares(fileSystem: fileSystem, fileBytes: fileBytes)
    }

    /// The place behind the last record. Where there is no file, the header's end in the one
    /// before the next, since the next will hold more than a header.
    package var currentPosition: LogPosition {
        if let last = liveFiles.last {
            return LogPosition(fileNumber: last.number, offset: UInt64(last.bytes))
        }
        return LogPosition(
            fileNumber: nextFileNumber - 1, offset: UInt64(LogFileHeader.pageBytes))
    }

    /// Oldest first; the last is the one being written, if there is one.
    package var liveFiles: [LogFileSummary] {
        guard let current else { return closedFiles }
        return closedFiles + [summary(current)]
    }

    // MARK: A group

    /// Forgets a group that wasn't committed, and starts an empty one.
    package func beginGroup() {
        group.removeAll()
        groupOffsets.removeAll(keepingCapacity: true)
    }

    /// Adds a record to the group and returns the sequence it has once the group is committed.
    ///
    /// `payload` appends its bytes to the writer, after what is there already.
    ///
    /// - Throws: `limit` if they are more than a record may hold; the group is as it was before.
    @discardableResult
    package func appendRecord(
        kind: LogRecord.Kind, payload: (inout ByteWriter) -> Void
    ) throws(StorageError) -> UInt64 {
        let start = group.count
        let sequence = lastSequence + UInt64(groupOffsets.count) + 1
        group.appendZeros(LogRecord.headerBytes)
        payload(&group)
        let payloadBytes = group.count - start - LogRecord.headerBytes
        precondition(payloadBytes >= 0, "BUG: a payload removed bytes")
        guard payloadBytes <= payloadBytesMax else {
            group.truncate(to: start)
            throw .limit(
                "a write of \(payloadBytes) bytes does not fit into a log record, which holds "
                    + "\(payloadBytesMax): send it in parts")
        }
        group.patch(
            UInt32(clamping: payloadBytes), at: start + LogRecord.Offset.payloadSize)
        group.patch(sequence, at: start + LogRecord.Offset.sequence)
        group.patch(kind.rawValue, at: start + LogRecord.Offset.kind)
        group.alignTo(8)
        groupOffsets.append(start)
        return sequence
    }

    /// Writes the group, and with `sync` makes it and all before it durable.
    ///
    /// - Throws: `diskFull` or `io` with nothing stored, and the sequences given back: go
    ///   on with the next group. `readOnly` if a sync failed: the group's fate is unknown until the
    ///   log is read again, and every later call throws the same. `closed` after `finishCleanly`.
    package func commitGroup(sync: Bool) throws(StorageError) {
        if let failure { throw failure }
        guard !groupOffsets.isEmpty else {
            if sync { try self.sync() }
            return
        }
        defer { beginGroup() }
        let recordBytes = group.count
        group.appendZeros(LogRecord.terminatorBytes)
        var target = try fileWithRoom(for: group.count)
        sealRecords(generation: target.generation)
        do {
            try target.file.writeBytes(group.bytes, at: target.offset)
        } catch {
            try erase(target, byteCount: group.count, after: error)
            throw error
        }
        lastSequence += UInt64(groupOffsets.count)
        target.offset += recordBytes
        bytesSinceStart += recordBytes
        current = target
        if sync { try self.sync() }
    }

    /// Makes everything written durable.
    ///
    /// - Throws: `readOnly`, now and ever after. `closed` after `finishCleanly`.
    package func sync() throws(StorageError) {
        if let failure { throw failure }
        guard let current, durableThrough < lastSequence else { return }
        do {
            try current.file.sync()
        } catch {
            throw poison("a sync of \(current.path) failed: \(error)")
        }
        durableThrough = lastSequence
    }

    /// Recycles or removes the files whose records all have sequences of at most `sequence`; never
    /// the newest. Call it only once whatever replaces them is durable.
    ///
    /// - Throws: `io`; what wasn't removed stays listed and is tried again next time.
    package func removeFiles(whollyAtOrBelow sequence: UInt64) throws(StorageError) {
        // Ascending, so that the files left are the newest whatever happens in between.
        while let oldest = oldestRemovable, oldest.lastSequence <= sequence {
            let path = LogNames.path(oldest.number)
            if fileSystem.exists(path) { try spares.retire(path) }
            closedFiles.removeFirst()
        }
    }

    // MARK: The end

    /// Ends the log so that every byte left in `log/` is one that a reader checks: all is synced,
    /// files end where their records end, spares are gone. Nothing can be written afterwards.
    ///
    /// - Parameter flushedThrough: Files whose records all have sequences of at most this are
    ///   removed, but for the newest; whatever replaces them is durable.
    /// - Returns: The clean end for MANIFEST, which has to be written after this call.
    /// - Throws: `io`, or `readOnly` after an earlier failure; then there is no clean end.
    package func finishCleanly(flushedThrough: UInt64) throws(StorageError) -> LogPosition {
        try sync()
        failure = .closed
        try spares.removeAll()
        while let oldest = oldestRemovable, oldest.lastSequence <= flushedThrough {
            try fileSystem.remove(LogNames.path(oldest.number))
            closedFiles.removeFirst()
        }
        for closed in closedFiles {
            let file = try fileSystem.open(LogNames.path(closed.number), create: false)
            try cut(file, to: closed.bytes)
        }
        if let current { try cut(current.file, to: current.offset) }
        try fileSystem.syncDirectory(LogNames.directory)
        return currentPosition
    }

    private func cut(_ file: any FileHandle, to byteCount: Int) throws(StorageError) {
        guard try file.size > byteCount else { return }
        try file.truncate(to: byteCount)
        try file.sync()
    }

    // MARK: Inside

    /// The newest file stays, even if nobody needs its records: MANIFEST may say that the log ended
    /// in it, and it is only afterwards that it can say something else.
    private var oldestRemovable: LogFileSummary? {
        current != nil || closedFiles.count > 1 ? closedFiles.first : nil
    }

    /// Fills in what is known only when the file is.
    private func sealRecords(generation: UInt32) {
        for start in groupOffsets {
            group.patch(durableThrough, at: start + LogRecord.Offset.durableThrough)
            group.patch(generation, at: start + LogRecord.Offset.generation)
            // Safe: `appendRecord` put a whole header at `start` and aligned the record's end, so
            // that `end`, computed from that header, lies in the group; the bytes stay in the closure.
            let checksum = group.bytes.withUnsafeBytes { bytes -> UInt32 in
                let header = LogRecordHeader(UnsafeRawBufferPointer(rebasing: bytes[start...]))
                let end = start + LogRecord.storedBytes(payloadBytes: header.payloadBytes)
                return CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[(start + 4)..<end]))
            }
            group.patch(checksum, at: start)
        }
    }

    private func fileWithRoom(for byteCount: Int) throws(StorageError) -> OpenFile {
        if let current, current.offset + byteCount <= current.capacityBytes { return current }
        // The next file's header says that all before it is durable.
        try sync()
        let made = try makeFile(
            capacityBytes: max(fileBytes, LogFileHeader.pageBytes + byteCount))
        if let current { closedFiles.append(summary(current)) }
        current = made
        nextFileNumber = made.number + 1
        return made
    }

    /// Makes the next file: header, sync, name, sync of the name; records come only then.
    private func makeFile(capacityBytes: Int) throws(StorageError) -> OpenFile {
        let number = nextFileNumber
        let path = LogNames.path(number)
        let header = LogFileHeader(
            generation: makeGeneration(), fileNumber: number,
            firstSequence: lastSequence + 1, durableThrough: lastSequence)
        let source: String
        let file: any FileHandle
        if capacityBytes <= fileBytes, let spare = spares.take() {
            source = spare
            file = try fileSystem.open(spare, create: false)
        } else {
            source = path + ".new"
            try fileSystem.remove(source)
            file = try fileSystem.open(source, create: true)
        }
        do {
            try file.allocate(capacityBytes)
            // With the terminator behind it, so that an empty file ends cleanly.
            try file.writeBytes(
                header.encoded() + [UInt8](repeating: 0, count: LogRecord.terminatorBytes), at: 0)
            try file.sync()
            try fileSystem.rename(source, to: path)
        } catch {
            // Nothing has its name yet, and nothing was promised.
            try? fileSystem.remove(source)
            throw error
        }
        do {
            try fileSystem.syncDirectory(LogNames.directory)
        } catch {
            throw poison("a sync of \(LogNames.directory)/ failed: \(error)")
        }
        return OpenFile(
            file: file, path: path, number: number, generation: header.generation,
            firstSequence: header.firstSequence, capacityBytes: capacityBytes,
            offset: LogFileHeader.pageBytes)
    }

    /// Puts zeros over a group that was written in part, and makes them durable.
    ///
    /// The whole group, not only its first header: records left behind could otherwise join up
    /// with a later group of the same sizes. Where the file can't take zeros, it is cut.
    private func erase(
        _ target: OpenFile, byteCount: Int, after cause: StorageError
    ) throws(StorageError) {
        let zeros = [UInt8](repeating: 0, count: byteCount)
        do {
            do throws(StorageError) {
                try target.file.writeBytes(zeros, at: target.offset)
            } catch {
                try target.file.truncate(to: target.offset)
            }
            try target.file.sync()
            durableThrough = lastSequence
        } catch {
            throw poison("a write to \(target.path) failed and can't be undone: \(cause)")
        }
    }

    private func poison(_ reason: String) -> StorageError {
        let error = StorageError.readOnly(reason: reason + "; reopen the store to write again")
        failure = error
        return error
    }

    private func summary(_ file: OpenFile) -> LogFileSummary {
        LogFileSummary(
            number: file.number, firstSequence: file.firstSequence, lastSequence: lastSequence,
            bytes: file.offset)
    }
}
