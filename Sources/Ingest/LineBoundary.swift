// Where lines end in bytes that begin with the start of a line: for readers that cut a file into
// pieces and want every line whole in one of them.
//
//     cpu,host=a v=1 1\n       a newline ends a line …
//     log msg="one\ntwo" 2\n   … but not inside a string, which the splitter knows
//
// The rule is the parser's own, its limit on the length of a line included: behind a line that is
// too long both go on at the next newline.

internal import ApusKernels
internal import Glibc

/// What is known of bytes that were looked at once, while they were in the cache.
package struct LineSurvey: Sendable {
    /// Newlines inside of strings included.
    package private(set) var newlineCount = 0
    /// Without one there is no string, and every newline ends a line.
    package private(set) var hasQuote = false

    package init() {}

    package init(_ bytes: UnsafeRawBufferPointer) { add(bytes) }

    /// Looks at the bytes behind those before.
    package mutating func add(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        var found: Int32 = 0
        newlineCount += apus_count_newlines(base, bytes.count, &found)
        hasQuote = hasQuote || found != 0
    }
}

/// Cuts bytes at the ends of lines.
///
/// Safe: the functions read between the buffer's start and its end only.
package struct LineBoundary: Sendable {
    package let lineBytesMax: Int

    package init(lineBytesMax: Int = IngestLimits().lineBytesMax) {
        self.lineBytesMax = lineBytesMax
    }

    /// The count of bytes up to and with the newline of the last complete line.
    ///
    /// - Complexity: O(1) for text without quotes but for the survey, else O(*n*).
    package func completeByteCount(
        _ bytes: UnsafeRawBufferPointer, _ survey: LineSurvey? = nil
    ) -> Int {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return 0 }
        let survey = survey ?? LineSurvey(bytes)
        guard survey.hasQuote else {
            // The last newline is a line's length away at most.
            return survey.newlineCount > 0 ? (bytes.lastIndex(of: 0x0A) ?? -1) + 1 : 0
        }
        let start = base.assumingMemoryBound(to: UInt8.self)
        let end = start + bytes.count
        var position = start
        while let next = behindLine(position, end) { position = next }
        return position - start
    }

    /// Where a line begins, counted as the parser counts, from 1; nil if there are fewer.
    package func offset(ofLine number: Int, in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress, number > 0 else { return nil }
        let start = base.assumingMemoryBound(to: UInt8.self)
        let end = start + bytes.count
        var position = start
        for _ in 1..<number {
            guard let next = behindLine(position, end) else { return nil }
            position = next
        }
        return position < end ? position - start : nil
    }

    /// How many newlines there are, those inside of strings included.
    package static func newlineCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        LineSurvey(bytes).newlineCount
    }

    /// Behind the newline of the line at `start`; nil if it has none yet.
    private func behindLine(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8>? {
        guard start < end, let newline = LineParser.newline(start, end) else { return nil }
        guard memchr(start, Int32(UInt8(ascii: "\"")), newline - start) != nil else {
            return newline + 1
        }
        let windowBytes = lineBytesMax + 1
        let window = end - start > windowBytes ? start + windowBytes : end
        if let newline = Self.newlineBehindStrings(start, window) { return newline + 1 }
        guard window - start == windowBytes else { return nil }
        return LineParser.newline(window, end).map { $0 + 1 }
    }

    /// What `LineSplitter` finds, by leaps from quote to quote: it looks at every byte, which a
    /// reader of whole files would feel.
    private static func newlineBehindStrings(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8>? {
        guard var newline = LineParser.newline(start, end) else { return nil }
        var first = start
        while first < newline, first.pointee == UInt8(ascii: " ") { first += 1 }
        if first.pointee == UInt8(ascii: "#") { return newline }
        // Behind the key, the first space that is not escaped.
        var position = first
        while position < newline,
            position.pointee != UInt8(ascii: " ")
                || (position > first && position[-1] == UInt8(ascii: "\\"))
        {
            position += 1
        }
        while let quote = find(UInt8(ascii: "\""), position, newline) {
            position = quote + 1
            guard quote[-1] == UInt8(ascii: "="), quote[-2] != UInt8(ascii: "\\") else { continue }
            guard let close = closingQuote(position, end),
                let next = LineParser.newline(close, end)
            else { return nil }
            position = close + 1
            newline = next
        }
        return newline
    }

    /// The first quote that an even number of backslashes precedes.
    private static func closingQuote(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8>? {
        var position = start
        while let quote = find(UInt8(ascii: "\""), position, end) {
            var run = quote
            while run > start, run[-1] == UInt8(ascii: "\\") { run -= 1 }
            if (quote - run) & 1 == 0 { return quote }
            position = quote + 1
        }
        return nil
    }

    private static func find(
        _ byte: UInt8, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8>? {
        guard start < end else { return nil }
        return memchr(start, Int32(byte), end - start).map {
            UnsafePointer($0.assumingMemoryBound(to: UInt8.self))
        }
    }
}
