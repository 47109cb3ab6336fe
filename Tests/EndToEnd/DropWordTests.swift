// Words on which Telegraf drops a batch for good: no 5xx says them, whatever names it has to name.

import ApusTestKit
import Glibc
import Testing

private let words = [
    "partial write", "unable to parse", "points beyond retention policy",
    "retention policy not found", "hinted handoff queue not empty",
]

@Suite(.serialized) struct `Words that drop a batch` {
    private static let encoded = words.map(percentEncoded)

    /// Asks every way to write, with names and values of these words, and expects refusals without.
    private func expectNone(_ client: LoopbackConnection, _ state: String) throws {
        let lines = words.map { word in
            let name = word.replacing(" ", with: "\\ ")
            return #"\#(name),\#(name)=\#(name) \#(name)="\#(word)" 1"#
        }.joined(separator: "\n")
        var requests: [(target: String, body: String)] = []
        for (word, name) in zip(words, Self.encoded) {
            requests += [
                ("/write?db=\(name)", lines), ("/write?db=x&rp=\(name)", lines),
                ("/\(name)/write?db=x", lines), ("/api/v2/write?bucket=\(name)&org=\(name)", lines),
                ("/api/v3/write_lp?db=\(name)", lines),
                ("/sql?db=x", #"INSERT INTO "\#(word)!" (time, "\#(word)") VALUES (1, 1.5)"#),
            ]
        }
        for (target, body) in requests {
            let answer = try client.request("POST", target, text: body)
            #expect(answer.status == 503, "\(state) \(target): \(answer.text)")
            expectNone(answer, state)
        }
        expectNone(try client.request("GET", "/health"), state)
    }

    private func expectNone(_ answer: HTTPAnswer, _ state: String) {
        let text = (answer.text + "\(answer.headers)").lowercased()
        for word in words { #expect(!text.contains(word), "\(state): \(text)") }
    }

    @Test func `are in no answer of 5xx, though databases, tables and directories are called so`()
        throws
    {
        let faults = try Faults()
        let directory = TemporaryDirectory()
        // Errors of the file system name files.
        let data = directory.path + "/partial write, unable to parse"
        do {
            let server = try ServerProcess(data: data)
            let client = try LoopbackConnection(port: server.httpPort)
            for statement in [
                "CREATE DATABASE x", #"CREATE DATABASE "unable to parse""#,
            ] {
                let answer = try client.request("POST", "/sql", text: statement)
                #expect(answer.status == 200, "\(answer.text)")
            }
            // A 400 may say them, and does.
            let partial = try client.request("POST", "/write", text: "m v=1\nbad")
            #expect(partial.status == 400 && partial.text.contains("partial write"))
            #expect(server.stop() == 0)
        }
        faults.begin(.openingWaits)
        let port = try freePort()
        let server = try ServerProcess(
            starting: data, httpPort: port, environment: faults.environment)
        var connection: LoopbackConnection?
        #expect(
            eventually {
                connection = try? LoopbackConnection(port: port)
                return connection != nil
            })
        let client = try #require(connection)
        try expectNone(client, "opening")
        faults.end(.openingWaits)
        try server.awaitReady()
        faults.begin(.diskFull)
        try expectNone(client, "full")
        faults.end(.diskFull)
        #expect(try client.request("POST", "/write", text: "m v=1").status == 204)
        faults.begin(.syncsFail)
        #expect(try client.request("POST", "/write", text: "m v=1").status == 503)
        faults.end(.syncsFail)
        try expectNone(client, "read-only")
    }
}
