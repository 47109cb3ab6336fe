// A byte that changed on disk: the server goes on without the file and says so, `apus check` finds it.

import ApusTestKit
import Glibc
import Testing

/// A closed store whose table `m` has a segment, and a later row that is in the log alone.
private final class ClosedStore {
    static let rowsInSegment = 2_000
    let directory = TemporaryDirectory()
    let segment: String
    var data: String { directory.path + "/data" }

    init() throws {
        let data = directory.path + "/data"
        let server = try ServerProcess(data: data)
        let client = try LoopbackConnection(port: server.httpPort)
        var body = ""
        for row in 0..<Self.rowsInSegment {
            body += "m,k=a v=\(row * row % 7919).5 \(1_700_000_000_000_000_000 + row)\n"
        }
        for (target, text) in [
            ("/write", body), ("/sql", "FLUSH"), ("/write", "m,k=a v=-1 1700000001000000000"),
        ] {
            let answer = try client.request("POST", target, text: text)
            guard answer.status / 100 == 2 else { throw ClientFault("\(target): \(answer)") }
        }
        guard server.stop() == 0 else { throw ClientFault("the server did not stop cleanly") }
        var found = glob_t()
        defer { globfree(&found) }
        guard glob("\(data)/data/*/*/*.segment", 0, nil, &found) == 0, found.gl_pathc == 1,
            let path = found.gl_pathv[0]
        else { throw ClientFault("not one segment below \(data)") }
        segment = String(cString: path)
    }

    /// Its name as messages have it, below the data directory.
    var segmentName: String { String(segment.dropFirst(data.utf8.count + 1)) }

    /// Flips all bits of a byte: `share` of the way through the segment.
    func damage(at share: Double) throws {
        let descriptor = open(segment, O_RDWR | O_CLOEXEC)
        defer { close(descriptor) }
        let byteCount = Int(lseek(descriptor, 0, Int32(SEEK_END)))
        let offset = min(Int(Double(byteCount) * share), byteCount - 1)
        var byte: UInt8 = 0
        guard pread(descriptor, &byte, 1, offset) == 1 else { throw ClientFault("pread") }
        byte = ~byte
        guard pwrite(descriptor, &byte, 1, offset) == 1 else { throw ClientFault("pwrite") }
    }
}

@Suite(.serialized) struct `Damaged files` {
    @Test func `a segment that cannot be opened is set aside, with a warning from the start`()
        throws
    {
        let store = try ClosedStore()
        try store.damage(at: 1)
        let server = try ServerProcess(data: store.data)
        let client = try LoopbackConnection(port: server.httpPort)
        try expectWarned(client, store)
        #expect(try client.request("POST", "/write", text: "m,k=a v=2 2").status == 204)
        #expect(server.stop() == 0)
        // It stays a warning for as long as the file is in use.
        let again = try ServerProcess(data: store.data)
        let health = try LoopbackConnection(port: again.httpPort).request("GET", "/health")
        #expect(health.status == 200 && health.text.contains(#""status":"warn""#))
    }

    /// Grouped, sorted and plain rows each have a way of their own through a scan.
    @Test(arguments: [
        "SELECT sum(v) FROM m WHERE v > -2", "SELECT v FROM m WHERE v > -2 ORDER BY v",
        "SELECT v FROM m WHERE v > -2",
    ])
    func `a damaged block sets its segment aside when a query meets it`(
        _ statement: String
    ) throws {
        let store = try ClosedStore()
        try store.damage(at: 0.5)
        let server = try ServerProcess(data: store.data)
        let client = try LoopbackConnection(port: server.httpPort)
        let answer = try client.sql(statement)
        #expect(answer.status == 200 && answer.text.contains(#""rows":[[-1.0]]"#), "\(answer.text)")
        try expectWarned(client, store)
    }

    private func expectWarned(_ client: LoopbackConnection, _ store: ClosedStore) throws {
        let health = try client.request("GET", "/health")
        #expect(health.status == 200 && health.text.contains(#""status":"warn""#), "\(health.text)")
        #expect(health.text.hasPrefix(#"{"name":"apus","#), "\(health.text)")
        #expect(health.text.contains(store.segmentName), "\(health.text)")
        #expect(try client.request("GET", "/ready").status == 200)
        let answer = try client.sql("SELECT v FROM m")
        #expect(answer.status == 200 && answer.text.contains(#""rows":[[-1.0]]"#), "\(answer.text)")
        #expect(!answer.text.contains(#""warnings":[]"#), "\(answer.text)")
        #expect(answer.text.contains(store.segmentName), "\(answer.text)")
        let strict = try client.sql("SELECT v FROM m", "&strict=1")
        #expect(strict.status == 500, "\(strict.text)")
        #expect(strict.text.hasPrefix(#"{"error":{"code":"damaged""#), "\(strict.text)")
        // What the damage doesn't concern has no warning.
        #expect(try client.sql("SELECT 1").text.contains(#""warnings":[]"#))
        #expect(try client.sql("SELECT 1", "&strict=1").status == 200)
    }

    @Test func `check exits with 0 when all is well, 1 after damage, 2 when it cannot look`() throws
    {
        let store = try ClosedStore()
        let clean = try Binary.run(["check", store.data])
        #expect(clean.code == 0 && clean.output.isEmpty, "\(clean)")
        try store.damage(at: 0.5)
        let damaged = try Binary.run(["check", store.data])
        #expect(damaged.code == 1, "\(damaged)")
        let finding = damaged.output.split(separator: "\n").first ?? ""
        #expect(finding.contains(store.segmentName) && finding.contains("byte "), "\(damaged)")

        let missing = try Binary.run(["check", store.directory.path + "/nothing"])
        #expect(missing.code == 2 && missing.output.isEmpty, "\(missing)")
        #expect(missing.errors.split(separator: "\n").count == 1)
        for other in ["/etc", "/var"] {
            let foreign = try Binary.run(["check", other])
            #expect(
                foreign.code == 2 && foreign.output.isEmpty
                    && foreign.errors
                        == "apus: \(other) is no data directory of Apus: it holds no MANIFEST\n",
                "\(foreign)")
        }
        let server = try ServerProcess(data: store.directory.path + "/other")
        let held = try Binary.run(["check", store.directory.path + "/other"])
        #expect(held.code == 2 && held.errors.contains("\(server.processID)"), "\(held)")
    }
}
