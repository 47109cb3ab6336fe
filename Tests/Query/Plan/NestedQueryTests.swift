import Apus
import ApusQuery
import Testing

/// Statements that are short and come to very much: refused before they take stack, time or memory.
@Suite struct NestedQueryTests {
    private func code(_ sql: String) async throws -> QueryError.Code? {
        var code: QueryError.Code?
        try await withTemporaryStore { store in
            do throws(QueryError) {
                _ = try await store.query(sql)
            } catch {
                code = error.code
            }
        }
        return code
    }

    @Test func `a chain of WITH is as deep as it is long`() async throws {
        func chain(_ length: Int) -> String {
            let tables = (1..<length).map { "c\($0) AS (SELECT * FROM c\($0 - 1))" }
            return "WITH c0 AS (SELECT 1 AS a), " + tables.joined(separator: ", ")
                + " SELECT * FROM c\(length - 1)"
        }
        #expect(try await code(chain(20)) == nil)
        #expect(try await code(chain(60)) == .limit)
        #expect(try await code(chain(2_000)) == .limit)
    }

    @Test func `stars of stars end at some thousand columns`() async throws {
        var sql = "SELECT 1 AS a"
        for _ in 0..<20 { sql = "SELECT *, * FROM (\(sql))" }
        #expect(try await code("SELECT count(*) FROM (\(sql))") == .limit)
    }

    @Test func `queries that name each other twice end at some hundred`() async throws {
        let tables = (1..<20).map { "c\($0) AS (SELECT 1 FROM c\($0 - 1) a, c\($0 - 1) b)" }
        let sql = "WITH c0 AS (SELECT 1), " + tables.joined(separator: ", ") + " SELECT 1 FROM c19"
        #expect(try await code(sql) == .limit)
    }
}
