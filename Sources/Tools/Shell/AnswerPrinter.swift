// An answer as a table, or as one record after the other, in constant memory: the first rows are
// held back to measure the columns, the rest passes through.

package struct PrintStyle: Sendable {
    /// `\x`: a line for each value.
    package var isExpanded = false
    /// The terminal's size; nil where the output is none. Nothing is cut then.
    package var terminal: TerminalSize?
    package var nullText = "NULL"

    package init() {}
}

package struct TerminalSize: Equatable, Sendable {
    package var columns: Int
    package var rows: Int

    package init(columns: Int, rows: Int) {
        self.columns = columns
        self.rows = rows
    }
}

/// Takes bytes for a person or a file.
package protocol ByteOutput: AnyObject {
    /// - Throws: `OutputFault`; nobody reads any more.
    func write(_ bytes: ArraySlice<UInt8>) throws
}

package struct AnswerPrinter: AnswerSink {
    private static let sampleRowsMax = 1_000
    private static let sampleBytesMax = 4 << 20
    private static let pieceBytes = 32 << 10

    private let style: PrintStyle
    /// Called once, with the count of lines known so far, which may grow.
    private let open: (_ linesAtLeast: Int) -> any ByteOutput
    private var output: (any ByteOutput)?
    private var columns: [AnswerColumn]?
    private var sample: [AnswerRow] = []
    private var sampleBytes = 0
    private var layout: TableLayout?
    private var text: [UInt8] = []
    private var rowCount = 0

    /// - Parameter open: gives the output once it is known whether the answer fills the screen.
    package init(style: PrintStyle, open: @escaping (_ linesAtLeast: Int) -> any ByteOutput) {
        self.style = style
        self.open = open
    }

    package mutating func begin(_ columns: [AnswerColumn]) { self.columns = columns }

    package mutating func append(_ row: AnswerRow) throws {
        if layout == nil {
            sample.append(row)
            sampleBytes += row.bytes.count
            if sample.count >= Self.sampleRowsMax || sampleBytes >= Self.sampleBytesMax {
                try start()
            }
        } else {
            print(row)
            if text.count >= Self.pieceBytes { try flush() }
        }
    }

    /// Prints what is held back, and the line with the count.
    ///
    /// - Parameter footers: lines to stand below the table, inside of a pager too.
    package mutating func finish(_ summary: AnswerSummary, footers: [String] = []) throws {
        guard let columns else { return }
        if layout == nil { try start() }
        if columns.isEmpty {
            put("OK\n")
        } else {
            if let layout, layout.widths.count < columns.count, !style.isExpanded {
                put(
                    "(\(layout.widths.count) of \(columns.count) columns fit; "
                        + "\\x shows all of them, line by line)\n")
            }
            // A query that failed has no count; what was printed of it is not all.
            if summary.error == nil, summary.isComplete {
                put(rowCount == 1 ? "(1 row)\n" : "(\(rowCount) rows)\n")
            }
        }
        for footer in footers { put(footer + "\n") }
        try flush()
    }

    // MARK: the first rows

    private mutating func start() throws {
        let columns = columns ?? []
        let nullWidth = DisplayWidth.columns(of: style.nullText)
        let measures = columns.indices.map { index in
            var width = 0
            for row in sample {
                width = max(width, row[index].map { Self.columnCount($0) } ?? nullWidth)
            }
            return TableLayout.Measure(
                nameWidth: DisplayWidth.columns(of: DisplayWidth.printable(columns[index].name)),
                valueWidth: width, isText: columns[index].isText)
        }
        layout = TableLayout(measures, columnsMax: style.terminal?.columns)
        let linesPerRow = style.isExpanded ? columns.count + 1 : 1
        output = open(sample.count * linesPerRow + 4)
        if !style.isExpanded, !columns.isEmpty { printHeader() }
        for row in sample { print(row) }
        sample = []
        try flush()
    }

    private static func isPlain(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.allSatisfy { $0 &- 0x20 < 0x5F }
    }

    private static func columnCount(_ bytes: ArraySlice<UInt8>) -> Int {
        if isPlain(bytes) { return bytes.count }
        return DisplayWidth.columns(
            of: DisplayWidth.printable(String(decoding: bytes, as: UTF8.self)))
    }

    // MARK: lines

    private mutating func put(_ string: String) { text += Array(string.utf8) }

    private mutating func pad(_ count: Int, with byte: UInt8 = 0x20) {
        if count > 0 { text.append(contentsOf: repeatElement(byte, count: count)) }
    }

    private mutating func flush() throws {
        try output?.write(text[...])
        text.removeAll(keepingCapacity: true)
    }

    private mutating func printHeader() {
        guard let columns, let layout else { return }
        for (index, width) in layout.widths.enumerated() {
            if index > 0 { put("|") }
            put(" ")
            cell(Array(columns[index].name.utf8)[...], index, width)
            put(index + 1 < layout.widths.count ? " " : "")
        }
        endLine()
        for (index, width) in layout.widths.enumerated() {
            if index > 0 { put("+") }
            pad(width + 2, with: UInt8(ascii: "-"))
        }
        put("\n")
    }

    private mutating func print(_ row: AnswerRow) {
        rowCount += 1
        guard !style.isExpanded else { return printRecord(row) }
        guard let layout else { return }
        for (index, width) in layout.widths.enumerated() {
            if index > 0 { text.append(UInt8(ascii: "|")) }
            text.append(0x20)
            cell(row[index], index, width)
            if index + 1 < layout.widths.count { text.append(0x20) }
        }
        endLine()
    }

    /// Blanks at a line's end are for nobody.
    private mutating func endLine() {
        while text.last == 0x20 { text.removeLast() }
        text.append(0x0A)
    }

    private mutating func cell(_ value: ArraySlice<UInt8>?, _ index: Int, _ width: Int) {
        let isRight = columns?[index].isNumber ?? false
        guard let value else {
            let missing = width - DisplayWidth.columns(of: style.nullText)
            if isRight { pad(missing) }
            putNull()
            if !isRight { pad(missing) }
            return
        }
        if Self.isPlain(value), value.count <= width {
            if isRight { pad(width - value.count) }
            text += value
            if !isRight { pad(width - value.count) }
            return
        }
        var shown = DisplayWidth.printable(String(decoding: value, as: UTF8.self))
        // Into a file or another program nothing is cut: the line gets longer.
        if style.terminal != nil { shown = DisplayWidth.cut(shown, toColumns: width) }
        let missing = width - DisplayWidth.columns(of: shown)
        if isRight { pad(missing) }
        put(shown)
        if !isRight { pad(missing) }
    }

    /// Dim on a terminal, so that it can't be taken for a text that spells the same.
    private mutating func putNull() {
        guard !style.nullText.isEmpty else { return }
        put(style.terminal == nil ? style.nullText : "\u{1B}[2m\(style.nullText)\u{1B}[0m")
    }

    private mutating func printRecord(_ row: AnswerRow) {
        guard let columns else { return }
        let names = columns.map { DisplayWidth.printable($0.name) }
        let nameWidth = names.map { DisplayWidth.columns(of: $0) }.max() ?? 0
        let title = "-[ RECORD \(rowCount) ]"
        put(title)
        pad(max(nameWidth + 1, 24) - title.utf8.count, with: UInt8(ascii: "-"))
        put("\n")
        for (index, name) in names.enumerated() {
            put(name)
            pad(nameWidth - DisplayWidth.columns(of: name))
            put(" | ")
            if let value = row[index] {
                put(DisplayWidth.printable(String(decoding: value, as: UTF8.self)))
            } else {
                putNull()
            }
            endLine()
        }
    }
}
