import ApusQuery
import Testing

@Suite struct PatternTests {
    @Test(arguments: [
        ("abc", "abc", true), ("abc", "ab", false), ("a%", "a", true), ("%c", "abc", true),
        ("%b%", "abc", true), ("%", "", true), ("_", "é", true), ("_", "", false),
        ("__", "é", false),
        ("a%b%c", "a1b2b3c", true), ("a%b_c", "axbbxc", true), ("a\\%", "a%", true),
        ("a\\%", "ab", false), ("%é_", "xéy", true), ("", "", true), ("", "a", false),
        ("%a%a%a%", "aa", false),
    ])
    func `LIKE matches the whole text`(pattern: String, text: String, expected: Bool) throws {
        #expect(try LikePattern(pattern, ignoresCase: false).matches(text) == expected)
    }

    @Test func `ILIKE ignores case beyond ASCII`() throws {
        #expect(try LikePattern("STRAẞE%ÄÖ_", ignoresCase: true).matches("straße in äöü"))
        #expect(try LikePattern("h_ST", ignoresCase: true).matches("HOst"))
        #expect(try !LikePattern("abc", ignoresCase: false).matches("ABC"))
    }

    @Test func `plain patterns have plain shapes`() throws {
        #expect(try LikePattern("a%", ignoresCase: false).shape == .prefix([0x61]))
        #expect(try LikePattern("%%", ignoresCase: false).shape == .everything)
        #expect(try LikePattern("a_", ignoresCase: false).shape == .general)
        #expect(throws: QueryError.self) { try LikePattern("a\\", ignoresCase: false) }
    }

    @Test func `LIKE agrees with trying every split`() throws {
        func slow(_ pattern: ArraySlice<Character>, _ text: ArraySlice<Character>) -> Bool {
            guard let first = pattern.first else { return text.isEmpty }
            if first == "%" {
                return (text.startIndex...text.endIndex).contains {
                    slow(pattern.dropFirst(), text[$0...])
                }
            }
            guard let character = text.first, first == "_" || first == character else {
                return false
            }
            return slow(pattern.dropFirst(), text.dropFirst())
        }
        var random = SplitMix(state: 7)
        func word(_ letters: [Character], _ lengthMax: UInt64) -> [Character] {
            (0..<random.next() % lengthMax).map { _ in
                letters[Int(random.next() % UInt64(letters.count))]
            }
        }
        for _ in 0..<20_000 {
            let pattern = word(["a", "é", "%", "_"], 7)
            let text = word(["a", "é", "b"], 9)
            #expect(
                try LikePattern(String(pattern), ignoresCase: false).matches(String(text))
                    == slow(pattern[...], text[...]), "\(String(pattern)) \(String(text))")
        }
    }

    @Test func `a regular expression is searched anywhere`() throws {
        let pattern = try RegexPattern("^h1[0-9]$", ignoresCase: false)
        #expect(pattern.matches("h12") && !pattern.matches("h2") && !pattern.matches("H12"))
        #expect(try RegexPattern("ÄB", ignoresCase: true).matches("xäby"))
        #expect(try !RegexPattern("a.b", ignoresCase: false).matches("a\nb"))
        #expect(try RegexPattern("", ignoresCase: false).matches(""))
    }

    @Test(arguments: [
        ("a(?=b)", "look-ahead `(?=`"), ("a(?!b)", "look-ahead `(?!`"),
        ("(?<=a)b", "look-behind `(?<=`"),
        ("(?<!a)b", "look-behind `(?<!`"), ("(a)\\1", "back-reference `\\1`"),
        ("a(", "not valid"),
    ])
    func `what RE2 cannot do is named`(pattern: String, part: String) {
        #expect {
            try RegexPattern(pattern, ignoresCase: false)
        } throws: { error in
            guard let error = error as? QueryError else { return false }
            if !error.message.contains(part) { Issue.record("\(error)") }
            return error.code == .semantic && error.message.contains(part)
        }
    }
}
