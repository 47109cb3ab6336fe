// The header page of a log file, drawn in LogRecord.swift, and the names in log/:
//
//     NNNNNN.log        a log file; six digits or more
//     spare-N.log       ready to become the next log file
//     spare-N.new       being made; removed when a store opens

/// The first page of a log file.
package struct LogFileHeader: Hashable, Sendable {
    package static let pageBytes = 4096
    static let magic = Array("APUS-LOG".utf8)

    package var generation: UInt32
    package var fileNumber: UInt64
    package var firstSequence: UInt64
    package var durableThrough: UInt64

    func encoded() -> [UInt8] {
        var page = ByteWriter(capacity: LogFileHeader.pageBytes)
        page.append(LogFileHeader.magic)
        page.append(LogRecord.formatNumber)
        page.append(generation)
        page.append(fileNumber)
        page.append(firstSequence)
        page.append(durableThrough)
        page.appendZeros(LogFileHeader.pageBytes - 4 - page.count)
        page.append(CRC32C.checksum(page.bytes))
        return page.bytes
    }

    /// - Throws: `corrupt` if the page isn't what a writer made for this name;
    ///   `unsupportedFormat` if a newer release made it. Magic, format number and checksum keep
    ///   their places in every format, so that damage is told from news.
    static func decode(
        _ page: UnsafeRawBufferPointer, path: String, fileNumber: UInt64
    ) throws(StorageError) -> LogFileHeader {
        func damaged(_ offset: UInt64, _ reason: String) -> StorageError {
            .corrupt(file: path, offset: offset, reason: reason)
        }
        guard page.count == pageBytes else {
            throw damaged(UInt64(page.count), "the header page ends early")
        }
        guard page.prefix(8).elementsEqual(magic) else { throw damaged(0, "not a log file") }
        // Safe: the page's size was checked above.
        func load<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
            T(littleEndian: page.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        let covered = UnsafeRawBufferPointer(rebasing: page[..<(pageBytes - 4)])
        guard CRC32C.checksum(covered) == load(pageBytes - 4, UInt32.self) else {
            throw damaged(0, "the header's checksum is wrong")
        }
        let format = load(8, UInt32.self)
        guard format == LogRecord.formatNumber else {
            throw .unsupportedFormat(
                file: path, found: format, newestKnown: LogRecord.formatNumber)
        }
        let header = LogFileHeader(
            generation: load(12, UInt32.self), fileNumber: load(16, UInt64.self),
            firstSequence: load(24, UInt64.self), durableThrough: load(32, UInt64.self))
        guard header.fileNumber == fileNumber else {
            throw damaged(16, "the header says file \(header.fileNumber)")
        }
        guard header.generation != 0 else { throw damaged(12, "generation 0") }
        guard header.firstSequence > 0, header.firstSequence < UInt64.max / 2,
            header.durableThrough < header.firstSequence
        else {
            throw damaged(24, "impossible first sequence \(header.firstSequence)")
        }
        guard page[40..<(pageBytes - 4)].allSatisfy({ $0 == 0 }) else {
            throw damaged(40, "reserved bytes are not zero")
        }
        return header
    }
}

/// Names in the log's directory.
package enum LogNames {
    package static let directory = "log"

    package static func path(_ number: UInt64) -> String {
        let digits = String(number)
        let zeros = String(repeating: "0", count: max(0, 6 - digits.utf8.count))
        return "\(directory)/\(zeros)\(digits).log"
    }

    /// The number in `NNNNNN.log`, or nil for any other name.
    package static func number(ofName name: String) -> UInt64? {
        guard name.hasSuffix(".log"),
            name.utf8.dropLast(4).allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            let number = UInt64(name.dropLast(4)), number > 0, number < UInt64.max / 2,
            path(number) == "\(directory)/\(name)"
        else { return nil }
        return number
    }

    static func sparePath(_ index: UInt64, ready: Bool) -> String {
        "\(directory)/spare-\(index).\(ready ? "log" : "new")"
    }

    /// The index in a spare's name and whether it is ready.
    static func spare(ofName name: String) -> (index: UInt64, ready: Bool)? {
        guard name.hasPrefix("spare-") else { return nil }
        let parts = name.dropFirst(6).split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let index = UInt64(parts[0]), index < UInt64.max / 2,
            parts[1] == "log" || parts[1] == "new"
        else { return nil }
        return (index, parts[1] == "log")
    }
}
