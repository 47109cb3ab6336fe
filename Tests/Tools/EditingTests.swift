// The line editor, without a terminal: keys in, text and pictures out.

import ApusTestKit
import ApusTools
import Foundation
import Testing

@Suite struct LineEditorTests {
    /// Types a script: bytes as a terminal sends them.
    private func type(
        _ keys: String, history: [String] = []
    ) -> (editor: LineEditor, actions: [LineEditor.Action]) {
        var editor = LineEditor(history: history, isComplete: { Shell.isComplete($0) })
        var decoder = KeyDecoder()
        var actions: [LineEditor.Action] = []
        for byte in keys.utf8 {
            if let key = decoder.feed(byte) { actions.append(editor.handle(key)) }
        }
        return (editor, actions)
    }

    private func text(_ keys: String, history: [String] = []) -> String {
        let editor = type(keys, history: history).editor
        return String(editor.text[..<editor.cursor]) + "|" + String(editor.text[editor.cursor...])
    }

    @Test(
        arguments: [
            ("abc\u{1B}[D\u{1B}[Dx", "ax|bc"), ("abc\u{1}x\u{5}y", "xabcy|"),
            ("abc\u{7F}", "ab|"), ("abc\u{1B}[D\u{1B}[3~", "ab|"), ("ab cd\u{17}", "ab |"),
            ("ab cd\u{1B}bx", "ab x|cd"), ("ab cd\u{1}\u{1B}[1;5Cx", "abx| cd"),
            ("ab cd\u{15}x\u{19}", "xab cd|"), ("abc\u{1}\u{B}", "|"), ("ab\u{14}", "ba|"),
            ("漢é😀\u{7F}\u{1B}[Dx", "漢x|é"), ("e\u{301}\u{7F}", "|"),
            ("a\u{1B}[200~b\tc\r\nd\u{1B}[31m\u{1B}[201~e", "ab c\nd[31me|"),
            ("a\u{1B}[99z\u{1B}Ob", "a|"), ("\u{4}", "|"), ("ab\u{1}\u{4}", "|b"),
        ] as [(String, String)])
    func `keys do what they do in every shell`(keys: String, expected: String) {
        #expect(text(keys) == expected)
    }

    @Test func `Tab asks for the word before the cursor, and is a blank elsewhere`() {
        var (editor, actions) = type("SELECT * FROM cp\t")
        #expect(actions.last == .complete(word: "cp", after: "SELECT * FROM cp"))
        editor.complete("cpu ")
        #expect(String(editor.text) == "SELECT * FROM cpu " && editor.cursor == 18)
        #expect(text("a \tb") == "a  b|")
        #expect(text("\t") == " |")
    }

    @Test(
        arguments: [
            ("cp", .text("cpu ")), ("di", .text("dis")), ("disk_", .text("disk_io ")),
            ("disk", .choices(["disk", "disk_io"])),
            ("SEL", .text("SELECT ")), ("sel", .text("select ")), ("xyz", .nothing),
            ("we", .text("\"we ird\" ")), ("CP", .text("cpu ")), ("ord", .text("order ")),
        ] as [(String, Completion.Result)])
    func `a word becomes the only name, what all have in common, or a choice`(
        word: String, result: Completion.Result
    ) {
        let names = ["cpu", "disk", "disk_io", "\"we ird\""]
        #expect(Completion.complete(word, names: names, hasKeywords: true) == result)
    }

    @Test func `Enter sends what is whole and begins a line otherwise`() {
        let (editor, actions) = type("SELECT\r1;\r")
        #expect(actions.last == .submit("SELECT\n1;"))
        #expect(String(editor.text) == "SELECT\n1;")
        #expect(type("\\dt\r").actions.last == .submit("\\dt"))
        #expect(type("\u{4}").actions == [.quit])
        #expect(type("a\u{3}").actions.last == .discard)
    }

    @Test func `up and down move between lines first, then through the history`() {
        let history = ["one;", "two\nlines;"]
        #expect(text("ab\rcd\u{1B}[Ax", history: history) == "abx|\ncd")
        #expect(text("new\u{1B}[A", history: history) == "two\nlines;|")
        #expect(text("new\u{1B}[A\u{1B}[A\u{1B}[A", history: history) == "one;|")
        #expect(text("new\u{1B}[A\u{1B}[B", history: history) == "new|")
    }

    @Test func `Ctrl-R finds older and older entries`() {
        let history = ["SELECT a;", "SHOW TABLES;", "SELECT b;"]
        #expect(text("\u{12}SEL", history: history) == "SELECT b;|")
        #expect(text("\u{12}SEL\u{12}", history: history) == "SELECT a;|")
        #expect(text("x\u{12}SEL\u{7}", history: history) == "x|")
        #expect(type("\u{12}TAB\r", history: history).actions.last == .submit("SHOW TABLES;"))
        #expect(text("\u{12}no such\u{12}\u{12}", history: history) == "|")
    }

    @Test func `a paste ends at its mark alone, and has a bound`() {
        var decoder = KeyDecoder()
        func feed(_ text: String) -> [Key] { text.utf8.compactMap { decoder.feed($0) } }
        #expect(
            feed("\u{1B}[200~a\u{1B}[20\u{1B}\u{1B}[201~b")
                == [.paste("a\u{1B}[20\u{1B}"), .character("b")])
        #expect(feed("\u{1B}[200~" + String(repeating: "x", count: 5 << 20)) == [])
        guard case .paste(let text)? = feed("\u{1B}[201~").first else {
            Issue.record("the paste has no end")
            return
        }
        #expect(text.utf8.count == 4 << 20)
        #expect(feed("a") == [.character("a")])
    }

    @Test func `no bytes make the editor trap`() {
        var generator = SystemRandomNumberGenerator()
        var editor = LineEditor(history: ["a\nb", "漢"], isComplete: { _ in false })
        var decoder = KeyDecoder()
        let special = Array("\u{1B}[~ABCD;1\u{12}\u{17}\u{B}".utf8)
        for _ in 0..<20_000 {
            let isSpecial = Bool.random(using: &generator)
            let byte = isSpecial ? special.randomElement() ?? 0 : UInt8.random(in: 0...255)
            if let key = decoder.feed(byte) { _ = editor.handle(key) }
            if editor.text.count > 200 { editor = LineEditor(history: ["a"]) { _ in false } }
            #expect((0...editor.text.count).contains(editor.cursor))
        }
    }

    @Test func `a picture wraps where the terminal does`() {
        let picture = LinePicture(
            prompt: "=> ", continuation: "-> ", text: Array("abcdefg\n漢漢漢漢"), cursor: 7,
            columns: 10)
        #expect(picture.rows == ["=> abcdefg", "-> 漢漢漢", "漢"])
        // Row 0 is full: the cursor waits where the next character will be.
        #expect(picture.cursorRow == 1 && picture.cursorColumn == 0)
        let end = LinePicture(
            prompt: "=> ", continuation: "-> ", text: Array("ab"), cursor: 2, columns: 10)
        let more = LinePicture(
            prompt: "=> ", continuation: "-> ", text: Array("abc"), cursor: 3, columns: 10)
        #expect(more.drawing(over: end) == "c")
        #expect(end.drawing(over: nil) == "\r\u{1B}[J=> ab\r\u{1B}[5C")
    }
}

@Suite struct HistoryTests {
    @Test func `entries come back as they were typed, for their owner alone`() throws {
        let folder = TemporaryDirectory()
        let path = folder.path + "/deep/history"
        let history = History(path: path)
        for entry in ["SELECT\n1;", "a\\nb", "a\\nb", " secret", ""] { history.add(entry) }
        #expect(history.entries == ["SELECT\n1;", "a\\nb", " secret"])
        #expect(History(path: path).entries == ["SELECT\n1;", "a\\nb"])
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test func `a long history is cut to its newest entries`() throws {
        let folder = TemporaryDirectory()
        let path = folder.path + "/history"
        let lines = (0..<2_500).map { "SELECT \($0);\n" }.joined()
        try lines.write(toFile: path, atomically: true, encoding: .utf8)
        #expect(History(path: path).entries.count == 1_000)
        let kept = try String(contentsOfFile: path, encoding: .utf8)
        #expect(kept.hasPrefix("SELECT 1500;\n"))
        #expect(kept.hasSuffix("SELECT 2499;\n"))
    }

    @Test func `without a home nothing is kept and nothing breaks`() {
        let history = History.standard { _ in nil }
        history.add("SELECT 1;")
        #expect(history.entries == ["SELECT 1;"])
    }
}
