// A row of an answer on its way to a person or into a file: one text a column, whatever the answer
// came as.
//
//     bytes   1700000000000000000│h1│1.5│││x
//     ends    19                 21 24 24 24 25
//     isNull  no                 no no yes no no       '' and NULL are told apart

/// A column of an answer; `type` as `/sql` names it.
package struct AnswerColumn: Equatable, Sendable {
    package var name: String
    package var type: String

    package init(name: String = "", type: String = "") {
        self.name = name
        self.type = type
    }

    package var isNumber: Bool { ["float64", "int64", "uint64"].contains(type) }
    /// Whether a value may be of any length, and says something even when cut.
    package var isText: Bool { type == "string" || type == "interval" }
}

package struct AnswerRow: Equatable, Sendable {
    package private(set) var bytes: [UInt8] = []
    private var ends: [Int] = []
    private var isNull: [Bool] = []

    package init() {}

    /// Nil stands for NULL, here and in `texts`.
    package init(_ texts: [String?]) {
        for text in texts {
            if let text { append(column: text.utf8) } else { appendNull() }
        }
    }

    package var texts: [String?] {
        (0..<count).map { self[$0].map { String(decoding: $0, as: UTF8.self) } }
    }

    /// How many columns have ended.
    package var count: Int { ends.count }

    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        isNull.removeAll(keepingCapacity: true)
    }

    /// Nil for NULL.
    package subscript(column: Int) -> ArraySlice<UInt8>? {
        guard column < ends.count, !isNull[column] else { return nil }
        return bytes[(column == 0 ? 0 : ends[column - 1])..<ends[column]]
    }

    /// A column's whole text.
    package mutating func append(column text: some Sequence<UInt8>) {
        append(text)
        endColumn()
    }

    package mutating func appendNull() { endColumn(isNull: true) }

    // MARK: In pieces

    package mutating func append(byte: UInt8) { bytes.append(byte) }
    package mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    package mutating func append(_ value: Int64) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        append(value.magnitude)
    }

    package mutating func append(_ value: UInt64) {
        let start = bytes.count
        var rest = value
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    /// The bytes since the last end are a column's text.
    package mutating func endColumn(isNull: Bool = false) {
        ends.append(bytes.count)
        self.isNull.append(isNull)
    }
}
