// Options as people write them: addresses, sizes, durations. Errors say what was expected.

internal import ApusIngest
package import ApusStorage

/// A text that is not the option it should be.
package struct OptionError: Error, Equatable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

package enum OptionText {
    /// `HOST:PORT`, `[::1]:PORT`, `:PORT`, with `?db=x&precision=ms` where `takesQuery`; `off` is nil.
    package static func listener(
        _ text: String, takesQuery: Bool = false
    ) throws(OptionError) -> ListenerAddress? {
        if text == "off" { return nil }
        let (place, parameters) = URLText.split(text)
        guard parameters.isText else { throw OptionError("'\(text)' has names that are not UTF-8") }
        guard let colon = place.lastIndex(of: ":") else {
            throw OptionError("'\(text)' is not HOST:PORT (or off)")
        }
        var host = String(place[..<colon])
        guard let port = UInt16(place[place.index(after: colon)...]) else {
            throw OptionError("'\(text)' has no port from 0 to 65535")
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            throw OptionError("'\(text)': write an IPv6 address in brackets, [::1]:8086")
        }
        var address = ListenerAddress(
            host: host.isEmpty || host == "*" ? "0.0.0.0" : host, port: Int(port))
        for (name, value) in parameters.pairs {
            switch name {
            case "db" where takesQuery && !value.isEmpty:
                if let problem = NameRules.problem(value, "database") {
                    throw OptionError("db: \(problem)")
                }
                address.database = value
            case "precision" where takesQuery:
                guard let precision = TimePrecision.v3(value) ?? TimePrecision.v1(value) else {
                    throw OptionError("'\(text)': precision is ns, us, ms, s or auto")
                }
                address.precision = precision
            default: throw OptionError("'\(text)': unknown option \(name)")
            }
        }
        return address
    }

    /// `1073741824`, `512MiB`, `4G`, `25%` of `whole`.
    package static func bytes(_ text: String, whole: Int) throws(OptionError) -> Int {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text[digits.endIndex...].lowercased()
        guard let number = Double(digits), number.isFinite, number >= 0 else {
            throw OptionError("'\(text)' is not a size like 512MiB, 2GiB or 25%")
        }
        let factor: Double
        switch unit {
        case "", "b": factor = 1
        case "k", "kb", "kib": factor = 1_024
        case "m", "mb", "mib": factor = 1_048_576
        case "g", "gb", "gib": factor = 1_073_741_824
        case "t", "tb", "tib": factor = 1_099_511_627_776
        case "%": factor = Double(whole) / 100
        default: throw OptionError("'\(text)' is not a size like 512MiB, 2GiB or 25%")
        }
        guard number * factor < 9e18 else { throw OptionError("'\(text)' is too large a size") }
        return Int(number * factor)
    }

    /// `10s`, `1.5h`, `90d`; a bare number counts `defaultUnit`.
    package static func milliseconds(
        _ text: String, defaultUnit: Double = 1_000
    ) throws(OptionError) -> Int {
        let milliseconds = try duration(text, defaultUnit: defaultUnit)
        guard milliseconds < 9e15 else { throw OptionError("'\(text)' is too long") }
        return Int(milliseconds)
    }

    /// The same, exact enough for what takes microseconds: nothing but 0 becomes 0.
    package static func nanoseconds(_ text: String) throws(OptionError) -> Int64 {
        let nanoseconds = try duration(text, defaultUnit: 1_000) * 1e6
        guard nanoseconds < 9e18 else { throw OptionError("'\(text)' is too long") }
        return nanoseconds > 0 ? max(1, Int64(nanoseconds)) : 0
    }

    /// In milliseconds.
    private static func duration(
        _ text: String, defaultUnit: Double
    ) throws(OptionError) -> Double {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits), number.isFinite else {
            throw OptionError("'\(text)' is not a duration like 500ms, 10s, 12h or 90d")
        }
        let factor: Double
        switch text[digits.endIndex...] {
        case "": factor = defaultUnit
        case "ns": factor = 1e-6
        case "us", "µs": factor = 1e-3
        case "ms": factor = 1
        case "s": factor = 1_000
        case "m", "min": factor = 60_000
        case "h": factor = 3_600_000
        case "d": factor = 86_400_000
        case "w": factor = 604_800_000
        case "y": factor = 31_536_000_000
        default: throw OptionError("'\(text)' is not a duration like 500ms, 10s, 12h or 90d")
        }
        return number * factor
    }

    /// `on` or `off`, and what environments write instead.
    package static func isOn(_ text: String) throws(OptionError) -> Bool {
        switch text {
        case "on", "true", "yes", "1": return true
        case "off", "false", "no", "0": return false
        default: throw OptionError("'\(text)' is not on or off")
        }
    }

    /// `always`, `interval`, `interval:250`, `none`.
    package static func durability(_ text: String) throws(OptionError) -> Durability {
        switch text {
        case "always": return .always
        case "none": return .none
        case "interval": return .interval(milliseconds: 100)
        default:
            guard text.hasPrefix("interval:"),
                let value = Int(text.dropFirst(9).prefix { $0.isASCII && $0.isNumber }),
                (1...3_600_000).contains(value),
                text == "interval:\(value)" || text == "interval:\(value)ms"
            else {
                throw OptionError(
                    "'\(text)' is not always, interval, interval:MILLISECONDS or none")
            }
            return .interval(milliseconds: value)
        }
    }
}
