// The manual page apus(1), from what the argument parser knows: every command that help shows, with
// its options, in the macros of man(7).
//
// The argument parser hands its declarations out as JSON only, in the form of its own
// `--experimental-dump-help`; the structs here are the part of it that a page needs.

import ApusConfiguration
import FoundationEssentials

struct ManualPage {
    private struct Dump: Decodable { let command: Command }

    private struct Command: Decodable {
        let commandName: String
        let abstract: String?
        let discussion: String?
        let shouldDisplay: Bool?
        let arguments: [Argument]?
        let subcommands: [Command]?
    }

    private struct Argument: Decodable {
        struct Name: Decodable {
            let kind: String
            let name: String

            var text: String { (kind == "long" ? "--" : "-") + name }
        }

        let kind: String
        let names: [Name]?
        let valueName: String?
        let abstract: String?
        let discussion: String?
        let defaultValue: String?
        let isOptional: Bool
        let isRepeating: Bool
        let shouldDisplay: Bool

        var value: String { valueName ?? "value" }
    }

    private let root: Command
    private(set) var text = ""

    init(dump: String, version: String, date: String) throws {
        root = try JSONDecoder().decode(Dump.self, from: Data(dump.utf8)).command
        add(".TH APUS 1 \(Self.quoted(date)) \(Self.quoted("apus \(version)")) \"User Commands\"")
        addHead()
        for command in shown(root.subcommands) { add(command, path: "apus") }
        addTail()
    }

    // MARK: parts

    private mutating func addHead() {
        add(".SH NAME")
        let abstract = root.abstract ?? ""
        let sentence = abstract.hasSuffix(".") ? String(abstract.dropLast()) : abstract
        add("apus \\- \(Self.escaped(sentence.prefix(1).lowercased() + sentence.dropFirst()))")
        add(".SH SYNOPSIS")
        for command in shown(root.subcommands) {
            add(".B apus \(Self.escaped(command.commandName))")
            if command.subcommands?.isEmpty == false { add(".I command") }
            add("[\\fIoptions\\fR]" + positionals(command))
            add(".br")
        }
        add(".B apus \\-\\-help")
        add(".SH DESCRIPTION")
        addProse(root.discussion)
        add(".SH COMMANDS")
    }

    private mutating func add(_ command: Command, path: String) {
        let path = "\(path) \(command.commandName)"
        add(".SS \(Self.escaped(path))")
        addProse(command.abstract)
        addProse(command.discussion)
        for argument in command.arguments ?? [] where argument.shouldDisplay {
            // Every command has these two.
            let names = (argument.names ?? []).map(\.text)
            if names.contains("--help") || names.contains("--version") { continue }
            add(".TP")
            add(Self.head(of: argument))
            add(Self.escaped(argument.abstract ?? ""))
            if let value = argument.defaultValue, !value.isEmpty {
                add("(default: \(Self.escaped(value)))")
            }
            if let discussion = argument.discussion { add(Self.escaped(discussion)) }
        }
        for subcommand in shown(command.subcommands) { add(subcommand, path: path) }
    }

    private mutating func addTail() {
        add(".SH ENVIRONMENT")
        add("What a variable says holds for")
        add(".B apus serve")
        add("where its flag is not given.")
        for setting in Setting.all where setting.places.contains(.environment) {
            add(".TP")
            add(".B \(Self.escaped(setting.variable))")
            add("as \\fB\(Self.escaped(setting.flag))\\fR")
        }
        add(".TP")
        add(".B APUS_TOKEN")
        add("the token that commands send to a server")
        add(".TP")
        add(".B APUS_HISTORY")
        add("the file of the shell's history; empty for none")
        add(".SH EXIT STATUS")
        for (code, meaning) in ManualPage.exitCodes {
            add(".TP")
            add(".B \(code)")
            add(Self.escaped(meaning))
        }
        add(".SH SIGNALS")
        add("SIGTERM and SIGINT end")
        add(".B apus serve")
        add("cleanly, a second one at once. SIGHUP makes it read tokens and log level again.")
    }

    private static let exitCodes = [
        (0, "All is well."),
        (1, "A statement failed, lines were rejected, or damage was found."),
        (2, "The check could not look."),
        (64, "Bad usage: an unknown flag or key, or a value that makes no sense."),
        (65, "A newer or an unreadable format."),
        (66, "A file or a directory that is not there."),
        (69, "A port in use, a server that does not answer, or something missing on the machine."),
        (74, "The file system failed."),
        (75, "The data directory is held by another process."),
    ]

    private static func head(of argument: Argument) -> String {
        let value = "\\fI\(escaped(argument.value))\\fR"
        guard let names = argument.names, !names.isEmpty else {
            return value + (argument.isRepeating ? " ..." : "")
        }
        let bold = names.map { "\\fB\(escaped($0.text))\\fR" }.joined(separator: ", ")
        return argument.kind == "flag" ? bold : "\(bold) \(value)"
    }

    private func positionals(_ command: Command) -> String {
        let arguments = (command.arguments ?? []).filter {
            $0.kind == "positional" && $0.shouldDisplay
        }
        return arguments.map { argument in
            let name = "\\fI\(Self.escaped(argument.value))\\fR"
            let text = argument.isRepeating ? "\(name) ..." : name
            return argument.isOptional ? " [\(text)]" : " \(text)"
        }.joined()
    }

    private func shown(_ commands: [Command]?) -> [Command] {
        (commands ?? []).filter { $0.shouldDisplay != false && $0.commandName != "help" }
    }

    // MARK: text

    /// Paragraphs are filled; indented lines, as of examples, stay as they are.
    private mutating func addProse(_ prose: String?) {
        guard let prose, !prose.isEmpty else { return }
        var isExample = false
        // A heading begins a paragraph by itself.
        var endsParagraph = !isBelowHeading
        for line in prose.split(separator: "\n", omittingEmptySubsequences: false) {
            let isIndented = line.hasPrefix("  ")
            if isIndented != isExample {
                add(isIndented ? ".RS 4\n.nf" : ".fi\n.RE")
                isExample = isIndented
                endsParagraph = !isIndented
            }
            if isIndented {
                add(Self.escaped(String(line.dropFirst(2))))
            } else if line.isEmpty {
                endsParagraph = true
            } else {
                if endsParagraph { add(".PP") }
                endsParagraph = false
                add(Self.escaped(String(line)))
            }
        }
        if isExample { add(".fi\n.RE") }
    }

    private var isBelowHeading: Bool {
        guard let last = text.split(separator: "\n").last else { return false }
        return last.hasPrefix(".SH") || last.hasPrefix(".SS")
    }

    private mutating func add(_ line: String) { text += line + "\n" }

    /// Characters that roff would take for its own.
    private static func escaped(_ text: String) -> String {
        let plain = text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
            .replacing("\n", with: " ").replacing("…", with: "...").replacing("~", with: "\\(ti")
            .replacing("^", with: "\\(ha").replacing("'", with: "\\(aq").replacing(
                "`", with: "\\(ga")
        return plain.hasPrefix(".") ? "\\&" + plain : plain
    }

    private static func quoted(_ text: String) -> String {
        "\"\(text.replacing("\"", with: ""))\""
    }
}
