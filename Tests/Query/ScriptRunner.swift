// Runs the text scripts of Tests/Query/Scripts, each in three states of the same data: in the head,
// flushed to segments, and compacted.
//
// A script is blocks between blank lines; lines with `#` in front are comments. A block's first
// line says what it is:
//
//     write [database]         lines of line protocol follow
//     rows COUNT               lines of line protocol follow, written once for each of 0 ..< COUNT,
//                              which stands where they say {i}; {i%7} is its remainder
//     do                       one statement a line, none of which answers with rows
//     query [tz=…] [sorted]    a statement, `----`, the answer: a line of names, then a line a row,
//                              cells between ` | `; `sorted` when the order is not specified;
//                              `summarized` when whole blocks of segments have to be answered from
//                              their statistics, `scanned` when none may be
//     types                    a statement, `----`, `name type` lines
//     error CODE [LINE:COLUMN] a statement, `----`, a part of message or hint a line
//
// NULL is written NULL, an empty string ''.

import Apus
import ApusQuery
import ApusStorage
import Foundation
import Testing

struct ScriptBlock {
    var kind: [String]
    var lines: [String]
    var lineNumber: Int

    var statement: String {
        lines.prefix { $0 != "----" }.joined(separator: "\n")
    }
    var expected: [String] { Array(lines.drop { $0 != "----" }.dropFirst()) }
}

enum ScriptState: String, CaseIterable {
    case head, flushed, compacted

    /// All three, or those named in APUS_SCRIPT_STATES, between commas.
    static var tested: [ScriptState] {
        guard let names = ProcessInfo.processInfo.environment["APUS_SCRIPT_STATES"] else {
            return allCases
        }
        return allCases.filter { names.split(separator: ",").contains(Substring($0.rawValue)) }
    }
}

struct TextSink: ResultSink {
    var columns: [ResultColumn] = []
    var rows: [[String]] = []
    var blocksSummarized = 0

    mutating func begin(_ columns: [ResultColumn]) throws(QueryError) { self.columns = columns }

    mutating func append(_ batch: ResultBatch) throws(QueryError) {
        for row in 0..<batch.rowCount { rows.append(batch.columns.map { Self.text($0, row) }) }
    }

    private static func text(_ vector: ResultVector, _ row: Int) -> String {
        if let validity = vector.validity, validity[row] == 0 { return "NULL" }
        if vector.type == .string || vector.type == .interval {
            let slot = StringSlot(rawValue: vector.values[row])
            let bytes = vector.stringBytes[slot.offset..<(slot.offset + slot.length)]
            return bytes.isEmpty ? "''" : String(decoding: bytes, as: UTF8.self)
        }
        return String(
            decoding: textBytes(of: Constant(type: vector.type, slot: vector.values[row]), .utc),
            as: UTF8.self)
    }
}

struct ScriptRunner {
    let store: Store
    let state: ScriptState

    static func blocks(of text: String) -> [ScriptBlock] {
        var blocks: [ScriptBlock] = []
        var current: ScriptBlock?
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            if line.hasPrefix("#") { continue }
            if line.isEmpty {
                if let block = current { blocks.append(block) }
                current = nil
            } else if current == nil {
                current = ScriptBlock(
                    kind: line.split(separator: " ").map(String.init), lines: [],
                    lineNumber: number + 1)
            } else {
                current?.lines.append(String(line))
            }
        }
        if let block = current { blocks.append(block) }
        return blocks
    }

    func query(_ sql: String, timeZone: String = "UTC") throws -> TextSink {
        var request = QueryRequest(sql: sql)
        request.timeZone = timeZone
        var sink = TextSink()
        let summary = try store.queries.run(
            request, cancellation: QueryCancellation(), into: &sink)
        sink.blocksSummarized = summary.statistics.blocksSummarized
        return sink
    }

    /// The lines of a template, once for each index.
    static func repeated(_ lines: [String], _ count: Int) -> String {
        var text = ""
        for index in 0..<count {
            for line in lines {
                for (number, part) in line.split(
                    separator: "{i", omittingEmptySubsequences: false
                ).enumerated() {
                    guard number > 0, let end = part.firstIndex(of: "}") else {
                        text += part
                        continue
                    }
                    let divisor = Int(part[..<end].dropFirst())
                    text += String(divisor.map { index % $0 } ?? index)
                    text += part[part.index(after: end)...]
                }
                text += "\n"
            }
        }
        return text
    }

    /// Brings what was written so far into the state under test.
    private func settle() throws {
        guard state != .head else { return }
        _ = try query("FLUSH")
        if state == .compacted { _ = try query("COMPACT") }
    }

    func run(_ block: ScriptBlock, name: String) async throws {
        let place = "\(name):\(block.lineNumber) (\(state.rawValue))"
        switch block.kind[0] {
        case "write", "rows":
            var text = block.lines.joined(separator: "\n") + "\n"
            var database = "default"
            if block.kind[0] == "rows" {
                text = Self.repeated(block.lines, try #require(Int(block.kind[1])))
            } else if block.kind.count > 1 {
                database = block.kind[1]
            }
            let result = try await store.write(lines: Array(text.utf8), database: database)
            #expect(result.rejections.isEmpty, "\(place)")
            try settle()
        case "do":
            for line in block.lines {
                do { _ = try query(line) } catch { Issue.record("\(place): \(line): \(error)") }
            }
            try settle()
        case "query", "types": expectAnswer(block, place)
        case "error": expectError(block, place)
        default: Issue.record("\(place): no block is called \(block.kind[0])")
        }
    }

    private func expectAnswer(_ block: ScriptBlock, _ place: String) {
        do {
            let zone = block.kind.first { $0.hasPrefix("tz=") }.map { String($0.dropFirst(3)) }
            let answer = try query(block.statement, timeZone: zone ?? "UTC")
            var found: [String]
            if block.kind[0] == "types" {
                found = answer.columns.map { "\($0.name) \($0.type.rawValue)" }
            } else {
                var rows = answer.rows.map { $0.joined(separator: " | ") }
                if block.kind.contains("sorted") { rows.sort() }
                found = [answer.columns.map(\.name).joined(separator: " | ")] + rows
            }
            #expect(found == block.expected, "\(place): \(block.statement)")
            if block.kind.contains("summarized"), state != .head {
                #expect(answer.blocksSummarized > 0, "\(place): \(block.statement)")
            }
            if block.kind.contains("scanned") {
                #expect(answer.blocksSummarized == 0, "\(place): \(block.statement)")
            }
        } catch {
            Issue.record("\(place): \(block.statement): \(error)")
        }
    }

    private func expectError(_ block: ScriptBlock, _ place: String) {
        do {
            let answer = try query(block.statement)
            Issue.record("\(place): \(block.statement) answered \(answer.rows)")
        } catch let error as QueryError {
            #expect(error.code.rawValue == block.kind[1], "\(place): \(error)")
            if block.kind.count > 2 {
                #expect(
                    "\(error.line ?? 0):\(error.column ?? 0)" == block.kind[2], "\(place): \(error)"
                )
            }
            for part in block.expected {
                #expect(error.description.contains(part), "\(place): \(error)")
            }
        } catch {
            Issue.record("\(place): \(error)")
        }
    }
}

struct QueryScriptTests {
    static var scripts: [String] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Scripts").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".test") }.sorted().map { folder + "/" + $0 }
    }

    @Test(arguments: QueryScriptTests.scripts, ScriptState.tested)
    func `every script answers as written`(path: String, state: ScriptState) async throws {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: state)
            for block in ScriptRunner.blocks(of: text) {
                try await runner.run(block, name: (path as NSString).lastPathComponent)
            }
        }
    }
}
