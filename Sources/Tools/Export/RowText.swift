// A row of an answer on its way into a file: one text a column, whatever the answer came as.
//
//     bytes   1700000000000000000│h1│1.5│││x
//     ends    19                 21 24 24 24 25
//     isNull  no                 no no yes no no       '' and NULL are told apart
//
// Times of type timestamp are nanoseconds since 1970, everything else as CSV spells it, unquoted.

package struct RowText: Sendable {
    package private(set) var bytes: [UInt8] = []
    private var ends: [Int] = []
    private var isNull: [Bool] = []

    package init() {}

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

    package mutating func append(byte: UInt8) { bytes.append(byte) }
    package mutating func append<Bytes: Sequence<UInt8>>(_ more: Bytes) {
        bytes.append(contentsOf: more)
    }

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

/// Takes rows as they come. A throw ends the query.
package protocol RowSink {
    mutating func begin(_ columns: [ExportColumn]) throws(TransferFailure)
    mutating func append(_ row: RowText) throws(TransferFailure)
}

/// A column of an answer; `type` as `/sql` names it.
package struct ExportColumn: Equatable, Sendable {
    package var name: String
    package var type: String

    package init(name: String, type: String) {
        self.name = name
        self.type = type
    }
}
