// The write-ahead log: batches of a thousand rows encoded, sealed and written, without a sync; and
// read back into rows, as recovery does.

import ApusIngest
import ApusStorage
import ApusTestKit

enum LogCases {
    static let all = [append, replay]

    private static let append = MicroCase("log.append.batches") { size in
        let setup = try LogSetup(size)
        let writer = try setup.writer()
        return PreparedCase(itemCount: setup.valueCount, byteCount: try setup.byteCount()) {
            digest in
            let before = writer.lastSequence
            writer.beginGroup()
            for batch in setup.batches {
                try writer.appendRecord(kind: .write) { BatchRecord.encode(batch, into: &$0) }
            }
            try writer.commitGroup(sync: false)
            // Or a few thousand passes would fill the disk. The newest file stays.
            try writer.removeFiles(whollyAtOrBelow: before)
            if digest != nil {
                try setup.read(after: before, &digest)
            }
        }
    }

    private static let replay = MicroCase("log.replay.batches") { size in
        let setup = try LogSetup(size)
        let writer = try setup.writer()
        writer.beginGroup()
        for batch in setup.batches {
            try writer.appendRecord(kind: .write) { BatchRecord.encode(batch, into: &$0) }
        }
        try writer.commitGroup(sync: false)
        // Cuts what was allocated ahead: a reader looks through it for more records.
        _ = try writer.finishCleanly(flushedThrough: 0)
        return PreparedCase(itemCount: setup.valueCount, byteCount: try setup.byteCount()) {
            digest in
            try setup.read(after: 0, &digest)
        }
    }
}

/// Batches whose names are settled, and a directory for a log.
private struct LogSetup {
    let batches: [WriteBatch]
    let files: PosixFileSystem
    /// Removed when the last case that uses it is gone.
    private let directory: TemporaryDirectory

    init(_ size: CaseSize) throws {
        let input = LineInput.cpuOnly(hosts: size.choose(50, 1_000), ticks: 1)
        let validation = BatchValidation()
        batches = try (0..<size.choose(2, 16)).map { _ in
            let context = LineContext(catalog: validation.catalog)
            let batch = try ParserCases.batch(of: input, context)
            _ = try validation.validate(batch)
            return batch
        }
        directory = TemporaryDirectory()
        files = try PosixFileSystem(root: directory.path)
    }

    var valueCount: Int { batches.reduce(0) { $0 + $1.valueCount } }

    func byteCount() throws -> Int {
        var writer = ByteWriter()
        for batch in batches { BatchRecord.encode(batch, into: &writer) }
        return writer.count
    }

    func writer() throws -> LogWriter {
        var options = StorageOptions()
        options.logFileBytes = 16 << 20
        return try LogWriter(
            fileSystem: files, nextSequence: 1, nextFileNumber: 1, options: options)
    }

    /// Decodes every record above a sequence.
    func read(after sequence: UInt64, _ digest: inout Digest?) throws {
        var rowCount = 0
        _ = try LogReader.replay(fileSystem: files, after: sequence, cleanEnd: nil) {
            (_, kind, payload) throws(StorageError) in
            guard kind == .write, let groups = try? BatchRecord.decode(payload) else { return }
            for group in groups {
                rowCount += group.rowCount
                group.add(to: &digest)
            }
        }
        let expected = batches.reduce(0) { $0 + $1.rowCount }
        guard rowCount == expected else { throw CaseError("\(rowCount) rows of \(expected)") }
    }
}

extension RecordGroup {
    fileprivate func add(to digest: inout Digest?) {
        guard digest != nil else { return }
        for field in fields {
            digest?.add(UInt64(field.id))
            digest?.add(byte: field.type.rawValue)
        }
        for row in 0..<rowCount {
            digest?.add(UInt64(series[row]))
            digest?.add(UInt64(bitPattern: times[row]))
            digest?.add(UInt64(order[row]))
        }
        for slot in columns { digest?.add(slot) }
        digest?.add(bytes: strings)
    }
}
