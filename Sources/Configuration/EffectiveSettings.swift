// What holds: flags before environment before file, each value with the place it came from.

package import ApusServer

package struct EffectiveSettings: Sendable {
    /// Where a value was given.
    package enum Origin: Sendable, Equatable {
        case flag(String)
        case variable(String)
        case file(path: String, line: Int)
    }

    package struct Choice: Sendable, Equatable {
        /// One text, or any number of a list.
        package let texts: [String]
        package let origin: Origin
    }

    private let choices: [String: Choice]

    /// - Parameters:
    ///   - flags: what was given on the command line, by name.
    ///   - read: the text of a file.
    package init(
        flags: [String: [String]], environment: Environment,
        read: (String) throws(OptionError) -> String
    ) throws(OptionError) {
        var choices: [String: Choice] = [:]
        for setting in Setting.all {
            if let texts = flags[setting.name], !texts.isEmpty {
                choices[setting.name] = Choice(texts: texts, origin: .flag(setting.flag))
            } else if let text = environment.value(of: setting) {
                let texts =
                    setting.kind == .list ? text.split(separator: ",").map(String.init) : [text]
                choices[setting.name] = Choice(texts: texts, origin: .variable(setting.variable))
            }
        }
        if let path = choices[Setting.config.name]?.texts.last {
            let text: String
            do throws(OptionError) { text = try read(path) } catch {
                throw OptionError("the configuration file \(path): \(error.description)")
            }
            let fromFile = try ConfigurationFile(text: text, path: path).choices()
            choices.merge(fromFile) { known, _ in known }
        }
        self.choices = choices
    }

    package subscript(_ setting: Setting) -> Choice? { choices[setting.name] }

    /// Every setting with its value and where that came from, in columns, for a person to read.
    package var report: String {
        let rows = Setting.all.filter { $0.places.contains(.file) }.map { setting in
            let choice = self[setting]
            let value = choice?.texts.joined(separator: ", ") ?? setting.defaultText ?? "none"
            return (setting.name, value, choice?.origin.description ?? "default")
        }
        let nameWidth = rows.map(\.0.count).max() ?? 0
        let valueWidth = rows.map(\.1.count).max() ?? 0
        return rows.map { name, value, origin in
            let name = name + String(repeating: " ", count: nameWidth - name.count)
            let value = value + String(repeating: " ", count: valueWidth - value.count)
            return "\(name)  \(value)  \(origin)\n"
        }.joined()
    }
}

extension EffectiveSettings.Origin: CustomStringConvertible {
    package var description: String {
        switch self {
        case .flag(let flag): flag
        case .variable(let name): name
        case .file(let path, let line): "\(path):\(line)"
        }
    }
}
