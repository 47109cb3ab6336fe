// The regular expressions of `~ ~* !~ !~*`: RE2 syntax over UTF-8, searched unanchored, in linear
// time whatever the pattern.

internal import ApusRegexShim

/// A compiled regular expression. Immutable, and safe to match from several threads at once.
package final class RegexPattern: @unchecked Sendable {
    package let pattern: String
    package let ignoresCase: Bool
    private let handle: OpaquePointer

    private static let patternBytesMax = 16_384

    /// Compiles a pattern.
    ///
    /// - Throws: `semantic` if RE2 cannot compile it; look-around and back-references are named.
    package init(_ pattern: String, ignoresCase: Bool) throws(QueryError) {
        guard pattern.utf8.count <= RegexPattern.patternBytesMax else {
            throw QueryError(
                .limit, "a regular expression has at most \(RegexPattern.patternBytesMax) bytes")
        }
        var text = pattern
        var message = [CChar](repeating: 0, count: 256)
        // Safe: the compiler reads `count` bytes and writes at most 256 with a closing NUL.
        let handle = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                apus_regex_compile(
                    characters.baseAddress ?? RegexPattern.empty, characters.count, ignoresCase,
                    &message, message.count)
            }
        }
        guard let handle else {
            let end = message.firstIndex(of: 0) ?? message.count
            let reason = String(
                decoding: message[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw RegexPattern.error(reason, pattern)
        }
        self.pattern = pattern
        self.ignoresCase = ignoresCase
        self.handle = handle
    }

    /// Where an empty pattern's bytes lie: the C side must not be handed a null pointer.
    // Safe: written once, before anyone can see it, and never freed.
    nonisolated(unsafe) private static let empty: UnsafePointer<CChar> = {
        let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
        pointer.initialize(to: 0)
        return UnsafePointer(pointer)
    }()

    deinit {
        apus_regex_free(handle)
    }

    /// Whether the pattern is found anywhere in the text, which is UTF-8.
    package func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        // Safe: the matcher reads `count` bytes; with none it reads nothing.
        guard let base = text.baseAddress else {
            return apus_regex_matches(handle, RegexPattern.empty, 0)
        }
        return base.withMemoryRebound(to: CChar.self, capacity: text.count) {
            apus_regex_matches(handle, $0, text.count)
        }
    }

    package func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matches($0) }
    }

    private static func error(_ reason: String, _ pattern: String) -> QueryError {
        for (construct, name) in [
            ("(?=", "look-ahead"), ("(?!", "look-ahead"), ("(?<=", "look-behind"),
            ("(?<!", "look-behind"),
        ] where reason.hasPrefix("invalid perl operator") && pattern.contains(construct) {
            return QueryError(
                .semantic,
                "the regular expression uses \(name) `\(construct)`, which is not supported",
                hint: "combine two conditions with AND, or with NOT")
        }
        if reason.hasPrefix("invalid escape sequence: \\"), let digit = reason.last,
            reason.utf8.count == 27, digit.isNumber
        {
            return QueryError(
                .semantic,
                "the regular expression uses the back-reference `\\\(digit)`, which is not supported"
            )
        }
        for (beginning, name) in [
            ("invalid escape sequence: \\k", "\\k"), ("invalid escape sequence: \\g", "\\g"),
            ("invalid perl operator: (?P", "(?P="),
        ] where reason.hasPrefix(beginning) && pattern.contains(name) {
            return QueryError(
                .semantic,
                "the regular expression uses the back-reference `\(name)`, which is not supported")
        }
        return QueryError(.semantic, "the regular expression is not valid: \(reason)")
    }
}
