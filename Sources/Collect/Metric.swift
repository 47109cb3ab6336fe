// One row before it is written as text: what every reader of /proc produces.

/// The value of one field.
package enum MetricValue: Equatable, Sendable {
    case float(Double)
    case integer(Int64)

    /// A kernel counter. Those above `Int64.max` are held there, as Telegraf does, since the
    /// signed type of line protocol cannot carry them.
    package static func counter(_ value: UInt64) -> MetricValue {
        .integer(Int64(clamping: value))
    }
}

/// A measurement with its tags and fields; the time is the sample's.
package struct Metric: Equatable, Sendable {
    package struct Tag: Equatable, Sendable {
        package var key: String
        package var value: String

        package init(_ key: String, _ value: String) {
            self.key = key
            self.value = value
        }
    }

    package struct Field: Equatable, Sendable {
        package var key: String
        package var value: MetricValue

        package init(_ key: String, _ value: MetricValue) {
            self.key = key
            self.value = value
        }
    }

    package var measurement: String
    package var tags: [Tag]
    package var fields: [Field]

    package init(_ measurement: String, tags: [Tag] = [], fields: [Field]) {
        self.measurement = measurement
        self.tags = tags
        self.fields = fields
    }

    /// The value of a field, or nil; a linear search, for tests and rare look-ups.
    package subscript(field key: String) -> MetricValue? {
        fields.first { $0.key == key }?.value
    }
}
