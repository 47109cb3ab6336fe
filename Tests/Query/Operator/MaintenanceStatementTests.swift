// FLUSH and COMPACT return when the work is done, not when it has been asked for.

import Apus
import ApusQuery
import ApusStorage
import Testing

struct MaintenanceStatementTests {
    @Test func `after FLUSH all rows are in segments and none in a head`() async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            for part in 0..<3 {
                let lines = (0..<2_000).map { "t,host=h\($0 % 5) v=\($0)i \($0 * 3 + part)\n" }
                try await store.write(lines: lines.joined())
                #expect(store.engine.metrics().headBytes > 0)
                _ = try runner.query("FLUSH")
                let metrics = store.engine.metrics()
                #expect(metrics.frozenHeadBytes == 0 && metrics.flushes.count > part)
                #expect(metrics.segmentCount == part + 1)
                // Nothing is left for a flush to do.
                _ = try runner.query("FLUSH")
                #expect(store.engine.metrics().segmentCount == part + 1)
                let plan = try runner.query("EXPLAIN ANALYZE SELECT v FROM t").rows.map { $0[0] }
                #expect(plan.contains("rows scanned: \((part + 1) * 2_000)"), "\(plan)")
                #expect(plan.contains { $0.hasPrefix("blocks: ") && !$0.hasPrefix("blocks: 0 ") })
            }
        }
    }

    @Test func `after COMPACT a partition is one segment`() async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            for part in 0..<3 {
                let lines = (0..<500).map { "t v=\($0)i \($0 * 3 + part)\n" }.joined()
                try await store.write(lines: lines + "other v=1 \(part)\n")
                _ = try runner.query("FLUSH")
            }
            // Rows of a head are taken along.
            try await store.write(lines: "t v=7i 5000\n")
            _ = try runner.query("COMPACT")
            var metrics = store.engine.metrics()
            #expect(metrics.segmentCount == 1 && metrics.isBackgroundIdle)
            #expect(metrics.compactions.count >= 1 && metrics.frozenHeadBytes == 0)
            #expect(try runner.query("SELECT count(*) FROM t").rows == [["1501"]])

            try await store.write(lines: "t v=8i 6000\n")
            _ = try runner.query("COMPACT t")
            metrics = store.engine.metrics()
            #expect(metrics.segmentCount == 1)
            #expect(try runner.query("SELECT count(*), max(v) FROM t").rows == [["1502", "499"]])
            #expect(throws: QueryError.self) { try runner.query("COMPACT nothing") }
        }
    }
}
