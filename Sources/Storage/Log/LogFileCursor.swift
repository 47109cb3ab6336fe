// Reads one log file record by record. The drawing is in LogRecord.swift.

/// A window onto a log file, read by `pread` in pieces.
///
/// Holds `pieceBytes` of memory, or one record where that is larger; a record's size is believed
/// only when the file is long enough for it.
final class LogFileCursor {
    static let pieceBytes = 1 << 20

    let path: String
    let header: LogFileHeader
    let fileBytes: Int
    let file: any FileHandle
    private var window: UnsafeMutableRawBufferPointer
    private var windowStart = 0
    private var windowCount = 0

    init(
        fileSystem: any FileSystem, number: UInt64
    ) throws(StorageError) {
        path = LogNames.path(number)
        file = try fileSystem.open(path, create: false)
        fileBytes = try file.size
        // Safe: freed in deinit, or below when the initializer throws.
        let window = UnsafeMutableRawBufferPointer.allocate(
            byteCount: LogFileCursor.pieceBytes, alignment: 8)
        do throws(StorageError) {
            let page = UnsafeMutableRawBufferPointer(
                rebasing: window[..<LogFileHeader.pageBytes])
            let count = try file.read(into: page, at: 0)
            header = try LogFileHeader.decode(
                UnsafeRawBufferPointer(rebasing: page[..<count]), path: path, fileNumber: number)
        } catch {
            window.deallocate()
            throw error
        }
        self.window = window
    }

    deinit { window.deallocate() }

    /// What lies at an offset.
    enum Found {
        /// The payload is valid until the next call.
        case record(LogRecordHeader, payload: UnsafeRawBufferPointer, storedBytes: Int)
        /// Zeros, or the end of the file.
        case terminator
        case bad(String)
    }

    /// Judges the bytes at an offset: size, generation, checksum, reserved bytes; not the sequence.
    func record(at offset: Int) throws(StorageError) -> Found {
        let rest = fileBytes - offset
        guard rest >= LogRecord.headerBytes else {
            let tail = try bytes(at: offset, count: max(rest, 0))
            return tail.allSatisfy { $0 == 0 } ? .terminator : .bad("the file ends in a header")
        }
        let headerBytes = try bytes(at: offset, count: LogRecord.headerBytes)
        if headerBytes.allSatisfy({ $0 == 0 }) { return .terminator }
        let record = LogRecordHeader(headerBytes)
        guard record.generation == header.generation else {
            return .bad("bytes of another generation")
        }
        guard record.payloadBytes <= LogRecord.payloadBytesMax else {
            return .bad("a payload of \(record.payloadBytes) bytes")
        }
        let storedBytes = LogRecord.storedBytes(payloadBytes: record.payloadBytes)
        guard storedBytes <= rest else { return .bad("the file ends in a record") }
        let whole = try bytes(at: offset, count: storedBytes)
        guard whole.count == storedBytes,
            CRC32C.checksum(UnsafeRawBufferPointer(rebasing: whole[4...])) == record.checksum
        else { return .bad("the checksum is wrong") }
        let payloadEnd = LogRecord.headerBytes + record.payloadBytes
        guard record.reservedIsZero, record.sequence > 0, record.sequence < UInt64.max / 2,
            record.durableThrough < record.sequence,
            whole[payloadEnd...].allSatisfy({ $0 == 0 })
        else { return .bad("impossible numbers in a record's header") }
        return .record(
            record,
            payload: UnsafeRawBufferPointer(
                rebasing: whole[LogRecord.headerBytes..<payloadEnd]),
            storedBytes: storedBytes)
    }

    /// The next valid record of this file at or after an offset with at least that sequence.
    ///
    /// Only looks at multiples of 8, where records lie. The work is bounded by a few times the
    /// file's size, also for bytes made to look like records.
    func nextRecord(
        from start: Int, sequenceAtLeast: UInt64
    ) throws(StorageError) -> (offset: Int, header: LogRecordHeader, storedBytes: Int)? {
        var offset = (start + 7) & ~7
        var budget = 4 * fileBytes + LogFileCursor.pieceBytes
        while offset + LogRecord.headerBytes <= fileBytes {
            guard let candidate = try nextCandidate(from: offset) else { return nil }
            let header = LogRecordHeader(
                try bytes(at: candidate, count: LogRecord.headerBytes))
            let storedBytes = LogRecord.storedBytes(payloadBytes: header.payloadBytes)
            if header.sequence >= sequenceAtLeast, storedBytes <= fileBytes - candidate {
                budget -= storedBytes
                guard budget > 0 else {
                    throw .corrupt(
                        file: path, offset: UInt64(start), reason: "broken records overlap")
                }
                if case .record(let record, _, let storedBytes) = try self.record(at: candidate) {
                    return (candidate, record, storedBytes)
                }
            }
            offset = candidate + 8
        }
        return nil
    }

    /// The next multiple of 8 where this file's generation stands in its place in a header.
    private func nextCandidate(from start: Int) throws(StorageError) -> Int? {
        var offset = start
        let wanted = header.generation
        while offset + LogRecord.headerBytes <= fileBytes {
            let count = min(fileBytes - offset, LogFileCursor.pieceBytes)
            let piece = try bytes(at: offset, count: count)
            guard piece.count >= LogRecord.headerBytes, let base = piece.baseAddress else {
                return nil
            }
            let last = piece.count - LogRecord.headerBytes
            var index = 0
            while index <= last {
                // Safe: index + 32 <= count. Bytes 24 ..< 32: generation, kind, three zeros.
                let word = UInt64(
                    littleEndian: (base + index + LogRecord.Offset.generation)
                        .loadUnaligned(as: UInt64.self))
                if UInt32(truncatingIfNeeded: word) == wanted, word &>> 40 == 0 {
                    return offset + index
                }
                index &+= 8
            }
            offset += index
        }
        return nil
    }

    /// Bytes of the file, valid until the next call; fewer only if the file shrank meanwhile.
    private func bytes(at offset: Int, count: Int) throws(StorageError) -> UnsafeRawBufferPointer {
        guard count > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        if offset < windowStart || offset + count > windowStart + windowCount {
            if count > window.count {
                // Safe: nothing points into the old window, see the rule above.
                window.deallocate()
                window = .allocate(byteCount: (count + 4095) & ~4095, alignment: 8)
            } else if window.count > LogFileCursor.pieceBytes, count <= LogFileCursor.pieceBytes {
                window.deallocate()
                window = .allocate(byteCount: LogFileCursor.pieceBytes, alignment: 8)
            }
            windowStart = offset
            windowCount = 0
            windowCount = try file.read(into: window, at: offset)
        }
        let from = offset - windowStart
        let to = min(from + count, windowCount)
        guard from < to else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(window)[from..<to])
    }
}
