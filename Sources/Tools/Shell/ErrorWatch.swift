// Finds the error that an answer may end with, while its bytes pass through unchanged.
//
//     JSON      …],"error":{…}}      the last member
//     NDJSON    {"error":{…}}        the last line; no row of ours has an object as a value
//     CSV       none: the answer is cut off, which the transport tells

package import ApusQuery

package final class ErrorWatch {
    private static let lineStart = Array(#"{"error":{"#.utf8)
    private static let lineBytesMax = 64 << 10

    private let format: ResultFormat
    private var reader = AnswerReader()
    private var sink = NoSink()
    /// The line that is coming in, as long as it looks like an error.
    private var line: [UInt8] = []
    private var isSuspect = true

    package init(format: ResultFormat) { self.format = format }

    package var warnings: [String] { reader.summary.warnings }
    package var error: StatementError? { reader.summary.error }

    package func take(_ piece: ArraySlice<UInt8>) throws {
        switch format {
        case .json: try reader.feed(piece, into: &sink)
        case .ndjson: try takeLines(piece)
        case .csv: break
        }
    }

    private func takeLines(_ piece: ArraySlice<UInt8>) throws {
        var rest = piece
        while !rest.isEmpty {
            let end = rest.firstIndex(of: 0x0A)
            let part = rest[..<(end ?? rest.endIndex)]
            if isSuspect, line.count + part.count <= Self.lineBytesMax {
                line += part
                let count = min(line.count, Self.lineStart.count)
                isSuspect = line.prefix(count).elementsEqual(Self.lineStart.prefix(count))
            } else {
                isSuspect = false
            }
            guard let end else { return }
            if isSuspect, line.count > Self.lineStart.count {
                try reader.feed(line[...], into: &sink)
            }
            line.removeAll(keepingCapacity: true)
            isSuspect = true
            rest = rest[(end + 1)...]
        }
    }
}
