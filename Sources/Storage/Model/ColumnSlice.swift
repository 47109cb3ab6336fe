/// Some rows of one column, borrowed from whoever owns the memory.
///
/// Every slice has `count` eight-byte slots (see `FieldType`). `validity` holds one byte a row, 1
/// where a value is present and 0 where the field is absent; nil means that all are present. The
/// slot of an absent value is undefined. `stringBytes` is the buffer that the `StringSlot`s of a
/// string column point into.
///
/// Safe: the pointers are valid only while their owner is kept alive by the caller.
package struct ColumnSlice: @unchecked Sendable {
    package var type: FieldType
    package var count: Int
    package var values: UnsafePointer<UInt64>
    package var validity: UnsafePointer<UInt8>?
    package var stringBytes: UnsafePointer<UInt8>?

    package init(
        type: FieldType, count: Int, values: UnsafePointer<UInt64>,
        validity: UnsafePointer<UInt8>?, stringBytes: UnsafePointer<UInt8>?
    ) {
        self.type = type
        self.count = count
        self.values = values
        self.validity = validity
        self.stringBytes = stringBytes
    }
}

/// What is known about the present values of a column in a block without decoding them.
///
/// `minimum`, `maximum`, `first` and `last` are slots in the column's type; minimum and maximum
/// skip NaN, so a block of NaNs only has `presentCount == nanCount` and they are undefined, as all
/// four are when nothing is present. They are not kept for strings (`hasRange` is false); for bools
/// they are 0 and 1. `sum` is exact for integers or absent; for floats it is the sum of the values
/// that are not NaN, added in some order.
package struct ColumnStatistics: Sendable, Equatable {
    package enum Sum: Sendable, Equatable {
        case none
        case integer(Int128)
        case float(Double)
    }

    package var presentCount: Int
    package var nanCount: Int
    package var minimum: UInt64
    package var maximum: UInt64
    package var hasRange: Bool
    package var sum: Sum
    package var first: UInt64
    package var last: UInt64

    package init(
        presentCount: Int, nanCount: Int = 0, minimum: UInt64 = 0, maximum: UInt64 = 0,
        hasRange: Bool = false, sum: Sum = .none, first: UInt64 = 0, last: UInt64 = 0
    ) {
        self.presentCount = presentCount
        self.nanCount = nanCount
        self.minimum = minimum
        self.maximum = maximum
        self.hasRange = hasRange
        self.sum = sum
        self.first = first
        self.last = last
    }
}
