// One setting of the server: everything that help, documentation and checks say about it.
//
// The table of all settings is in SettingTable.swift. `apus serve --help`, the table in
// docs/configuration.md, the manual page, the configuration file and the environment are read
// off it; none of them has a list of its own.

package struct Setting: Sendable {
    /// How a value is written.
    package enum Kind: Sendable {
        /// A text: `--http HOST:PORT`, `http = "…"`.
        case text
        /// A text that may be a bare number: `--memory 2GiB`, `memory = 1073741824`.
        case quantity
        /// A flag without a value: `--allow-unauthenticated`, `= true`.
        case boolean
        /// `--create-on-write off`, `= false`.
        case onOff
        /// A flag that repeats: `--allow A --allow B`, `= ["A", "B"]`, `APUS_ALLOW=A,B`.
        case list
    }

    /// Where a value may stand.
    package struct Places: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        package static let flag = Places(rawValue: 1)
        package static let environment = Places(rawValue: 2)
        package static let file = Places(rawValue: 4)
        package static let all: Places = [.flag, .environment, .file]
    }

    /// As a flag without its dashes, and as the key in the file: `line-tcp`.
    package let name: String
    package let kind: Kind
    /// What help calls the value: `host:port`.
    package let valueName: String
    /// What holds where nothing is said, in words or as a value; nil for nothing at all.
    package let defaultText: String?
    /// One sentence, for `--help` and the manual.
    package let summary: String
    /// Further sentences, for docs/configuration.md; Markdown.
    package let notes: String
    /// A value as the configuration file has it; empty where the file has none.
    package let example: String
    package let places: Places
    /// Whether SIGHUP takes up a new value.
    package let isReloaded: Bool

    package init(
        _ name: String, _ kind: Kind = .text, valueName: String = "", default defaultText: String?,
        _ summary: String, notes: String = "", example: String = "", places: Places = .all,
        isReloaded: Bool = false
    ) {
        self.name = name
        self.kind = kind
        self.valueName = valueName
        self.defaultText = defaultText
        self.summary = summary
        self.notes = notes
        self.example = example
        self.places = places
        self.isReloaded = isReloaded
    }

    package var flag: String { "--\(name)" }

    /// `APUS_LINE_TCP`.
    package var variable: String { "APUS_" + name.uppercased().replacing("-", with: "_") }

    /// What `--help` says.
    package var help: String {
        guard let defaultText else { return summary }
        return "\(summary) (default: \(defaultText))"
    }
}

extension Setting {
    /// A configuration file that says what every setting is, and sets the directory alone.
    package static var exampleFile: String {
        var text = """
            # The settings of `apus serve --config FILE`, with examples. What stays a comment keeps its
            # default. Flags and APUS_... variables win over this file; `--check-config` looks it over.

            """
        for setting in all where setting.places.contains(.file) {
            let isActive = setting.name == data.name
            text += """

                # \(setting.help)\(setting.isReloaded ? " SIGHUP reloads it." : "")
                \(isActive ? "" : "#")\(setting.name) = \(setting.example)

                """
        }
        return text
    }

    /// The settings as the table of docs/configuration.md.
    package static var markdown: String {
        var text = "| flag and key | variable | default | |\n| --- | --- | --- | --- |\n"
        for setting in all {
            let value = setting.valueName.isEmpty ? "" : " \(setting.valueName.uppercased())"
            let variable =
                setting.places.contains(.environment) ? "`\(setting.variable)`" : ""
            var words = [setting.summary, setting.notes]
            if !setting.example.isEmpty {
                words.append("In the file: `\(setting.name) = \(setting.example)`.")
            }
            if setting.isReloaded { words.append("SIGHUP reloads it.") }
            let description = words.filter { !$0.isEmpty }.joined(separator: " ")
            text +=
                "| `\(setting.flag)\(value)` | \(variable) | \(setting.defaultMarkdown) | \(description) |\n"
        }
        return text
    }

    private var defaultMarkdown: String {
        guard let defaultText else { return "none" }
        return defaultText.contains(" ") ? defaultText : "`\(defaultText)`"
    }
}
