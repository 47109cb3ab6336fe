// Numbers as people read them.

package enum Quantity {
    private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]

    /// `1.5 MiB`: three digits, a unit.
    package static func bytes(_ count: Int) -> String {
        var value = Double(count)
        var unit = 0
        while value >= 1023.95, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(count) B" : "\(fixed(value, value < 9.995 ? 2 : 1)) \(units[unit])"
    }

    /// `12,345,678`.
    package static func count(_ number: Int) -> String {
        let digits = Array(String(number.magnitude).utf8)
        var text: [UInt8] = number < 0 ? [0x2D] : []
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(0x2C) }
            text.append(digit)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// `1 block`, `1,024 blocks`.
    package static func things(_ number: Int, _ name: String) -> String {
        "\(count(number)) \(name)\(number == 1 || name == "series" ? "" : "s")"
    }

    /// A number of at least 0 with so many decimals, rounded.
    package static func fixed(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite, value.magnitude < 1e15 else { return "\(value)" }
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let whole = Int((value.magnitude * scale).rounded())
        let text = String(whole / Int(scale))
        let sign = value < 0 && whole > 0 ? "-" : ""
        guard decimals > 0 else { return sign + text }
        let rest = String(whole % Int(scale))
        let zeros = String(repeating: "0", count: decimals - rest.count)
        return "\(sign)\(text).\(zeros)\(rest)"
    }

    /// `0.44`, or `–` where nothing is divided.
    package static func ratio(_ bytes: Int, _ values: Int) -> String {
        values == 0 ? "–" : fixed(Double(bytes) / Double(values), 2)
    }
}
