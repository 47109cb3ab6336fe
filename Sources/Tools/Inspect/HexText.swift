// `apus inspect --hex`: offset, bytes, meaning.
//
//     offset  bytes                              meaning
//          0  41 50 55 53 4D 41 4E 31            magic "APUSMAN1"

package import ApusStorage

package enum HexText {
    /// Lines that a piece gets at most; of longer ones the beginning is shown.
    private static let linesMax = 2

    /// Calls `write` with each line.
    ///
    /// Safe: the buffer's own subscript checks each bound, and nothing keeps the bytes.
    package static func lines(
        _ bytes: UnsafeRawBufferPointer, _ ranges: [AnnotatedRange], width: Int,
        _ write: (String) -> Void
    ) {
        let perLine = width >= 120 ? 16 : 8
        let offsetWidth = max(6, String(bytes.count).count)
        let hexWidth = perLine * 3 - 1
        func padded(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        for range in ranges {
            guard !range.isTitle else {
                write("")
                write(DisplayWidth.cut(range.meaning, toColumns: width))
                continue
            }
            let end = min(range.offset + range.byteCount, bytes.count)
            var start = range.offset
            var meaning = range.meaning
            var lineCount = 0
            while start < end, lineCount < linesMax {
                let stop = min(end, start + perLine)
                let hex = bytes[start..<stop].map(digits).joined(separator: " ")
                if lineCount == linesMax - 1, stop < end { meaning = "… to byte \(end - 1)" }
                let filler = String(repeating: " ", count: max(0, hexWidth - hex.count))
                var line = "\(padded(String(start), offsetWidth))  \(hex)\(filler)  \(meaning)"
                while line.last == " " { line.removeLast() }
                write(DisplayWidth.cut(line, toColumns: width))
                meaning = ""
                start = stop
                lineCount += 1
            }
        }
    }

    private static func digits(_ byte: UInt8) -> String {
        let text = String(byte, radix: 16, uppercase: true)
        return text.count == 1 ? "0" + text : text
    }
}
