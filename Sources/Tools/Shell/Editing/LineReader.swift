// Reads a statement from the terminal: raw mode around it, keys in, pictures out.

internal import Glibc

package final class LineReader {
    package enum Line: Equatable { case text(String), discarded, end }

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
    package func read(
        prompt: String, continuation: String, history: [String],
        isComplete: @escaping @Sendable (String) -> Bool
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
