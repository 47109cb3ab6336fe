// The text being typed, which may have several lines, and what each key does to it.
//
// Enter ends the text if it is complete, and begins a new line otherwise; so a whole statement can
// be edited until its `;`, and comes back from the history as one.

package struct LineEditor: Sendable {
    package enum Action: Equatable, Sendable {
        case redraw
        case submit(String)
        /// Ctrl-C: the text is gone.
        case discard
        case clearScreen
        /// Tab behind a word, to be answered with `complete`.
        case complete(word: String, after: String)
        /// Ctrl-D on nothing.
        case quit
        case none
    }

    private struct Search: Sendable {
        var pattern = ""
        /// Of the entry shown; the history's count if nothing was found yet.
        var index: Int
        var textBefore: [Character]
    }

    package private(set) var text: [Character] = []
    /// Before this character.
    package private(set) var cursor = 0
    private let history: [String]
    /// The entry shown; the history's count stands for what is typed anew.
    private var historyIndex: Int
    private var typed: [Character] = []
    private var killed: [Character] = []
    private var search: Search?
    private let isComplete: @Sendable (String) -> Bool

    /// - Parameters:
    ///   - history: the oldest first.
    ///   - isComplete: whether Enter ends this text.
    package init(history: [String], isComplete: @escaping @Sendable (String) -> Bool) {
        self.history = history
        historyIndex = history.count
        self.isComplete = isComplete
    }

    /// What is searched for, while Ctrl-R is under way.
    package var searchPattern: String? { search?.pattern }

    package mutating func handle(_ key: Key) -> Action {
        if search != nil, let action = handleSearch(key) { return action }
        switch key {
        case .character(let character): insert([character])
        case .paste(let pasted): insert(Self.plainText(pasted))
        case .tab:
            let word = String(text[wordPart])
            if !word.isEmpty { return .complete(word: word, after: String(text[..<cursor])) }
            insert([" "])
        case .enter: return enter()
        case .interrupt: return .discard
        case .endOfInput:
            if text.isEmpty { return .quit }
            remove(cursor..<min(cursor + 1, text.count))
        case .clearScreen: return .clearScreen
        case .search: search = Search(index: history.count, textBefore: text)
        case .up, .down: moveVertically(key == .up ? -1 : 1)
        case .unknown, .cancel: return .none
        default: edit(key)
        }
        return .redraw
    }

    private mutating func edit(_ key: Key) {
        switch key {
        case .backspace: if cursor > 0 { remove(cursor - 1..<cursor) }
        case .delete: remove(cursor..<min(cursor + 1, text.count))
        case .left: cursor = max(0, cursor - 1)
        case .right: cursor = min(text.count, cursor + 1)
        case .home: cursor = lineStart
        case .end: cursor = lineEnd
        case .wordLeft: cursor = wordStart
        case .wordRight: cursor = wordEnd
        case .killToEnd: kill(cursor..<lineEnd)
        case .killToStart: kill(lineStart..<cursor)
        case .killWord: kill(wordStart..<cursor)
        case .yank: insert(killed)
        case .swap:
            guard cursor > 0, text.count > 1 else { return }
            let right = min(cursor, text.count - 1)
            text.swapAt(right - 1, right)
            cursor = right + 1
        default: break
        }
    }

    private mutating func enter() -> Action {
        let whole = String(text)
        if isComplete(whole) { return .submit(whole) }
        insert(["\n"])
        return .redraw
    }

    // MARK: text

    /// Pasted text without what a terminal would obey.
    private static func plainText(_ pasted: String) -> [Character] {
        pasted.compactMap { character in
            switch character {
            case "\r\n", "\r", "\n": "\n"
            case "\t": " "
            default:
                character.unicodeScalars.contains {
                    $0.value < 0x20 || (0x7F..<0xA0).contains($0.value)
                } ? nil : character
            }
        }
    }

    private mutating func insert(_ characters: [Character]) {
        // Put together anew, since a combining mark joins the character before it.
        let joined = Array(String(text[..<cursor]) + String(characters))
        let rest = text[cursor...]
        cursor = joined.count
        text = joined + rest
    }

    private mutating func remove(_ range: Range<Int>) {
        text.removeSubrange(range)
        cursor = range.lowerBound
    }

    private mutating func kill(_ range: Range<Int>) {
        if !range.isEmpty { killed = Array(text[range]) }
        remove(range)
    }

    private var lineStart: Int {
        (text[..<cursor].lastIndex(of: "\n") ?? -1) + 1
    }

    private var lineEnd: Int { text[cursor...].firstIndex(of: "\n") ?? text.count }

    /// The letters before the cursor that belong together.
    private var wordPart: Range<Int> {
        var start = cursor
        while start > 0, Self.isWord(text[start - 1]) { start -= 1 }
        return start..<cursor
    }

    /// Puts a text in the place of the word before the cursor.
    package mutating func complete(_ completed: String) {
        remove(wordPart)
        insert(Array(completed))
    }

    private static func isWord(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_"
    }

    private var wordStart: Int {
        var index = cursor
        while index > 0, !Self.isWord(text[index - 1]) { index -= 1 }
        while index > 0, Self.isWord(text[index - 1]) { index -= 1 }
        return index
    }

    private var wordEnd: Int {
        var index = cursor
        while index < text.count, !Self.isWord(text[index]) { index += 1 }
        while index < text.count, Self.isWord(text[index]) { index += 1 }
        return index
    }

    // MARK: lines and history

    private mutating func moveVertically(_ direction: Int) {
        let column = cursor - lineStart
        if direction < 0, lineStart > 0 {
            cursor = lineStart - 1
            cursor = min(lineStart + column, cursor)
        } else if direction > 0, lineEnd < text.count {
            cursor = lineEnd + 1
            cursor = min(cursor + column, lineEnd)
        } else {
            showHistory(historyIndex + direction)
        }
    }

    private mutating func showHistory(_ index: Int) {
        guard (0...history.count).contains(index) else { return }
        if historyIndex == history.count { typed = text }
        historyIndex = index
        text = index == history.count ? typed : Array(history[index])
        cursor = text.count
    }

    // MARK: search

    /// Nil: the search is over, and the key means what it always means.
    private mutating func handleSearch(_ key: Key) -> Action? {
        guard var current = search else { return nil }
        switch key {
        case .character(let character):
            current.pattern.append(character)
            search = current
            find(from: min(current.index, history.count - 1))
        case .backspace:
            current.pattern = String(current.pattern.dropLast())
            search = current
            find(from: history.count - 1)
        case .search: find(from: current.index - 1)
        case .cancel, .interrupt:
            text = current.textBefore
            cursor = text.count
            search = nil
        case .unknown: return Action.none
        default:
            search = nil
            return nil
        }
        return .redraw
    }

    /// Shows the newest entry, not newer than the index, that has the pattern in it.
    private mutating func find(from start: Int) {
        guard let pattern = search?.pattern, !pattern.isEmpty else { return }
        var index = start
        while index >= 0 {
            if history[index].contains(pattern) {
                search?.index = index
                text = Array(history[index])
                cursor = text.count
                return
            }
            index -= 1
        }
    }
}
