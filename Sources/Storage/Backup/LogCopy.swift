// Copies the part of a log that a MANIFEST still needs, from files that may be growing.
//
// LogReader judges a log that stands still. Here a record may be half written while it is read, so
// an end is judged like this: where no whole record lies, the log ends, unless a later record says
// that the missing one was synced before. Then the place is read again, after that later record:
// a record that was merely under way is whole by now, and what still is not is damage.

enum LogCopy {
    struct End {
        var copied = FileCount()
        var lastSequence: UInt64
        /// Where the copy's last record ends.
        var position: LogPosition
    }

    /// - Returns: nil if files lost their names meanwhile, so that their bytes mean nothing.
    /// - Throws: `corrupt` for damage, or for files that went before they were read.
    static func copy(
        from source: any FileSystem, into target: any FileSystem, after flushedThrough: UInt64,
        cleanEnd: LogPosition?
    ) throws(StorageError) -> End? {
        let chain = try LogChain(fileSystem: source)
        if let error = chain.firstUnsupported { throw error }
        // Without a file there is nothing to end; the number is below that of any file to come.
        var end = End(
            lastSequence: flushedThrough,
            position: LogPosition(fileNumber: 0, offset: UInt64(LogFileHeader.pageBytes)))
        if let cleanEnd { end.position = cleanEnd }
        guard
            let start = try chain.firstNeeded(flushedThrough: flushedThrough, cleanEnd: cleanEnd)
        else { return end }
        var expected = chain.files[start].firstSequence
        for index in start..<chain.files.count {
            try chain.checkLink(index, start: start, expected: expected)
            let number = chain.files[index].number
            let path = LogNames.path(number)
            let found = try recordsEnd(
                source, number, limit: chain.limit(index),
                cleanOffset: cleanEnd?.fileNumber == number ? cleanEnd?.offset : nil)
            try FileCopy.copy(
                path, from: source, into: target, byteCount: found.offset, isWholeFile: false)
            end.copied.add(found.offset)
            end.position = LogPosition(fileNumber: number, offset: UInt64(found.offset))
            expected = found.nextSequence
        }
        end.lastSequence = max(flushedThrough, expected - 1)
        for file in chain.files[start...] {
            guard source.exists(LogNames.path(file.number)) else { return nil }
        }
        return end
    }

    /// Behind the last whole record of a file, and the sequence that comes next.
    private static func recordsEnd(
        _ source: any FileSystem, _ number: UInt64, limit: UInt64?, cleanOffset: UInt64?
    ) throws(StorageError) -> (offset: Int, nextSequence: UInt64) {
        let cursor = try LogFileCursor(fileSystem: source, number: number)
        var offset = LogFileHeader.pageBytes
        var next = cursor.header.firstSequence
        while limit.map({ next < $0 }) ?? true {
            guard
                let byteCount = try storedBytes(cursor, offset: offset, sequence: next)
            else { break }
            offset += byteCount
            next += 1
        }
        func damaged(_ reason: String) -> StorageError {
            .corrupt(file: cursor.path, offset: UInt64(offset), reason: reason)
        }
        if let limit, next != limit {
            throw damaged("the file ends; records \(next) to \(limit - 1) are missing")
        }
        if let cleanOffset, UInt64(offset) != cleanOffset {
            throw damaged("the log ends, but was shut down cleanly at \(cleanOffset)")
        }
        if limit == nil, try isVouchedFor(source, number, offset: offset, sequence: next) {
            throw damaged("no whole record where record \(next) was durable")
        }
        return (offset, next)
    }

    /// The bytes of the record with this sequence; nil if there is no whole one.
    private static func storedBytes(
        _ cursor: LogFileCursor, offset: Int, sequence: UInt64
    ) throws(StorageError) -> Int? {
        guard case .record(let record, _, let storedBytes) = try cursor.record(at: offset),
            record.sequence == sequence
        else { return nil }
        guard record.kind <= LogRecord.Kind.newest.rawValue else {
            throw .unsupportedFormat(
                file: cursor.path, found: UInt32(record.kind),
                newestKnown: UInt32(LogRecord.Kind.newest.rawValue))
        }
        return storedBytes
    }

    /// Whether a later record says that this one was synced, and it is not there all the same.
    private static func isVouchedFor(
        _ source: any FileSystem, _ number: UInt64, offset: Int, sequence: UInt64
    ) throws(StorageError) -> Bool {
        // A cursor remembers what it read, so each look is through a new one.
        let ahead = try LogFileCursor(fileSystem: source, number: number)
        var place = offset
        while let later = try ahead.nextRecord(from: place, sequenceAtLeast: sequence) {
            if later.header.durableThrough >= sequence {
                let again = try LogFileCursor(fileSystem: source, number: number)
                return try storedBytes(again, offset: offset, sequence: sequence) == nil
            }
            place = later.offset + later.storedBytes
        }
        return false
    }
}
