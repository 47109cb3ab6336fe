// A file of line protocol, cut into bodies: whole lines, each body small enough for one request.
//
//     │ line line line li│ne line "a\nb" line lin│e line │
//     └────── body ────┘└────────── body ───────┘└ body ┘
//
// A line that is longer than any that would be taken is refused here, so that memory stays bounded
// whatever the file holds.

package import ApusIngest
internal import Glibc

/// Some whole lines of one input.
package struct LineBody: Sendable {
    package var bytes: [UInt8]
    /// Which input of the run.
    package var inputIndex: Int
    /// The number of its first line in the input, as an editor counts, from 1.
    package var firstLine: Int
    package var newlineCount: Int
    /// Bytes of the input that it took, before decompression: for progress.
    package var inputByteCount: Int
    /// Its place among all bodies of the run.
    package var sequence = 0

    package init(
        bytes: [UInt8], inputIndex: Int, firstLine: Int, newlineCount: Int, inputByteCount: Int
    ) {
        self.bytes = bytes
        self.inputIndex = inputIndex
        self.firstLine = firstLine
        self.newlineCount = newlineCount
        self.inputByteCount = inputByteCount
    }

    /// The lines of the body; the last may lack its newline.
    package var lineCount: Int { newlineCount + (bytes.last == 0x0A || bytes.isEmpty ? 0 : 1) }

    /// The number in the input of a line that the parser calls `number`. They differ where strings
    /// hold newlines, which an editor counts and the parser doesn't.
    package func inputLine(ofParsedLine number: Int) -> Int {
        bytes.withUnsafeBytes { bytes in
            guard let offset = LineBoundary().offset(ofLine: number, in: bytes) else {
                return firstLine + max(0, number - 1)
            }
            return firstLine
                + LineBoundary.newlineCount(UnsafeRawBufferPointer(rebasing: bytes[..<offset]))
        }
    }

    /// Two bodies of about half the lines each; nil if there is one line only.
    package func halves() -> (LineBody, LineBody)? {
        let cut = bytes.withUnsafeBytes { bytes -> Int in
            let boundary = LineBoundary()
            let half = bytes.count / 2
            let upToHalf = boundary.completeByteCount(
                UnsafeRawBufferPointer(rebasing: bytes[..<half]))
            // Nothing ends in the first half: the line in the middle is cut off on its own.
            return upToHalf > 0 ? upToHalf : boundary.offset(ofLine: 2, in: bytes) ?? bytes.count
        }
        guard cut < bytes.count else { return nil }
        var first = self
        first.bytes = Array(bytes[..<cut])
        first.newlineCount = first.bytes.withUnsafeBytes { LineBoundary.newlineCount($0) }
        first.inputByteCount = 0
        var second = self
        second.bytes = Array(bytes[cut...])
        second.firstLine += first.newlineCount
        second.newlineCount -= first.newlineCount
        return (first, second)
    }
}

/// Reads one input. For one thread.
///
/// Safe: buffers are filled from their start, and as far as the source says.
package struct BodyReader {
    package enum Piece {
        case body(LineBody)
        /// A line that no server would take; the bytes are gone.
        case longLine(Int)
    }

    package static let bodyBytesMax = 2 << 20
    /// What is read at once is looked at while it is in the cache.
    private static let pieceBytesMax = 128 << 10

    private let source: any ByteSource
    private let inputIndex: Int
    private let capacity: Int
    private let boundary: LineBoundary
    private var carried: [UInt8] = []
    private var nextLine = 1
    private var reportedByteCount = 0
    private var isSkipping = false
    private var isAtEnd = false

    package init(
        _ source: any ByteSource, inputIndex: Int = 0, bodyBytesMax: Int = bodyBytesMax,
        boundary: LineBoundary = LineBoundary()
    ) {
        self.source = source
        self.inputIndex = inputIndex
        self.boundary = boundary
        // Room for the longest line that is taken, its newline, and one byte to know it by.
        capacity = max(bodyBytesMax, boundary.lineBytesMax + 2)
    }

    /// The next piece; nil at the end. After a fault the lines that were not given yet are lost:
    /// behind broken compression nothing near it can be trusted.
    package mutating func next() throws(InputFault) -> Piece? {
        while true {
            var survey = LineSurvey()
            var bytes = try filled(&survey)
            if isSkipping {
                skipLine(&bytes)
                carried = bytes
                if isAtEnd, carried.isEmpty { return nil }
                continue
            }
            guard !bytes.isEmpty else { return nil }
            if isAtEnd {
                carried = []
                return .body(body(bytes, survey.newlineCount))
            }
            let count = bytes.withUnsafeBytes { boundary.completeByteCount($0, survey) }
            guard count > 0 else {
                guard bytes.count > boundary.lineBytesMax else {
                    carried = bytes
                    continue
                }
                return .longLine(dropLongLine(&bytes))
            }
            carried = Array(bytes[count...])
            bytes.removeLast(bytes.count - count)
            if survey.hasQuote {
                // What is carried over may be the start of a string with newlines.
                survey = bytes.withUnsafeBytes { LineSurvey($0) }
            }
            return .body(body(bytes, survey.newlineCount))
        }
    }

    /// What was carried over and as much again as there is room for.
    private mutating func filled(_ survey: inout LineSurvey) throws(InputFault) -> [UInt8] {
        var fault: InputFault?
        let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            raw.copyBytes(from: carried)
            count = carried.count
            survey.add(UnsafeRawBufferPointer(rebasing: raw[..<count]))
            while !isAtEnd, count < capacity {
                do throws(InputFault) {
                    let end = min(capacity, count + Self.pieceBytesMax)
                    let more = try source.read(
                        into: UnsafeMutableRawBufferPointer(rebasing: raw[count..<end]))
                    isAtEnd = more == 0
                    survey.add(UnsafeRawBufferPointer(rebasing: raw[count..<count + more]))
                    count += more
                } catch {
                    fault = error
                    return
                }
            }
        }
        if let fault { throw fault }
        return bytes
    }

    private mutating func body(_ bytes: [UInt8], _ newlines: Int) -> LineBody {
        let consumed = source.consumedByteCount
        defer {
            nextLine += newlines
            reportedByteCount = consumed
        }
        return LineBody(
            bytes: bytes, inputIndex: inputIndex, firstLine: nextLine, newlineCount: newlines,
            inputByteCount: consumed - reportedByteCount)
    }

    /// Takes the start of a line that is too long; the rest follows by `skipLine`.
    private mutating func dropLongLine(_ bytes: inout [UInt8]) -> Int {
        let line = nextLine
        // The parser goes on at the first newline behind what it would have taken.
        let dropped = min(bytes.count, boundary.lineBytesMax + 1)
        nextLine += bytes[..<dropped].withUnsafeBytes { LineBoundary.newlineCount($0) }
        carried = Array(bytes[dropped...])
        isSkipping = true
        return line
    }

    private mutating func skipLine(_ bytes: inout [UInt8]) {
        guard let newline = bytes.firstIndex(of: 0x0A) else {
            bytes = []
            return
        }
        bytes.removeFirst(newline + 1)
        nextLine += 1
        isSkipping = false
    }
}
