// A data set on disk, in three files:
//
//     NAME         line protocol, bodies one behind the other
//     NAME.bodies  where each body begins: 64-bit little-endian offsets, one more than bodies
//     NAME.json    what is in it (`DataSetDescription`), written last: without it, it isn't whole

import Foundation
import Glibc

/// What a loader and a verifier have to know of a data set.
struct DataSetDescription: Codable, Equatable {
    var workload: String
    var options: [String: String]
    var lineCount = 0
    /// Rows after rows of the same series and time are merged.
    var rowCount = 0
    var valueCount = 0
    var byteCount = 0
    var bodyCount = 0
    var firstTimeNanoseconds: Int64 = .max
    var lastTimeNanoseconds: Int64 = .min
    /// Per table: rows, and the sum of one integer field for the answer to be compared with.
    var tables: [String: TableCheck] = [:]

    struct TableCheck: Codable, Equatable {
        var rowCount = 0
        var field: String?
        var sum: Int64 = 0
    }
}

struct GenerateError: Error, CustomStringConvertible {
    let description: String
}

/// Writes a data set.
final class LineFile {
    /// The line being put together, behind those that were not written yet.
    var text = LineBytes()
    private var offsets: [UInt64] = [0]
    private let path: String
    private let descriptor: Int32
    private let linesPerBody: Int
    private var linesInBody = 0
    private var flushedBytes = 0
    private(set) var description: DataSetDescription
    private static let flushBytes = 4 << 20

    init(path: String, linesPerBody: Int, description: DataSetDescription) throws {
        self.path = path
        self.linesPerBody = linesPerBody
        self.description = description
        unlink(path + ".json")
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.failure(path) }
        text.bytes.reserveCapacity(Self.flushBytes + 65_536)
    }

    deinit { close(descriptor) }

    /// Ends a line.
    ///
    /// - Parameters:
    ///   - table: of which the row counts, unless it repeats a row (`isNew` false).
    ///   - checked: the value of the table's checked field.
    func endLine(
        _ timeNanoseconds: Int64, table: String, values: Int, checked: Int64 = 0, isNew: Bool = true
    ) throws {
        text.append(byte: UInt8(ascii: " "))
        text.append(timeNanoseconds)
        text.append(byte: UInt8(ascii: "\n"))
        description.lineCount += 1
        description.valueCount += values
        if isNew {
            description.rowCount += 1
            description.tables[table, default: .init()].rowCount += 1
            description.tables[table, default: .init()].sum += checked
        }
        description.firstTimeNanoseconds = min(description.firstTimeNanoseconds, timeNanoseconds)
        description.lastTimeNanoseconds = max(description.lastTimeNanoseconds, timeNanoseconds)
        linesInBody += 1
        if linesInBody == linesPerBody { endBody() }
        if text.bytes.count >= Self.flushBytes { try flush() }
    }

    func setCheckedField(_ field: String, of table: String) {
        description.tables[table, default: .init()].field = field
    }

    private func endBody() {
        offsets.append(UInt64(flushedBytes + text.bytes.count))
        linesInBody = 0
    }

    private func flush() throws {
        try Self.write(text.bytes, to: descriptor, path)
        flushedBytes += text.bytes.count
        text.bytes.removeAll(keepingCapacity: true)
    }

    /// Writes what is left, and the two files that describe it.
    func finish() throws {
        if linesInBody > 0 { endBody() }
        try flush()
        description.byteCount = flushedBytes
        description.bodyCount = offsets.count - 1
        var index: [UInt8] = []
        for offset in offsets {
            for shift in stride(from: 0, to: 64, by: 8) {
                index.append(UInt8(truncatingIfNeeded: offset >> UInt64(shift)))
            }
        }
        try Self.replace(path + ".bodies", with: index)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try Self.replace(path + ".json", with: Array(try encoder.encode(description)) + [10])
    }

    private static func replace(_ path: String, with bytes: [UInt8]) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        try write(bytes, to: descriptor, path)
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                // Safe: `done` is below the count of the buffer.
                Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            }
            if count < 0, errno != EINTR { throw failure(path) }
            if count > 0 { done += count }
        }
    }

    private static func failure(_ path: String) -> GenerateError {
        GenerateError(description: "\(path): \(String(cString: strerror(errno)))")
    }
}
