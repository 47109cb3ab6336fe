// Metrics as line protocol, UTF-8:
//
//     measurement,tag=value,tag=value field=1.5,field=3i 1700000000000000000\n
//
// What has to be escaped with a backslash depends on the place: comma and space in a measurement,
// and `=` besides in tag keys, tag values and field keys. A value that ends in a backslash would
// swallow the separator behind it, so trailing backslashes are cut. Line feeds cannot be escaped
// outside of strings and are written as the two characters `\n`; other control characters go.

/// Appends metrics to a buffer of bytes.
///
/// Tags common to all lines are merged into each metric's own, sorted by key as the receiving
/// side stores them; a metric's own tag wins over a common one. Empty tags, and fields that are
/// not finite, are left out, and a line without any field is not written at all.
package struct LineWriter: Sendable {
    private let commonTags: [Metric.Tag]

    package init(commonTags: [Metric.Tag]) {
        self.commonTags = commonTags
    }

    /// The text of one sample. O(*n*) in its bytes.
    package func body(of metrics: [Metric], timestampNanoseconds: Int64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(metrics.count * 256)
        for metric in metrics {
            append(metric, timestampNanoseconds: timestampNanoseconds, to: &bytes)
        }
        return bytes
    }

    package func append(
        _ metric: Metric, timestampNanoseconds: Int64, to bytes: inout [UInt8]
    ) {
        let fields = metric.fields.compactMap { field in
            Self.text(of: field.value).map { (key: field.key, text: $0) }
        }
        guard !fields.isEmpty else { return }

        Self.appendEscaped(metric.measurement, escapesEquals: false, to: &bytes)
        for tag in mergedTags(metric.tags) {
            bytes.append(UInt8(ascii: ","))
            Self.appendEscaped(tag.key, escapesEquals: true, to: &bytes)
            bytes.append(UInt8(ascii: "="))
            Self.appendEscaped(tag.value, escapesEquals: true, to: &bytes)
        }
        var separator = UInt8(ascii: " ")
        for field in fields {
            bytes.append(separator)
            separator = UInt8(ascii: ",")
            Self.appendEscaped(field.key, escapesEquals: true, to: &bytes)
            bytes.append(UInt8(ascii: "="))
            bytes.append(contentsOf: field.text.utf8)
        }
        bytes.append(UInt8(ascii: " "))
        bytes.append(contentsOf: String(timestampNanoseconds).utf8)
        bytes.append(UInt8(ascii: "\n"))
    }

    private func mergedTags(_ own: [Metric.Tag]) -> [Metric.Tag] {
        let ownKeys = own.map(\.key)
        return (own + commonTags.filter { !ownKeys.contains($0.key) })
            .map { Metric.Tag(Self.writable($0.key), Self.writable($0.value)) }
            .filter { !$0.key.isEmpty && !$0.value.isEmpty }
            .sorted { $0.key < $1.key }
    }

    private static func text(of value: MetricValue) -> String? {
        switch value {
        case .integer(let integer): "\(integer)i"
        // Swift prints the shortest decimal that reads back as the same double.
        case .float(let double): double.isFinite ? "\(double)" : nil
        }
    }

    /// The text without what no escape can carry, see the head of this file.
    private static func writable(_ text: String) -> String {
        var kept = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if scalar == "\n" {
                kept.append(contentsOf: "\\n".unicodeScalars)
            } else if scalar.value >= 0x20, scalar.value != 0x7f {
                kept.append(scalar)
            }
        }
        while kept.last == "\\" { kept.removeLast() }
        return String(kept)
    }

    private static func appendEscaped(
        _ text: String, escapesEquals: Bool, to bytes: inout [UInt8]
    ) {
        for byte in writable(text).utf8 {
            let isSpecial =
                byte == UInt8(ascii: ",") || byte == UInt8(ascii: " ")
                || (escapesEquals && byte == UInt8(ascii: "="))
            if isSpecial { bytes.append(UInt8(ascii: "\\")) }
            bytes.append(byte)
        }
    }
}
