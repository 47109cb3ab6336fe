/// What a field holds. The raw value is the type's number on disk and never changes its meaning.
///
/// A stored value always fits an eight-byte slot: a float64's bit pattern, an int64 or uint64 in
/// two's complement, 0 or 1 for a bool, a `StringSlot` for a string.
public enum FieldType: UInt8, Sendable, Hashable, CaseIterable {
    case float64 = 0
    case int64 = 1
    case uint64 = 2
    case bool = 3
    case string = 4

    /// Whether values of the type are numbers and can be widened to float64.
    package var isNumeric: Bool { rawValue <= 2 }

    /// The type's name in SQL answers and messages.
    public var name: String {
        switch self {
        case .float64: "float64"
        case .int64: "int64"
        case .uint64: "uint64"
        case .bool: "bool"
        case .string: "string"
        }
    }
}

/// Where a string's bytes lie in the byte buffer that goes with its column.
///
///     bits 0 ..< 40    offset of the first byte
///     bits 40 ..< 64   length in bytes, at most 16 MiB − 1
package struct StringSlot: Sendable, Hashable {
    package var rawValue: UInt64

    package static let lengthMax = (1 << 24) - 1
    package static let offsetMax = (1 << 40) - 1

    @inline(__always)
    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    @inline(__always)
    package init(offset: Int, length: Int) {
        rawValue = UInt64(truncatingIfNeeded: offset) | UInt64(truncatingIfNeeded: length) &<< 40
    }

    @inline(__always)
    package var offset: Int { Int(truncatingIfNeeded: rawValue & 0xFF_FFFF_FFFF) }

    @inline(__always)
    package var length: Int { Int(truncatingIfNeeded: rawValue &>> 40) }
}
