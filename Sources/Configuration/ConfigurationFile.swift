// The configuration file: TOML without tables, because settings have no groups.
//
//     # a comment
//     data = "/var/lib/apus"          a basic string, with \n \t \" \\ \uXXXX and the like
//     token-file = 'C:\tokens'        a literal string
//     memory = 2_147_483_648          a decimal integer
//     allow-unauthenticated = true    a boolean
//     allow = [                       an array of strings, over several lines if need be
//         "192.0.2.0/24",
//     ]
//
// What TOML knows beyond that (tables, dotted keys, floats, dates, multi-line strings) is refused
// with its name. So every file that is accepted means the same to any TOML reader.

package import ApusServer

package struct ConfigurationFile: Sendable {
    package enum Value: Sendable, Equatable {
        case string(String)
        case integer(Int)
        case boolean(Bool)
        case strings([String])

        package var typeName: String {
            switch self {
            case .string: "a string"
            case .integer: "an integer"
            case .boolean: "a boolean"
            case .strings: "an array"
            }
        }
    }

    package struct Entry: Sendable, Equatable {
        package let key: String
        package let value: Value
        /// 1-based.
        package let line: Int
    }

    package let path: String
    package let entries: [Entry]

    /// Errors begin with `path:line: `.
    package init(text: String, path: String) throws(OptionError) {
        var reader = TOMLReader(text)
        self.path = path
        do throws(TOMLReader.Fault) { entries = try reader.entries() } catch {
            throw OptionError("\(path):\(error.line): \(error.reason)")
        }
    }

    /// The values of settings, checked for their names and types.
    func choices() throws(OptionError) -> [String: EffectiveSettings.Choice] {
        var choices: [String: EffectiveSettings.Choice] = [:]
        for entry in entries {
            let place = "\(path):\(entry.line)"
            let setting = Setting.all.first {
                $0.name == entry.key && $0.places.contains(.file)
            }
            guard let setting else {
                throw OptionError("\(place): \(Self.unknown(entry.key))")
            }
            guard let texts = setting.texts(of: entry.value) else {
                throw OptionError(
                    "\(place): \(entry.key): expected \(setting.kind.expected), like \(entry.key) = \(setting.example), found \(entry.value.typeName)"
                )
            }
            choices[entry.key] = EffectiveSettings.Choice(
                texts: texts, origin: .file(path: path, line: entry.line))
        }
        return choices
    }

    private static func unknown(_ key: String) -> String {
        if Setting.all.contains(where: { $0.name == key }) {
            return "'\(key)' is a flag and no key of the file"
        }
        let names = Setting.all.filter { $0.places.contains(.file) }.map(\.name)
        let nearest = names.map { (name: $0, distance: editDistance($0, key)) }
            .min { $0.distance < $1.distance }
        guard let nearest, nearest.distance <= max(2, key.count / 3) else {
            return "unknown key '\(key)'; known are \(names.joined(separator: ", "))"
        }
        return "unknown key '\(key)'; did you mean '\(nearest.name)'?"
    }
}

extension Setting.Kind {
    var expected: String {
        switch self {
        case .text: "a string"
        case .quantity: "a string or an integer"
        case .boolean, .onOff: "true or false"
        case .list: "an array of strings"
        }
    }
}

extension Setting {
    /// A value of the file as flags would have it; nil if it is of another type.
    fileprivate func texts(of value: ConfigurationFile.Value) -> [String]? {
        switch (kind, value) {
        case (.text, .string(let text)), (.quantity, .string(let text)): [text]
        case (.quantity, .integer(let number)): [String(number)]
        case (.boolean, .boolean(let isOn)), (.onOff, .boolean(let isOn)): [isOn ? "on" : "off"]
        case (.list, .strings(let texts)): texts
        default: nil
        }
    }
}

/// How many characters have to be added, removed or exchanged to make one text of the other.
func editDistance(_ first: String, _ second: String) -> Int {
    // A key as long as a file would take its square of time.
    let other = Array(second.prefix(64))
    var previous = Array(0...other.count)
    for (row, character) in first.prefix(64).enumerated() {
        var current = [row + 1]
        for (column, candidate) in other.enumerated() {
            let exchanged = previous[column] + (character == candidate ? 0 : 1)
            current.append(min(exchanged, previous[column + 1] + 1, current[column] + 1))
        }
        previous = current
    }
    return previous[other.count]
}
