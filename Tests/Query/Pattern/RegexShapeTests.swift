import ApusQuery
import Testing

@Suite("Shapes of regular expressions") struct RegexShapeTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test func `plain ones take no engine`() {
        let shapes: [(String, [LikePattern.Shape])] = [
            ("abc", [.contains(bytes("abc"))]), ("^abc", [.prefix(bytes("abc"))]),
            ("abc$", [.suffix(bytes("abc"))]), ("^abc$", [.equals(bytes("abc"))]),
            (".*abc.*", [.contains(bytes("abc"))]), ("^abc.*", [.prefix(bytes("abc"))]),
            ("", [.everything]), (".*", [.everything]), ("^", [.everything]), ("$", [.everything]),
            ("^$", [.equals([])]), ("a\\.b", [.contains(bytes("a.b"))]),
            ("a|^b|c$", [.contains(bytes("a")), .prefix(bytes("b")), .suffix(bytes("c"))]),
            ("^(web|db)$", [.equals(bytes("web")), .equals(bytes("db"))]),
            ("^(?:web|db)", [.prefix(bytes("web")), .prefix(bytes("db"))]),
            ("é", [.contains(bytes("é"))]),
        ]
        for (pattern, expected) in shapes {
            #expect(RegexShape(pattern) == .anyOf(expected), "\(pattern)")
        }
    }

    @Test func `of others the longest literal is required`() {
        let literals = [
            ("a.*b2c", "b2c"), ("ab*c", "a"), ("abc+d", "abc"), ("x[0-9]+yz", "yz"),
            ("hv1\\d", "hv1"), ("^h12.*z$", "h12"), ("ab?", "a"), ("é?x", "x"), ("aé*", "a"),
            ("[]a]bcd", "bcd"), ("[[:digit:]]ab", "ab"), ("a{2,3}bc", "bc"), ("a|b.", ""),
            ("(ab)c.", ""), ("(?i)ab", ""), ("\\Qa.b\\E", ""), ("\\x41bc", ""), ("a.\\.b", ".b"),
            ("^.*lit", "lit"), ("a\\|.", "a|"),
        ]
        for (pattern, expected) in literals {
            #expect(RegexShape(pattern) == .engine(required: bytes(expected)), "\(pattern)")
        }
    }

    /// The engine has the last word: whatever the shape says must be what it says.
    @Test func `shapes say what the engine says`() throws {
        let parts = [
            "a", "b", "ab", ".", ".*", "^", "$", "|", "\\.", "[ab]", "b+", "a?", "é", "(a|b)", "b*",
            "[^]b]", "a{1,2}", "\\d",
        ]
        let texts = [
            "", "a", "b", "ab", "ba", "a.b", "éa", "aé", "bbb", "a1", "a\nb", "ab|", "]", "é",
        ]
        var state: UInt64 = 7
        func next(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(count))
        }
        var plainCount = 0
        for _ in 0..<20_000 {
            let pattern = (0..<(1 + next(4))).map { _ in parts[next(parts.count)] }.joined()
            guard let engine = try? RegexPattern(pattern, ignoresCase: false) else { continue }
            for text in texts {
                let expected = engine.matches(text)
                switch RegexShape(pattern) {
                case .anyOf(let shapes):
                    plainCount += 1
                    let found = shapes.contains { holds($0, bytes(text)) }
                    #expect(found == expected, "\(pattern) on \(text)")
                case .engine(let required):
                    guard expected, !required.isEmpty else { continue }
                    #expect(holds(.contains(required), bytes(text)), "\(pattern) on \(text)")
                }
            }
        }
        #expect(plainCount > 10_000)
    }

    private func holds(_ shape: LikePattern.Shape, _ text: [UInt8]) -> Bool {
        switch shape {
        case .everything: true
        case .equals(let literal): text == literal
        case .prefix(let literal): text.starts(with: literal)
        case .suffix(let literal): text.reversed().starts(with: literal.reversed())
        case .contains(let literal):
            literal.isEmpty
                || text.indices.contains { text[$0...].starts(with: literal) }
        case .general: false
        }
    }
}
