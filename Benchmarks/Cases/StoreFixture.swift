// A store on disk without threads, so that CPU time is that of the pass, and on a clock that stands.

import ApusIngest
import ApusQuery
import ApusStorage
import ApusTestKit

/// A store with rows in it, removed when released.
final class StoreFixture {
    enum Place: String, CaseIterable { case head, segment }

    let files: PosixFileSystem
    let engine: StorageEngine
    private let directory = TemporaryDirectory()

    init(fill: (StorageEngine) throws -> Void) throws {
        files = try PosixFileSystem(root: directory.path)
        var options = StorageOptions()
        options.durability = .none
        options.logFileBytes = 16 << 20
        engine = try StorageEngine(
            fileSystem: files, options: options,
            environment: EngineEnvironment(
                now: { 1_700_100_000_000_000_000 }, usesThreads: false))
        try fill(engine)
    }

    /// The table `cpu`, in memory or in a segment.
    convenience init(_ input: LineInput, in place: Place) throws {
        try self.init { engine in
            let context = LineContext(catalog: engine.catalog)
            try engine.commit(try ParserCases.batch(of: input, context))
            if place == .segment { try engine.flush() }
        }
    }

    func table(_ name: String) throws -> TableEntry {
        guard let table = engine.catalog.database(named: "bench")?.table(named: name) else {
            throw CaseError("no table \(name)")
        }
        return table
    }

    /// A statement as a case, on one thread.
    func query(_ sql: String, itemCount: Int) -> PreparedCase {
        var options = QueryOptions()
        options.threadCount = 1
        let queries = QueryEngine(storage: engine, options: options)
        var request = QueryRequest(sql: sql)
        request.database = "bench"
        // The store goes with the case.
        return PreparedCase(itemCount: itemCount) { [self, request] digest in
            try withExtendedLifetime(self) {
                var sink = DigestingSink(digest: digest)
                _ = try queries.run(request, cancellation: QueryCancellation(), into: &sink)
                digest = sink.digest
                guard sink.rowCount > 0 else { throw CaseError("no rows from: \(sql)") }
            }
        }
    }
}

/// Takes an answer, and hashes it where there is a digest.
private struct DigestingSink: ResultSink {
    var digest: Digest?
    var rowCount = 0

    mutating func begin(_ columns: [ResultColumn]) throws(QueryError) {
        for column in columns {
            digest?.add(bytes: Array(column.name.utf8))
            digest?.add(bytes: Array(column.type.rawValue.utf8))
        }
    }

    mutating func append(_ batch: ResultBatch) throws(QueryError) {
        rowCount += batch.rowCount
        guard digest != nil else { return }
        for column in batch.columns {
            for row in 0..<batch.rowCount {
                guard column.validity?[row] != 0 else {
                    digest?.add(byte: 0)
                    continue
                }
                let slot = column.values[row]
                if column.type == .string || column.type == .interval {
                    let place = StringSlot(rawValue: slot)
                    digest?.add(
                        bytes: column.stringBytes[place.offset..<place.offset + place.length])
                } else {
                    digest?.add(slot)
                }
            }
        }
    }
}
