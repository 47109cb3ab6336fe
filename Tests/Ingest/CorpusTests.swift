import ApusIngest
import ApusStorage
import Foundation
import Testing

/// The cases of Corpus/*.txt; each file's head describes the format.
@Suite struct CorpusTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var name: String
        var precision = TimePrecision.nanoseconds
        var input: [UInt8] = []
        var rows: [String] = []
        var errors: [String] = []
        var testDescription: String { name }
    }

    @Test(arguments: ["accepted", "refused"])
    func `every case gives its rows and its errors, whole and byte by byte`(file: String) throws {
        let cases = try Self.cases(file)
        #expect(cases.count > 10)
        for one in cases {
            for cuts in [[], Array(1..<max(1, one.input.count))] {
                let batch = parse(one.input, cuts: cuts, precision: one.precision)
                #expect(BatchRows.rows(batch) == one.rows, "\(one.name)")
                #expect(BatchRows.rejections(batch) == one.errors, "\(one.name)")
            }
            // Again and again through one context, so that the fast path has its say.
            let context = LineContext(catalog: Catalog())
            for _ in 0..<3 {
                let padded = one.input + [0x0A] + [UInt8](repeating: 0x20, count: 80)
                let batch = parse(padded, context: context, precision: one.precision)
                if one.errors.contains(where: { $0.contains("unterminated") }) { continue }
                #expect(BatchRows.rows(batch) == one.rows, "\(one.name), again")
                #expect(BatchRows.rejections(batch) == one.errors, "\(one.name), again")
            }
        }
    }

    static func cases(_ file: String) throws -> [Case] {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Corpus/\(file).txt")
        var cases: [Case] = []
        for line in try String(contentsOf: path, encoding: .utf8).split(separator: "\n") {
            if line.hasPrefix("#") { continue }
            if line.hasPrefix("== ") {
                cases.append(Case(name: String(line.dropFirst(3))))
                continue
            }
            guard var one = cases.popLast() else { continue }
            if line.hasPrefix("precision ") {
                let unit = String(line.dropFirst(10))
                one.precision = try #require(TimePrecision.v1(unit) ?? TimePrecision.v3(unit))
            } else if line.hasPrefix("|") {
                if !one.input.isEmpty { one.input.append(0x0A) }
                one.input += bytes(line.dropFirst(2))
            } else if line.hasPrefix("row ") {
                one.rows.append(BatchRows.text(bytes(line.dropFirst(4))))
            } else if line.hasPrefix("error ") {
                one.errors.append(String(line.dropFirst(6)))
            }
            cases.append(one)
        }
        return cases
    }

    /// Replaces `<XX>` by the byte.
    private static func bytes(_ text: Substring) -> [UInt8] {
        var result: [UInt8] = []
        let source = Array(text.utf8)
        var index = 0
        while index < source.count {
            if source[index] == UInt8(ascii: "<"), index + 3 < source.count,
                source[index + 3] == UInt8(ascii: ">"),
                let byte = UInt8(BatchRows.text(source[index + 1...index + 2]), radix: 16)
            {
                result.append(byte)
                index += 4
            } else {
                result.append(source[index])
                index += 1
            }
        }
        return result
    }
}
