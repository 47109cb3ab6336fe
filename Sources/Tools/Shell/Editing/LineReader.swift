// Reads a statement from the terminal: raw mode around it, keys in, pictures out.

internal import Glibc

package final class LineReader {
    package enum Line: Equatable { case text(String), discarded, end }

    private static let choicesMax = 100

    private let input: Int32
    private let output: DescriptorOutput
    private let outputDescriptor: Int32
    private var decoder = KeyDecoder()
    /// Bytes that came in after an Enter: the next statement's.
    private var pending: ArraySlice<UInt8> = []

    package init(input: Int32, output: Int32) {
        self.input = input
        outputDescriptor = output
        self.output = DescriptorOutput(output)
    }

    /// Waits for a text. The terminal is as before when it returns.
    ///
    /// - Parameter complete: what Tab makes of a word; the descriptor is readable once a key waits.
    package func read(
        prompt: String, continuation: String, history: [String],
        isComplete: @escaping @Sendable (String) -> Bool,
        complete: (_ word: String, _ after: String, _ interrupt: Int32) -> Completion.Result
    ) -> Line {
        var before = termios()
        guard tcgetattr(input, &before) == 0 else { return .end }
        var raw = before
        cfmakeraw(&raw)
        guard tcsetattr(input, TCSADRAIN, &raw) == 0 else { return .end }
        try? output.write("\u{1B}[?2004h")
        defer {
            try? output.write("\u{1B}[?2004l")
            tcsetattr(input, TCSADRAIN, &before)
        }
        var editor = LineEditor(history: history, isComplete: isComplete)
        var picture = draw(editor, prompt, continuation, over: nil)
        while let key = nextKey() {
            switch editor.handle(key) {
            case .none: break
            case .redraw:
                // While more keys wait nobody would see it.
                guard pending.isEmpty else { continue }
                picture = draw(editor, prompt, continuation, over: picture)
            case .complete(let word, let before):
                switch complete(word, before, input) {
                case .nothing: continue
                case .text(let text): editor.complete(text)
                case .choices(let choices):
                    try? output.write(picture.leaving + listed(choices))
                    picture = draw(editor, prompt, continuation, over: nil)
                    continue
                }
                picture = draw(editor, prompt, continuation, over: picture)
            case .clearScreen:
                try? output.write("\u{1B}[H\u{1B}[2J")
                picture = draw(editor, prompt, continuation, over: nil)
            case .submit(let text):
                picture = draw(editor, prompt, continuation, over: picture)
                try? output.write(picture.leaving)
                return .text(text)
            case .discard:
                picture = draw(editor, prompt, continuation, over: picture)
                try? output.write("^C" + picture.leaving)
                return .discarded
            case .quit:
                try? output.write(picture.leaving)
                return .end
            }
        }
        return .end
    }

    private func nextKey() -> Key? {
        while true {
            while let byte = pending.popFirst() {
                if let key = decoder.feed(byte) { return key }
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = Glibc.read(input, &buffer, buffer.count)
            if count > 0 {
                pending = buffer[..<count]
            } else if count == 0 || errno != EINTR {
                return nil
            }
        }
    }

    /// As many words in a row as fit.
    private func listed(_ words: [String]) -> String {
        let columns = Terminal.columnCount(outputDescriptor) ?? 80
        var rows = [""]
        for word in words.prefix(Self.choicesMax).map(DisplayWidth.printable) {
            let last = rows[rows.count - 1]
            let width = DisplayWidth.columns(of: last) + DisplayWidth.columns(of: word)
            if last.isEmpty {
                rows[rows.count - 1] = word
            } else if width + 2 <= columns {
                rows[rows.count - 1] += "  " + word
            } else {
                rows.append(word)
            }
        }
        let more = words.count - Self.choicesMax
        if more > 0 { rows.append("and \(more) more") }
        return rows.joined(separator: "\r\n") + "\r\n"
    }

    private func draw(
        _ editor: LineEditor, _ prompt: String, _ continuation: String, over old: LinePicture?
    ) -> LinePicture {
        let columns = Terminal.columnCount(outputDescriptor) ?? 80
        let shown = editor.searchPattern.map { "(search) \($0): " } ?? prompt
        let picture = LinePicture(
            prompt: shown, continuation: continuation, text: editor.text, cursor: editor.cursor,
            columns: columns)
        try? output.write(picture.drawing(over: old))
        return picture
    }
}
