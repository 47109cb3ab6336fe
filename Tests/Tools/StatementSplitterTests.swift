// Where one statement ends and the next begins.

import ApusTools
import Testing

@Suite struct StatementSplitterTests {
    private func items(_ text: String) -> [ScriptItem] {
        var splitter = StatementSplitter()
        return splitter.feed(text) + (splitter.finish().map { [$0] } ?? [])
    }

    @Test(
        arguments: [
            ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
            ("SELECT ';', 'it''s;'", ["SELECT ';', 'it''s;'"]),
            (#"SELECT E'\';', E'a''\';' ; x"#, [#"SELECT E'\';', E'a''\';'"#, "x"]),
            (#"SELECT '\'; x"#, [#"SELECT '\'"#, "x"]),
            (#"SELECT nameE'\'; x"#, [#"SELECT nameE'\'"#, "x"]),
            (#"SELECT "a;""b" FROM t;"#, [#"SELECT "a;""b" FROM t"#]),
            ("SELECT 1 -- not; here\n+ 2;", ["SELECT 1 -- not; here\n+ 2"]),
            ("SELECT /* ; /* ; */ ; */ 1;", ["SELECT /* ; /* ; */ ; */ 1"]),
            (";; ; \n -- nothing;\n /* ; */ ;", []),
            ("-- first\nSELECT 1;", ["-- first\nSELECT 1"]),
            ("SELECT 5 - 3 / 2;", ["SELECT 5 - 3 / 2"]),
        ] as [(String, [String])])
    func `a semicolon separates only outside of quotes and comments`(
        text: String, statements: [String]
    ) {
        #expect(items(text) == statements.map { .statement($0) })
    }

    @Test func `a backslash begins a command only where no statement is open`() {
        #expect(
            items("\\d cpu\nSELECT 1\n\\x\n;\\q")
                == [.command("\\d cpu"), .statement("SELECT 1\n\\x"), .command("\\q")])
    }

    @Test func `text that comes line by line gives the same statements`() {
        var splitter = StatementSplitter()
        #expect(splitter.feed("SELECT 'a\n") == [])
        #expect(splitter.openPlace == .string(escaped: false))
        #expect(splitter.feed("b' /* x\n") == [])
        #expect(splitter.openPlace == .blockComment(depth: 1))
        #expect(splitter.feed("*/; SELECT") == [.statement("SELECT 'a\nb' /* x\n*/")])
        #expect(splitter.openPlace == .statement)
        #expect(splitter.finish() == .statement("SELECT"))
        #expect(splitter.openPlace == .start)
    }

    @Test func `only what is whole may be sent by Enter`() {
        for text in ["", "  ", "SELECT 1;", "SELECT 1; -- done", "\\dt", "-- a remark"] {
            #expect(Shell.isComplete(text), "\(text)")
        }
        for text in ["SELECT 1", "SELECT 1; SELECT", "SELECT ';", "/* ", "SELECT \"a;"] {
            #expect(!Shell.isComplete(text), "\(text)")
        }
    }
}
