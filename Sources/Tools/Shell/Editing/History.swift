// What was typed before, kept in a file: an entry a line, `\n` for its line breaks and `\\` for a
// backslash.

internal import Glibc

package final class History {
    private static let entriesMax = 1_000
    /// A larger file is not ours.
    private static let fileBytesMax = 16 << 20

    /// The oldest first.
    package private(set) var entries: [String] = []
    private let path: String?

    /// `$APUS_HISTORY`, else `$XDG_STATE_HOME/apus/history`, else below the home; nothing is kept
    /// where there is none, or where `$APUS_HISTORY` is empty.
    package static func standard(environment: (String) -> String?) -> History {
        if let chosen = environment("APUS_HISTORY") {
            return History(path: chosen.isEmpty ? nil : chosen)
        }
        if let state = environment("XDG_STATE_HOME"), state.hasPrefix("/") {
            return History(path: state + "/apus/history")
        }
        return History(path: environment("HOME").map { $0 + "/.local/state/apus/history" })
    }

    package init(path: String?) {
        self.path = path
        let lines = path.map { Self.lines(of: $0) } ?? []
        entries = lines.suffix(Self.entriesMax).map { Self.unescaped($0) }
        // Cut to size once it is twice as long.
        if let path, lines.count > 2 * Self.entriesMax {
            let kept = entries.map { Self.escaped($0) + "\n" }.joined()
            Self.replace(path, with: kept)
        }
    }

    /// Remembers an entry. What begins with a blank is kept from the file, and so is a repetition.
    package func add(_ entry: String) {
        guard !entry.isEmpty, entry != entries.last else { return }
        entries.append(entry)
        guard let path, !entry.hasPrefix(" ") else { return }
        Self.makeFolders(of: path)
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        // One call, so that entries of two shells don't mix.
        let bytes = Array((Self.escaped(entry) + "\n").utf8)
        _ = write(descriptor, bytes, bytes.count)
    }

    private static func lines(of path: String) -> [Substring] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < fileBytesMax {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    }

    private static func replace(_ path: String, with text: String) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        let bytes = Array(text.utf8)
        let count = write(descriptor, bytes, bytes.count)
        close(descriptor)
        guard count == bytes.count, rename(temporary, path) == 0 else {
            unlink(temporary)
            return
        }
    }

    private static func makeFolders(of path: String) {
        for index in path.indices.dropFirst() where path[index] == "/" {
            mkdir(String(path[..<index]), 0o700)
        }
    }

    private static func escaped(_ entry: String) -> String {
        entry.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    }

    private static func unescaped(_ line: Substring) -> String {
        var result = ""
        var isEscaped = false
        for character in line {
            if isEscaped {
                result.append(character == "n" ? "\n" : character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else {
                result.append(character)
            }
        }
        return result
    }
}
