// `apus stats`, `inspect`, `check` and `backup` as a person sees them, on a terminal of 80 and of
// 200 columns.

import ApusTestKit
import Glibc
import Testing

@Suite struct DirectorySessions {
    private let directory = TemporaryDirectory()
    private let data: String
    private let hidden: String

    /// A store with a segment, more columns than 80 characters hold, and a log.
    init() throws {
        data = directory.path + "/data"
        hidden = directory.path + "/.copy.apus-backup"
        let server = try ServerProcess(data: data)
        let client = try LoopbackConnection(port: server.httpPort)
        var lines = ""
        for index in 0..<500 {
            let fields = (0..<12).map { "reading_number_\($0)=\(index * $0)i" }
            lines += "cpu,host=h\(index % 3),region=eu usage=\(index).5,"
            lines += fields.joined(separator: ",")
            lines += " \(1_700_000_000_000_000_000 + index * 1_000_000_000)\n"
        }
        #expect(try client.request("POST", "/write", text: lines).status == 204)
        #expect(try client.request("POST", "/sql", text: "FLUSH").status == 200)
        #expect(server.stop() == 0)
    }

    private func see(
        _ arguments: [String], columns: Int, environment: [String: String] = [:]
    ) throws -> (code: Int32, lines: [String], overlongLineCount: Int) {
        let process = try TerminalProcess(arguments, columns: columns, environment: environment)
        let code = process.exitCodeAfterAll()
        let lines = process.screen.lines(from: 0).filter { !$0.isEmpty }
        return (code, lines, process.screen.overlongLineCount)
    }

    private func files(below path: String) -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var found: [String] = []
        while let entry = readdir(stream) {
            // Safe: the name is copied at once, up to its zero.
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            let full = path + "/" + name
            found += entry.pointee.d_type == 4 ? files(below: full) : [full]
        }
        return found.sorted()
    }

    @Test(arguments: [80, 200])
    func `what a directory holds fits the terminal`(columns: Int) throws {
        let stats = try see(["stats", data], columns: columns)
        #expect(stats.code == 0 && stats.overlongLineCount == 0)
        #expect(stats.lines.contains { $0.contains("500 rows, 3 series, 6,500 values") })
        #expect(stats.lines.contains { $0.hasPrefix("together ") && $0.hasSuffix("100.0 %") })
        for file in files(below: data) where !file.hasSuffix("LOCK") && !file.contains("spare") {
            let shown = try see(["inspect", file], columns: columns)
            #expect(shown.code == 0 && shown.overlongLineCount == 0, "\(file): \(shown.lines)")
            let bytes = try see(["inspect", "--hex", file], columns: columns)
            #expect(bytes.code == 0 && bytes.overlongLineCount == 0, "\(file)")
        }
        let check = try see(["check", data], columns: columns)
        #expect(check.code == 0 && check.lines.count == 1 && check.overlongLineCount == 0)
        #expect(check.lines.last?.hasSuffix(" bytes, 0 damaged") == true)
    }

    @Test(arguments: [80, 200])
    func `what is no directory of ours is one sentence`(columns: Int) throws {
        for (arguments, code) in [
            (["stats", "/etc"], Int32(65)), (["stats", "/no/such"], 74), (["check", "/etc"], 2),
            (["check", "/no/such"], 2), (["inspect", "/etc/passwd"], 65),
            (["inspect", "/no/such"], 74), (["backup", "/etc", directory.path + "/b"], 65),
            (["backup", "/no/such", directory.path + "/b"], 74),
            (["backup", data, data + "/inside"], 64),
        ] {
            let result = try see(arguments, columns: columns)
            #expect(result.code == code, "\(arguments): \(result.lines)")
            #expect(result.lines.first?.hasPrefix("apus: ") == true && result.lines.count <= 2)
            #expect(!result.lines.contains { $0.contains("realpath") })
        }
        #expect(access(directory.path + "/b", F_OK) != 0)
    }

    @Test(arguments: [80, 200])
    func `a backup says what it did, and what is there is not replaced`(columns: Int) throws {
        let copy = directory.path + "/copy"
        let made = try see(["backup", data, copy], columns: columns)
        #expect(made.code == 0 && made.lines.first?.hasPrefix("backup at ") == true)
        let again = try see(["backup", data, copy], columns: columns)
        #expect(again.code == 64 && again.lines.joined(separator: " ").contains("--to"))
        #expect(try see(["backup", data, "--to", copy], columns: columns).code == 0)
        #expect(try see(["check", copy], columns: columns).code == 0)
    }

    @Test func `a backup that is interrupted or finds the disk full leaves nothing`() throws {
        let copy = directory.path + "/copy"
        let faults = try Faults()
        faults.begin(.syncsWait)
        let process = try TerminalProcess(
            ["backup", data, copy], columns: 80, environment: faults.environment)
        // Its first sync waits, so the end can't be reached before Ctrl-C.
        for _ in 0..<10_000 where access(hidden, F_OK) != 0 { usleep(1_000) }
        #expect(access(hidden, F_OK) == 0)
        process.type("\u{3}")
        #expect(process.exitCodeAfterAll() == 128 + SIGINT)
        #expect(process.screen.lines(from: 0).joined().contains("interrupted; nothing was left"))
        #expect(access(hidden, F_OK) != 0 && access(copy, F_OK) != 0)
        faults.end(.syncsWait)
        faults.begin(.diskFull)
        let full = try see(
            ["backup", data, copy], columns: 80, environment: faults.environment)
        #expect(full.code == 74 && full.lines.first?.contains("no space left") == true)
        #expect(access(hidden, F_OK) != 0 && access(copy, F_OK) != 0)
    }
}
