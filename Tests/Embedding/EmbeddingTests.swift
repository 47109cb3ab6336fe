// A program that knows nothing but `import Apus`: it can name, make and take apart whatever the
// façade hands out. Compiled with the language's defaults, as such a program is.

import Apus
import Foundation
import Testing

@Suite struct EmbeddingTests {
    private func options() -> StoreOptions {
        var storage = StorageOptions()
        storage.durability = Durability.interval(milliseconds: 50)
        storage.memoryBytesMax = 64 << 20
        return StoreOptions(storage: storage)
    }

    private func code(_ store: Store, _ sql: String) async -> QueryError.Code? {
        do throws(QueryError) {
            _ = try await store.query(sql)
            return nil
        } catch {
            return error.code
        }
    }

    private func holder(_ path: String) async -> String? {
        do throws(StorageError) {
            _ = try await Store.open(at: path)
            return nil
        } catch {
            if case .locked(_, let holder) = error { return holder }
            return error.description
        }
    }

    /// Whether it may cross tasks, which the compiler decides.
    private func isSendable<Value: Sendable>(_ type: Value.Type) -> Bool { true }

    /// This compiles only as long as each of these calls says what it may throw.
    private func stored(_ path: String) async throws(StorageError) -> Int {
        let store = try await Store.open(at: path)
        var rowCount = try await store.write(lines: "m v=1 1\nm v=2 2").rowsStored
        rowCount += try await store.write(lines: Array("m v=3 3".utf8)).rowsStored
        var appender = store.appender()
        appender.append(table: "m", time: Timestamp(nanoseconds: 4), fields: ["v": 4.0])
        rowCount += try await appender.flush().rowsStored
        try await store.close()
        return rowCount
    }

    private func count(_ store: Store) async throws(QueryError) -> Int {
        try await store.query("SELECT v FROM m").rowCount
    }

    @Test func `errors are typed and everything may cross tasks`() async throws {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("apus-embedding-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try await stored(path) == 4)
        let store = try await Store.open(at: path)
        let counts = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<4 { group.addTask { try await count(store) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(counts == [4, 4, 4, 4])
        try await store.close()
        #expect(
            isSendable(Store.self) && isSendable(StoreOptions.self) && isSendable(QueryResult.self)
                && isSendable(WriteResult.self) && isSendable(StorageError.self)
                && isSendable(QueryError.self) && isSendable(FieldValue.self)
                && isSendable(Parameter.self) && isSendable(Precision.self)
                && isSendable(Timestamp.self) && isSendable(Durability.self))
    }

    @Test func `one import is enough for everything the façade speaks of`() async throws {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("apus-embedding-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try await Store.open(at: path, options: options())
        var appender = store.appender()
        let time = Timestamp(nanoseconds: 1_700_000_000_000_000_000)
        appender.append(table: "m", tags: ["k": "a"], time: time, fields: ["v": 1.5])
        let written: WriteResult = try await appender.flush()
        #expect(written.rowsStored == 1)

        let result: QueryResult = try await store.query(
            "SELECT v FROM m WHERE k = $1", parameters: [.string("a")])
        let type: ResultType? = result["v"]?.type
        let statistics: QueryStatistics = result.statistics
        #expect(type == .float64 && statistics.rowsScanned == 1)
        #expect(result["v"]?.doubles == [1.5])
        #expect(await code(store, "SELECT v FROM nothing") == .unknownTable)
        #expect(await holder(path)?.contains("process") == true)
        try await store.close()
    }
}
