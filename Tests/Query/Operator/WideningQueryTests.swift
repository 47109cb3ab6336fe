// A field that becomes wider while a query is between its plan and its scan.

import ApusQuery
import ApusStorage
import ApusTestKit
import Synchronization
import Testing

@Suite struct WideningQueryTests {
    /// Writes as soon as the engine looks at the clock: what a query does for its snapshot.
    private final class Intruder: Sendable {
        private let writes = Mutex<[@Sendable () -> Void]>([])

        /// - Parameter calls: Looks at the clock to let pass first.
        func arm(after calls: Int, _ writes: [@Sendable () -> Void]) {
            let waiting = [@Sendable () -> Void](repeating: {}, count: calls)
            self.writes.withLock { $0 = waiting + writes }
        }

        func clockRead() {
            // Armed again only when the write is done: it looks at the clock itself.
            let rest = writes.withLock { writes in
                defer { writes = [] }
                return writes
            }
            guard let next = rest.first else { return }
            next()
            writes.withLock { $0 = Array(rest.dropFirst()) }
        }
    }

    private let intruder = Intruder()

    private func engine() throws -> QueryEngine {
        let intruder = intruder
        let storage = try StorageEngine(
            fileSystem: SimulatedFileSystem(), options: SimulatedStore.smallOptions(),
            environment: EngineEnvironment(
                now: {
                    intruder.clockRead()
                    return PointGenerator.startNanoseconds
                }, usesThreads: false))
        return QueryEngine(storage: storage, options: QueryOptions())
    }

    private static func write(
        _ storage: StorageEngine, _ table: String, _ row: Int, _ field: String,
        _ value: RowBuilder.Value
    ) throws {
        var builder = RowBuilder(database: "default")
        builder.append(
            table: table, tags: [:], time: PointGenerator.startNanoseconds + Int64(row),
            fields: [(field, value)])
        builder.batch.dropGeneration = storage.catalog.dropGeneration
        try storage.commit(builder.batch)
    }

    private func rows(_ engine: QueryEngine, _ sql: String) throws -> TextSink {
        var sink = TextSink()
        _ = try engine.run(
            QueryRequest(sql: sql), cancellation: QueryCancellation(), into: &sink)
        return sink
    }

    @Test func `a query answers right whenever a field becomes wider`() throws {
        let engine = try engine()
        let storage = engine.storage
        for (index, form) in ["sum(v)", "sum(v + 0)", "v"].enumerated() {
            for calls in 0..<6 {
                let table = "t\(index)_\(calls)"
                for row in 0..<3 { try Self.write(storage, table, row, "v", .int64(1)) }
                try storage.flush()
                intruder.arm(
                    after: calls, [{ try? Self.write(storage, table, 3, "v", .float64(0.5)) }])
                let answer = try rows(engine, "SELECT \(form) FROM \(table)")
                intruder.arm(after: 0, [])
                let expected =
                    form == "v"
                    ? [[["1"], ["1"], ["1"]], [["1"], ["1"], ["1"], ["0.5"]]]
                    : [[["3"]], [["3.5"]]]
                #expect(expected.contains(answer.rows), "\(form), \(calls): \(answer.rows)")
                let isWide = answer.rows == expected[1]
                #expect((answer.columns.map(\.type) == [.float64]) == isWide)
            }
        }
    }

    @Test func `a query answers though fields become wider for ever`() throws {
        let engine = try engine()
        let storage = engine.storage
        let fields = (0..<12).map { "f\($0)" }
        for field in fields { try Self.write(storage, "t", 0, field, .int64(1)) }
        intruder.arm(
            after: 0,
            fields.map { field in
                { @Sendable in try? Self.write(storage, "t", 0, field, .float64(0.5)) }
            })
        let answer = try rows(engine, "SELECT \(fields.joined(separator: ", ")) FROM t")
        #expect(answer.rows.count == 1)
        intruder.arm(after: 0, [])
        #expect(try rows(engine, "SELECT f0, f11 FROM t").rows.count == 1)
    }
}
