// The write-ahead log, as it lies in log/000001.log, log/000002.log, …
//
// A file: one header page, then records, then a terminator of zeros, then whatever was there.
//
//     offset  size  field
//     ──────  ────  ──────────────────────────────────────────────────────────────────────────
//          0     8  magic           "APUS-LOG"
//          8     4  format          1
//         12     4  generation      drawn at random for every file, never 0
//         16     8  fileNumber      the one in the name
//         24     8  firstSequence   of the first record in it, also when there is none yet
//         32     8  durableThrough  firstSequence - 1: the file before was synced first
//         40  4052  reserved        zero
//       4092     4  checksum        CRC-32C of the 4092 bytes before
//       4096        records
//
// A record, at a multiple of 8:
//
//     offset  size  field
//     ──────  ────  ──────────────────────────────────────────────────────────────────────────
//          0     4  checksum        CRC-32C of everything after this field, padding included
//          4     4  payloadSize     bytes, at most payloadBytesMax
//          8     8  sequence        one more than the record's before it
//         16     8  durableThrough  the last sequence known to be synced; below `sequence`
//         24     4  generation      the file's
//         28     1  kind            LogRecord.Kind
//         29     3  reserved        zero
//         32     n  payload         n == payloadSize
//       32+n     p  padding         zeros up to a multiple of 8
//
// Invariants
//   - A file is named NNNNNN.log only after its header was synced; it has no record before its
//     name is durable. So a bad header is damage, never a crash.
//   - A file's records are synced before the next file is made. So only the last file can have a
//     torn tail.
//   - A record of another generation is what a recycled file held before; it ends the log.
//   - Whatever is written ends with a terminator of 32 zeros, in the same write.

/// The names and numbers of the log's format.
package enum LogRecord {
    /// What a payload holds. The raw value is on disk; numbers are never used again.
    package enum Kind: UInt8, Sendable, CaseIterable {
        /// A batch of rows.
        case write = 1
        /// Catalog entries: databases, tables, series, fields.
        case definitions = 2
        /// Unused: a drop, a change of a database.
        case statement = 3
        case checkpoint = 4
        /// A tombstone. Not a `statement`, which readers before this kind pass over.
        case delete = 5
        /// Catalog entries that drop fields. Not `definitions`, in which readers before this kind would take
        /// them for damage.
        case fieldDrops = 6

        /// Greater numbers are of newer releases.
        static let newest = fieldDrops
    }

    package static let formatNumber: UInt32 = 1
    package static let headerBytes = 32
    package static let terminatorBytes = 32
    package static let payloadBytesMax = 1 << 30

    /// Where a record's fields lie.
    enum Offset {
        static let payloadSize = 4
        static let sequence = 8
        static let durableThrough = 16
        static let generation = 24
        static let kind = 28
        static let reserved = 29
    }

    /// Header, payload and padding.
    static func storedBytes(payloadBytes: Int) -> Int {
        (headerBytes + payloadBytes + 7) & ~7
    }
}

/// The 32 bytes before a payload, as numbers. Says nothing about whether they are right.
struct LogRecordHeader {
    var checksum: UInt32
    var payloadBytes: Int
    var sequence: UInt64
    var durableThrough: UInt64
    var generation: UInt32
    var kind: UInt8
    var reservedIsZero: Bool

    /// `bytes` has at least 32 of them.
    init(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count >= LogRecord.headerBytes, "BUG: a header needs 32 bytes")
        // Safe: every offset below is inside the 32 bytes checked above.
        func load<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        checksum = load(0, UInt32.self)
        payloadBytes = Int(load(LogRecord.Offset.payloadSize, UInt32.self))
        sequence = load(LogRecord.Offset.sequence, UInt64.self)
        durableThrough = load(LogRecord.Offset.durableThrough, UInt64.self)
        generation = load(LogRecord.Offset.generation, UInt32.self)
        kind = bytes[LogRecord.Offset.kind]
        reservedIsZero = bytes[29] == 0 && bytes[30] == 0 && bytes[31] == 0
    }
}

/// A place in the log. Later places are greater.
package struct LogPosition: Hashable, Comparable, Sendable {
    package var fileNumber: UInt64
    package var offset: UInt64

    package init(fileNumber: UInt64, offset: UInt64) {
        self.fileNumber = fileNumber
        self.offset = offset
    }

    package static func < (left: LogPosition, right: LogPosition) -> Bool {
        (left.fileNumber, left.offset) < (right.fileNumber, right.offset)
    }
}

/// One log file and the sequences in it; `lastSequence == firstSequence - 1` when it has none.
package struct LogFileSummary: Hashable, Sendable {
    package var number: UInt64
    package var firstSequence: UInt64
    package var lastSequence: UInt64
    /// Up to the end of its last record.
    package var bytes: Int

    package init(number: UInt64, firstSequence: UInt64, lastSequence: UInt64, bytes: Int) {
        self.number = number
        self.firstSequence = firstSequence
        self.lastSequence = lastSequence
        self.bytes = bytes
    }
}
