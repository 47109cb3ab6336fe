import ApusStorage
import ApusTestKit

/// What the log tests share: small files, payloads made from sequences, and the replayed ones.
struct LogFixture {
    struct Record: Equatable {
        var sequence: UInt64
        var kind: UInt8
        var payload: [UInt8]
    }

    static func options(fileBytes: Int = 16 << 10) -> StorageOptions {
        var options = StorageOptions()
        options.logFileBytes = fileBytes
        return options
    }

    static func payload(_ sequence: UInt64, count: Int? = nil) -> [UInt8] {
        let count = count ?? Int(sequence * 37 % 900)
        return (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(sequence)) }
    }

    static func writer(
        _ fileSystem: any FileSystem, after recovery: LogRecovery? = nil,
        fileBytes: Int = 16 << 10
    ) throws(StorageError) -> LogWriter {
        try LogWriter(
            fileSystem: fileSystem, nextSequence: (recovery?.lastSequence ?? 0) + 1,
            nextFileNumber: recovery?.nextFileNumber ?? 1, options: options(fileBytes: fileBytes),
            liveFiles: recovery?.files ?? [])
    }

    /// Commits one group of records with payloads of their sequences.
    static func commit(
        _ writer: LogWriter, count: Int, payloadBytes: Int? = nil, sync: Bool = true
    ) throws(StorageError) {
        writer.beginGroup()
        for index in 0..<count {
            let sequence = writer.lastSequence + UInt64(index) + 1
            try writer.appendRecord(kind: .write) {
                $0.append(payload(sequence, count: payloadBytes))
            }
        }
        try writer.commitGroup(sync: sync)
    }

    static func replay(
        _ fileSystem: any FileSystem, after: UInt64 = 0, cleanEnd: LogPosition? = nil
    ) throws(StorageError) -> (records: [Record], recovery: LogRecovery) {
        var records: [Record] = []
        let recovery = try LogReader.replay(
            fileSystem: fileSystem, after: after, cleanEnd: cleanEnd
        ) { (sequence, kind, bytes) throws(StorageError) in
            records.append(
                Record(sequence: sequence, kind: kind.rawValue, payload: Array(bytes)))
        }
        return (records, recovery)
    }

    static func problems(
        _ fileSystem: any FileSystem, after: UInt64 = 0, cleanEnd: LogPosition? = nil
    ) throws(StorageError) -> [LogProblem] {
        var problems: [LogProblem] = []
        try LogReader.verify(
            fileSystem: fileSystem, flushedThrough: after, cleanEnd: cleanEnd
        ) { problems.append($0) }
        return problems
    }

    /// Whether the records are sequences first, first + 1, … with their own payloads.
    static func areRight(_ records: [Record], from first: UInt64 = 1) -> Bool {
        for (index, record) in records.enumerated() {
            let sequence = first + UInt64(index)
            guard record.sequence == sequence, record.kind == 1,
                record.payload == payload(sequence)
            else { return false }
        }
        return true
    }
}
