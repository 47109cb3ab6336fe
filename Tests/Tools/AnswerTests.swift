// Answers: read from JSON in any pieces, printed as tables and records.

import ApusQuery
import ApusTools
import Testing

private struct Rows: AnswerSink {
    var columns: [AnswerColumn] = []
    var rows: [[String?]] = []

    mutating func begin(_ columns: [AnswerColumn]) { self.columns = columns }
    mutating func append(_ row: AnswerRow) { rows.append(row.texts) }
}

@Suite struct AnswerReaderTests {
    private static let answer = #"""
        {"columns":[{"name":"a\"b","type":"string"},{"name":"n","type":"float64"}],
        "rows":[["x\n\u00e9\ud83d\ude00\\",1.5],[null,null],["",-3e10],["nul",true]],"row_count":4,
        "warnings":["be careful"],"future":{"a":[1,{"b":2}]},
        "stats":{"elapsed_ms":0.25,"rows_scanned":3}}

        """#

    @Test(arguments: [1, 2, 3, 7, 1_000])
    func `where the pieces are cut changes nothing`(pieceBytes: Int) throws {
        var (reader, sink) = (AnswerReader(), Rows())
        let bytes = Array(Self.answer.utf8)
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            try reader.feed(bytes[start..<min(start + pieceBytes, bytes.count)], into: &sink)
        }
        #expect(sink.columns.map(\.name) == ["a\"b", "n"])
        #expect(sink.columns.map(\.isNumber) == [false, true])
        #expect(
            sink.rows == [["x\né😀\\", "1.5"], [nil, nil], ["", "-3e10"], ["nul", "true"]])
        #expect(reader.summary.isComplete && reader.summary.rowCount == 4)
        #expect(reader.summary.warnings == ["be careful"])
        #expect(reader.summary.elapsedMilliseconds == "0.25")
    }

    @Test func `an error behind the rows, or alone, is found`() throws {
        var (reader, sink) = (AnswerReader(), Rows())
        let late =
            #"{"columns":[],"rows":[],"error":{"code":"timeout","message":"too slow","line":2,"column":7,"hint":"ask less"}}"#
        try reader.feed(Array(late.utf8)[...], into: &sink)
        #expect(reader.summary.error?.message == "too slow")
        #expect(reader.summary.error?.column == 7)
        #expect(StatementError(body: #"{"error":{"message":"no"}}"#)?.message == "no")
        #expect(StatementError(body: "<html>") == nil)
        #expect(StatementError(body: "{}") == nil)
    }

    @Test(arguments: [
        "[", "{]", #"{"rows":[[[]]]}"#, #"{"a":"\x"}"#, #"{"a":"\uzzzz"}"#, "{1}",
        #"{"columns":[[]]}"#, "\u{1}", "{}{", #"{"rows":[1]}"#,
    ])
    func `what is no answer is an error, never a trap`(text: String) {
        var (reader, sink) = (AnswerReader(), Rows())
        #expect(throws: JSONFault.self) {
            try reader.feed(Array(text.utf8)[...], into: &sink)
        }
    }

    @Test func `the error at the end of a stream is seen while it passes`() throws {
        let watch = ErrorWatch(format: .ndjson)
        let text = "{\"error\":\"a value\"}\n{\"a\":1}\n{\"error\":{\"message\":\"stop\"}}\n"
        for byte in text.utf8 { try watch.take([byte]) }
        #expect(watch.error?.message == "stop")
        let clean = ErrorWatch(format: .ndjson)
        try clean.take(Array("{\"error\":\"{\"}\n".utf8)[...])
        #expect(clean.error == nil)
    }
}

@Suite struct AnswerPrinterTests {
    private func printed(
        _ columns: [AnswerColumn], _ rows: [[String?]], style: PrintStyle = PrintStyle()
    ) throws -> String {
        let output = MemoryOutput()
        var printer = AnswerPrinter(style: style) { _ in output }
        printer.begin(columns)
        for row in rows { try printer.append(AnswerRow(row)) }
        var summary = AnswerSummary()
        summary.isComplete = true
        try printer.finish(summary)
        return output.text
    }

    private let columns = [
        AnswerColumn(name: "host", type: "string"), AnswerColumn(name: "avg", type: "float64"),
    ]

    @Test func `numbers stand right, texts left, NULL is visible`() throws {
        #expect(
            try printed(columns, [["a", "1.5"], [nil, "-10.25"], ["漢字", nil]])
                == """
                 host |    avg
                ------+--------
                 a    |    1.5
                 NULL | -10.25
                 漢字 |   NULL
                (3 rows)

                """)
        #expect(try printed(columns, []) == " host | avg\n------+-----\n(0 rows)\n")
        #expect(try printed([], []) == "OK\n")
    }

    @Test func `a table fits the terminal, cutting texts and never numbers`() throws {
        var style = PrintStyle()
        style.terminal = TerminalSize(columns: 25, rows: 10)
        let text = try printed(
            columns, [["a host with a long name", "123456789.25"]], style: style)
        #expect(
            text.split(separator: "\n").prefix(3).map { String($0) }
                == [
                    " host     |          avg", "----------+--------------",
                    " a host … | 123456789.25",
                ])
    }

    @Test func `columns that do not fit are counted, not hidden silently`() throws {
        var style = PrintStyle()
        style.terminal = TerminalSize(columns: 20, rows: 10)
        let wide = (0..<4).map { AnswerColumn(name: "number\($0)", type: "int64") }
        let text = try printed(wide, [Array(repeating: "12345678", count: 4)], style: style)
        #expect(text.contains("(1 of 4 columns fit; \\x shows all of them, line by line)"))
        let lines: [Substring] = text.split(separator: "\n")
        #expect(lines.prefix(3).allSatisfy { $0.count <= 20 })
    }

    @Test func `names that differ at their ends still differ when cut`() throws {
        var style = PrintStyle()
        style.terminal = TerminalSize(columns: 21, rows: 10)
        let similar = ["usage_number_1", "usage_number_2"].map {
            AnswerColumn(name: $0, type: "int64")
        }
        let text = try printed(similar, [["1", "2"]], style: style)
        #expect(text.hasPrefix(" usag…r_1 | usag…r_2\n"), "\(text)")
    }

    @Test func `rows beyond the first thousand keep its widths`() throws {
        var style = PrintStyle()
        style.terminal = TerminalSize(columns: 80, rows: 10)
        let rows = (0..<1_001).map { [$0 < 1_000 ? "a" : "abcdefgh", "1"] }
        let lines: [Substring] = try printed(columns, rows, style: style).split(separator: "\n")
        #expect(lines[1_001] == " a    |   1" && lines[1_002] == " abc… |   1")
        // A file is read by programs too: nothing is cut in it.
        let file: [Substring] = try printed(columns, rows).split(separator: "\n")
        #expect(file[1_002] == " abcdefgh |   1")
    }

    @Test func `nothing in a value can command the terminal`() throws {
        let text = try printed(columns, [["a\u{1B}[2J\u{7}\n\u{9B}\u{202E}", "1"]])
        #expect(text.contains(#"a\x1b[2J\x07\n\x9b\u202e"#))
    }

    @Test func `records name every column`() throws {
        var style = PrintStyle()
        style.isExpanded = true
        #expect(
            try printed(columns, [["a", "1.5"], [nil, "2"]], style: style)
                == """
                -[ RECORD 1 ]-----------
                host | a
                avg  | 1.5
                -[ RECORD 2 ]-----------
                host | NULL
                avg  | 2
                (2 rows)

                """)
    }

    @Test func `an error points at its place, in columns of the screen`() {
        var error = StatementError(code: "syntax", message: "no")
        (error.line, error.column, error.hint) = (2, 4, "yes")
        #expect(
            ErrorReport.text(error, statement: "SELECT\n漢字 x\n1")
                == "error: no\nLINE 2: 漢字 x\n             ^\nhint: yes\n")
        (error.line, error.column) = (9, 1)
        #expect(ErrorReport.text(error, statement: "SELECT") == "error: no\nhint: yes\n")
        (error.line, error.column, error.hint) = (1, 301, nil)
        let long = String(repeating: "a", count: 300) + "!" + String(repeating: "b", count: 300)
        let lines = ErrorReport.text(error, statement: long).split(separator: "\n")
        #expect(lines[1].count < 140 && lines[1].hasSuffix("…"))
        #expect(lines[1].dropFirst(lines[2].count - 1).first == "!")
    }
}
