// Lines that begin with a backslash: what they mean, and carrying them out.

package enum ShellCommand: Equatable, Sendable {
    case listDatabases
    case listTables
    case describe(String)
    case connect(String)
    case timing
    case expanded
    case quit
    case help
    case unknown(String)

    package init(_ line: String) {
        let words = line.split(
            maxSplits: 1, omittingEmptySubsequences: true, whereSeparator: \.isWhitespace)
        let argument = words.count > 1 ? Self.trimmed(words[1]) : ""
        switch (words.first ?? "", argument) {
        case ("\\l", ""): self = .listDatabases
        case ("\\dt", ""), ("\\d", ""): self = .listTables
        case ("\\d", _): self = .describe(argument)
        case ("\\c", _) where !argument.isEmpty: self = .connect(argument)
        case ("\\timing", ""): self = .timing
        case ("\\x", ""): self = .expanded
        case ("\\q", ""): self = .quit
        case ("\\?", ""), ("\\h", ""): self = .help
        default: self = .unknown(line)
        }
    }

    /// A `;` at the end is a habit, not part of a name.
    private static func trimmed(_ text: Substring) -> String {
        var rest = text
        while let last = rest.last, last.isWhitespace || last == ";" { rest = rest.dropLast() }
        return String(rest)
    }

    package static let helpText = """
        \\l         databases
        \\dt        tables of this database, with rows and last write
        \\d NAME    columns of a table
        \\c NAME    go to another database
        \\x         records instead of tables, on or off
        \\timing    time of each statement, on or off
        \\q         quit; so does Ctrl-D
        Statements end with `;`. Ctrl-C clears the line or cancels the query. Tab completes \
        names and keywords. Ctrl-R searches the lines typed before.

        """
}

extension Session {
    /// Nil: quit.
    package func carryOut(_ command: ShellCommand) -> Outcome? {
        let listing = Listing(self)
        switch command {
        case .listDatabases: return reporting { try listing.showDatabases() }
        case .listTables: return reporting { try listing.showTables(of: database) }
        case .describe(let name): return execute("DESCRIBE \(Self.tableReference(name))")
        case .connect(let name): return connect(to: name, listing)
        case .timing:
            isTimed.toggle()
            return reporting { try console.say("Timing is \(isTimed ? "on" : "off").\n") }
        case .expanded:
            isExpanded.toggle()
            return reporting {
                try console.say("Expanded display is \(isExpanded ? "on" : "off").\n")
            }
        case .help: return reporting { try console.say(ShellCommand.helpText) }
        case .quit: return nil
        case .unknown(let line):
            console.complain(
                "error: \(DisplayWidth.printable(line)) is no command; \\? lists them\n")
            return .failed
        }
    }

    private func connect(to name: String, _ listing: Listing) -> Outcome {
        var isKnown = false
        let outcome = reporting { isKnown = try listing.databases().contains(name) }
        guard outcome == .done else { return outcome }
        guard isKnown else {
            console.complain("error: no database \(DisplayWidth.printable(name)); \\l lists them\n")
            return .failed
        }
        database = name
        return reporting { try console.say("Now in database \(DisplayWidth.printable(name)).\n") }
    }

    /// A name as SQL takes it; one that needs quotes may be typed without.
    static func tableReference(_ name: String) -> String {
        let isPlain = name.utf8.allSatisfy { byte in
            (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte >= 0x80
                || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
        }
        let startsWithDigit = name.utf8.first.map { $0 &- 0x30 < 10 } ?? true
        return name.hasPrefix("\"") || (isPlain && !startsWithDigit)
            ? name : SQLText.quoted(identifier: name)
    }
}
