// Reading the log when a store opens. LogRecord.swift has the drawing, LogFileCursor the bytes.
//
// What a bad record means
//   1. In any file but the last: damage, unless the next file begins with the sequence that is
//      missing (then an earlier recovery has cut the tail here already).
//   2. In the last file, below the end that a clean shutdown recorded: damage.
//   3. In the last file with a valid record of the same generation behind it that says
//      `durableThrough` at or above the missing sequence: damage.
//   4. Otherwise a tail that was being written when the process or the machine died: cut, reported.
// Zeros end a file; behind them rule 3 is tried as well.

/// What reading the log found.
package struct LogRecovery: Sendable {
    /// Bytes at the end that a crash left unfinished. Nothing acknowledged as durable is in them.
    package struct TornTail: Equatable, Sendable {
        package var file: String
        package var offset: UInt64
        package var reason: String
    }

    /// The last sequence that counts: replayed, or covered by `flushedThrough`.
    package var lastSequence: UInt64
    /// All log files, oldest first, also those that weren't needed.
    package var files: [LogFileSummary]
    package var nextFileNumber: UInt64
    package var tornTail: TornTail?
    package var recordCount = 0
    /// Record bytes read, replayed or skipped.
    package var byteCount = 0
}

/// Something in the log that isn't as it was written.
package struct LogProblem: Equatable, Sendable {
    package var file: String
    package var offset: UInt64
    package var what: String
    /// False for a torn tail, which the next opening cuts without loss.
    package var isDamage: Bool
}

package enum LogReader {
    /// Hands over every record above `flushedThrough` in order, then makes what it read durable.
    ///
    /// Memory is one megabyte, or the largest record. The payload is valid inside `body` only.
    ///
    /// - Parameter cleanEnd: What MANIFEST recorded at a clean shutdown. It may stay there while
    ///   later files are written.
    /// - Throws: `corrupt` for damage; `unsupportedFormat` for a newer file or record kind; `io`;
    ///   and what `body` throws. Records before the damage have been handed over by then.
    package static func replay(
        fileSystem: any FileSystem, after flushedThrough: UInt64, cleanEnd: LogPosition?,
        body: (UInt64, LogRecord.Kind, UnsafeRawBufferPointer) throws(StorageError) -> Void
    ) throws(StorageError) -> LogRecovery {
        var chain = try LogChain(fileSystem: fileSystem)
        if let error = chain.firstUnsupported { throw error }
        let start = try chain.firstNeeded(flushedThrough: flushedThrough, cleanEnd: cleanEnd)
        var recovery = LogRecovery(
            lastSequence: flushedThrough, files: [],
            nextFileNumber: chain.nextFileNumber(cleanEnd: cleanEnd))
        guard let start else { return recovery }
        var expected = chain.files[start].firstSequence
        for index in start..<chain.files.count {
            try chain.checkLink(index, start: start, expected: expected)
            let walk = try walkFile(
                LogFileCursor(fileSystem: fileSystem, number: chain.files[index].number),
                limit: chain.limit(index), cleanEnd: cleanEnd
            ) { (record, kind, payload) throws(StorageError) in
                guard record.sequence > flushedThrough else { return }
                recovery.recordCount += 1
                try body(record.sequence, kind, payload)
            }
            if let damage = walk.damage { throw damage }
            expected = walk.nextSequence
            chain.files[index].bytes = walk.end
            chain.files[index].nextSequence = expected
            recovery.byteCount += walk.end - LogFileHeader.pageBytes
            recovery.tornTail = walk.tornTail
            if chain.limit(index) == nil {
                try makeDurable(walk)
            }
        }
        recovery.lastSequence = max(flushedThrough, expected - 1)
        recovery.files = chain.summaries()
        return recovery
    }

    /// Reads the whole log and reports all it finds wrong, going on behind damage where it can.
    ///
    /// Changes nothing. Files that `flushedThrough` makes superfluous are read as well.
    ///
    /// - Parameter endsAreCut: Whether bytes behind the records of a file are damage in files up to
    ///   the clean end, as `LogWriter.finishCleanly` leaves none.
    /// - Throws: `io`; `unsupportedFormat` for a record kind of a newer release.
    package static func verify(
        fileSystem: any FileSystem, flushedThrough: UInt64, cleanEnd: LogPosition?,
        endsAreCut: Bool = false, report: (LogProblem) -> Void
    ) throws(StorageError) {
        let chain = try LogChain(fileSystem: fileSystem)
        var reported: Set<StorageError.Place> = []
        func tell(_ error: StorageError) {
            guard let problem = LogProblem(error), reported.insert(problem.place).inserted else {
                return
            }
            report(problem)
        }
        for file in chain.files { if let problem = file.problem { tell(problem) } }
        var start: Int?
        do throws(StorageError) {
            start = try chain.firstNeeded(flushedThrough: flushedThrough, cleanEnd: cleanEnd)
        } catch { tell(error) }
        var expected: UInt64?
        for (index, file) in chain.files.enumerated() {
            guard file.problem == nil else {
                expected = nil
                continue
            }
            // Files below `start` may have holes between them: nobody needs them.
            if let known = expected, let start, index > start {
                do throws(StorageError) {
                    try chain.checkLink(index, start: start, expected: known)
                } catch { tell(error) }
            }
            let hasHole =
                index < start ?? 0 && index + 1 < chain.files.count
                && chain.files[index + 1].number != file.number + 1
            let walk = try walkFile(
                LogFileCursor(fileSystem: fileSystem, number: file.number),
                limit: hasHole ? nil : chain.limit(index), cleanEnd: cleanEnd, goesOn: true,
                onDamage: tell
            ) { (_, _, _) throws(StorageError) in }
            if let damage = walk.damage {
                tell(damage)
            } else if endsAreCut, let cleanEnd, file.number <= cleanEnd.fileNumber,
                walk.end < walk.cursor.fileBytes
            {
                tell(
                    .corrupt(
                        file: walk.cursor.path, offset: UInt64(walk.end),
                        reason: "\(walk.cursor.fileBytes - walk.end) bytes behind the end of a log "
                            + "that was shut down cleanly"))
            }
            if let tail = walk.tornTail {
                report(
                    LogProblem(
                        file: tail.file, offset: tail.offset, what: tail.reason, isDamage: false))
            }
            // What is missing at the end of this file was told; the next may still be missing.
            expected = walk.damage == nil ? walk.nextSequence : chain.limit(index)
        }
    }
}

extension LogReader {
    /// Writes the records that nothing vouches for once more, and syncs them.
    ///
    /// After a mere end of the process they may be in the page cache only, and the next file's
    /// header will say that they are durable. If a sync failed, the system takes its pages for
    /// clean ever after: only writing them again makes the next sync mean something.
    private static func makeDurable(_ walk: Walk) throws(StorageError) {
        let file = walk.cursor.file
        var offset = walk.unsyncedStart
        var piece = [UInt8](
            repeating: 0, count: min(LogFileCursor.pieceBytes, max(walk.end - offset, 0)))
        while offset < walk.end {
            let wanted = min(piece.count, walk.end - offset)
            // Safe: `wanted` is at most the piece's size, and the memory stays in the closure.
            let outcome: Result<Int, StorageError> = piece.withUnsafeMutableBytes { buffer in
                let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
                do throws(StorageError) {
                    return .success(try file.read(into: part, at: offset))
                } catch { return .failure(error) }
            }
            let count = try outcome.get()
            guard count > 0 else { break }
            try file.writeBytes(piece, count: count, at: offset)
            offset += count
        }
        try file.sync()
    }

    struct Walk {
        var cursor: LogFileCursor
        /// Where the first record begins that the last one doesn't call durable.
        var unsyncedStart = LogFileHeader.pageBytes
        fileprivate var lastDurableThrough: UInt64 = 0
        /// Behind the last record taken.
        var end = LogFileHeader.pageBytes
        var nextSequence: UInt64
        var damage: StorageError?
        var tornTail: LogRecovery.TornTail?
    }

    /// Reads a file's records up to its end, and judges that end.
    ///
    /// - Parameters:
    ///   - limit: The next file's first sequence; nil for the last file.
    ///   - goesOn: Whether to look for more records behind damage, which `onDamage` is then told of.
    static func walkFile(
        _ cursor: LogFileCursor, limit: UInt64?, cleanEnd: LogPosition?, goesOn: Bool = false,
        onDamage: (StorageError) -> Void = { _ in },
        body: (LogRecordHeader, LogRecord.Kind, UnsafeRawBufferPointer)
            throws(StorageError) -> Void
    ) throws(StorageError) -> Walk {
        var walk = Walk(cursor: cursor, nextSequence: cursor.header.firstSequence)
        while true {
            let reason = try takeRecords(&walk, limit: limit, body: body)
            judgeEnd(&walk, reason: reason, limit: limit, cleanEnd: cleanEnd)
            if walk.damage == nil, limit == nil {
                try judgeTail(&walk, reason: reason, cleanEnd: cleanEnd)
            }
            guard goesOn, let damage = walk.damage else { return walk }
            onDamage(damage)
            guard let next = try laterRecord(&walk, from: walk.end + 8) else { return walk }
            walk.damage = nil
            walk.end = next.offset
            walk.nextSequence = next.header.sequence
        }
    }

    /// Takes records as long as they are good. Returns why it stopped; nil at zeros or the limit.
    private static func takeRecords(
        _ walk: inout Walk, limit: UInt64?,
        body: (LogRecordHeader, LogRecord.Kind, UnsafeRawBufferPointer)
            throws(StorageError) -> Void
    ) throws(StorageError) -> String? {
        while true {
            // What an earlier recovery cut off lies behind the sequences the next file took over.
            if let limit, walk.nextSequence >= limit { return nil }
            switch try walk.cursor.record(at: walk.end) {
            case .terminator: return nil
            case .bad(let reason): return reason
            case .record(let record, let payload, let storedBytes):
                guard record.sequence == walk.nextSequence else {
                    return "sequence \(record.sequence) where \(walk.nextSequence) belongs"
                }
                guard let kind = LogRecord.Kind(rawValue: record.kind) else {
                    throw .unsupportedFormat(
                        file: walk.cursor.path, found: UInt32(record.kind),
                        newestKnown: UInt32(LogRecord.Kind.newest.rawValue))
                }
                try body(record, kind, payload)
                if record.durableThrough > walk.lastDurableThrough {
                    // The first record after a sync is the first to say so: all before it was synced.
                    walk.lastDurableThrough = record.durableThrough
                    walk.unsyncedStart = walk.end
                }
                walk.end += storedBytes
                walk.nextSequence = record.sequence + 1
            }
        }
    }

    /// Rules 1 and 2.
    private static func judgeEnd(
        _ walk: inout Walk, reason: String?, limit: UInt64?, cleanEnd: LogPosition?
    ) {
        func damaged(_ text: String) -> StorageError {
            .corrupt(file: walk.cursor.path, offset: UInt64(walk.end), reason: text)
        }
        if let limit, walk.nextSequence != limit {
            walk.damage = damaged(
                "\(reason ?? "the file ends"); records \(walk.nextSequence) to \(limit - 1) are "
                    + "missing, which were durable")
        } else if let cleanEnd, cleanEnd.fileNumber == walk.cursor.header.fileNumber,
            UInt64(walk.end) != cleanEnd.offset || reason != nil
        {
            walk.damage = damaged(
                "\(reason ?? "the log ends"), but was shut down cleanly at \(cleanEnd.offset)")
        }
    }

    /// Rules 3 and 4.
    private static func judgeTail(
        _ walk: inout Walk, reason: String?, cleanEnd: LogPosition?
    ) throws(StorageError) {
        var offset = walk.end
        var orphanCount = 0
        while let later = try laterRecord(&walk, from: offset) {
            guard later.header.durableThrough < walk.nextSequence else {
                walk.damage = .corrupt(
                    file: walk.cursor.path, offset: UInt64(walk.end),
                    reason: "\(reason ?? "zeros") where record \(walk.nextSequence) was durable, "
                        + "says the record at \(later.offset)")
                return
            }
            orphanCount += 1
            offset = later.offset + later.storedBytes
        }
        guard walk.damage == nil, reason != nil || orphanCount > 0 else { return }
        walk.tornTail = LogRecovery.TornTail(
            file: walk.cursor.path, offset: UInt64(walk.end),
            reason: (reason ?? "zeros")
                + (orphanCount == 0
                    ? "" : ", before \(orphanCount) whole records that were never synced"))
    }

    /// The next record that counts, or nil; damage that makes the search hopeless is kept.
    private static func laterRecord(
        _ walk: inout Walk, from offset: Int
    ) throws(StorageError) -> (offset: Int, header: LogRecordHeader, storedBytes: Int)? {
        do {
            return try walk.cursor.nextRecord(from: offset, sequenceAtLeast: walk.nextSequence)
        } catch {
            guard case .corrupt = error else { throw error }
            walk.damage = error
            return nil
        }
    }
}
