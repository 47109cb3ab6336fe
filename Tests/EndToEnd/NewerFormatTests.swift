// Files of a format that this release doesn't know: told from damage, and left as they are.

import ApusStorage
import ApusTestKit
import Foundation
import Testing

/// A closed store with a file of every kind that has a format number.
private final class StoredFiles {
    let directory = TemporaryDirectory()
    var data: String { directory.path + "/data" }

    init() throws {
        let server = try ServerProcess(data: directory.path + "/data")
        let client = try LoopbackConnection(port: server.httpPort)
        for (target, text) in [
            ("/write", "m,k=a v=1 1"), ("/sql", "FLUSH"), ("/write", "m,k=a v=2 2"),
        ] {
            let answer = try client.request("POST", target, text: text)
            guard answer.status / 100 == 2 else { throw ClientFault("\(target): \(answer)") }
        }
        guard server.stop() == 0 else { throw ClientFault("the server did not stop cleanly") }
    }

    var paths: [String] {
        let all = FileManager.default.subpaths(atPath: data) ?? []
        return all.filter { $0 == "MANIFEST" || $0.contains(".") }.sorted()
    }

    func bytes(_ path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: "\(data)/\(path)")))
    }

    func store(_ bytes: [UInt8], _ path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(data)/\(path)"))
    }

    func contents() throws -> [String: [UInt8]] {
        try Dictionary(uniqueKeysWithValues: paths.map { ($0, try bytes($0)) })
    }
}

@Suite(.serialized) struct `Newer formats` {
    /// The number of the next format. MANIFEST has an older one where that is enough.
    private func next(_ bytes: [UInt8], _ path: String) -> UInt8 {
        path == "MANIFEST" ? UInt8(Manifest.formatNumber) + 1 : bytes[8] + 1
    }

    /// A file's bytes as the next format would have them. Magic, format number and checksum of a
    /// file's beginning keep their places in every format.
    private func raised(_ bytes: [UInt8], _ path: String) -> [UInt8] {
        var bytes = bytes
        bytes[8] = next(bytes, path)
        func sum(_ range: Range<Int>, at place: Int, and more: Range<Int>? = nil) {
            var sum = CRC32C.checksum(Array(bytes[range]))
            if let more { sum = CRC32C.checksum(Array(bytes[more]), continuing: sum) }
            for index in 0..<4 {
                bytes[place + index] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * index))
            }
        }
        if path.hasPrefix("MANIFEST") {
            sum(0..<16, at: 16, and: 20..<bytes.count)
        } else if path.hasPrefix("log/") {
            let end = LogFileHeader.pageBytes - 4
            sum(0..<end, at: end)
        } else {
            sum(0..<12, at: 12)
        }
        return bytes
    }

    @Test func `of any kind of file end with 65 and one line, and nothing is changed`() throws {
        let store = try StoredFiles()
        let kinds = try ["MANIFEST", "catalog/", "data/", "log/0"].map { start in
            try #require(store.paths.last { $0.hasPrefix(start) && !$0.hasSuffix(".previous") })
        }
        let listeners = ["--http", "127.0.0.1:0", "--line-tcp", "off", "--line-udp", "off"]
        for path in kinds {
            let original = try store.bytes(path)
            let newer = "format \(next(original, path))"
            try store.store(raised(original, path), path)
            let before = try store.contents()
            let result = try Binary.run(["serve", "--data", store.data] + listeners)
            #expect(result.code == 65 && result.output == "", "\(path): \(result)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
            #expect(
                result.errors.contains(path) && result.errors.contains(newer)
                    && result.errors.contains("newer release"), "\(result.errors)")
            #expect(try store.contents() == before, "\(path)")
            let check = try Binary.run(["check", store.data])
            #expect(check.code == 2 && check.output == "", "\(path): \(check)")
            #expect(check.errors.contains(newer), "\(path): \(check)")
            try store.store(original, path)
        }
        let server = try ServerProcess(data: store.data)
        let client = try LoopbackConnection(port: server.httpPort)
        #expect(try client.rows("SELECT v FROM m ORDER BY time") == "[[1.0],[2.0]]")
    }
}
