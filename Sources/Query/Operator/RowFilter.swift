// Conditions `field op constant` of WHERE, decided on a scan's rows before anything of them is
// copied: a bit a row, by a kernel that compares eight values at a time.

internal import ApusKernels
internal import ApusStorage

/// One such condition.
struct RowFilter {
    /// The frame column of the field.
    let slot: Int
    private let type: ResultType
    private let numberType: apus_number_type
    private let order: apus_order
    /// The rows wanted are those for which `order` doesn't hold.
    private let isInverted: Bool
    /// In the field's type.
    private let constant: UInt64

    /// Nil if the constant is no number of the field's type, or one that the kernel doesn't take.
    init?(slot: Int, type: ResultType, _ op: ComparisonOperator, _ constant: Constant) {
        guard !constant.isNull else { return nil }
        switch (type, constant.type) {
        case (.int64, .int64): numberType = APUS_INT64
        case (.uint64, .uint64): numberType = APUS_UINT64
        case (.uint64, .int64) where constant.int64 >= 0: numberType = APUS_UINT64
        case (.float64, .float64) where !constant.float64.isNaN: numberType = APUS_FLOAT64
        default: return nil
        }
        switch op {
        case .less, .greaterOrEqual: order = APUS_LESS
        case .equal, .notEqual: order = APUS_EQUAL
        case .greater, .lessOrEqual: order = APUS_GREATER
        }
        isInverted = op == .greaterOrEqual || op == .notEqual || op == .lessOrEqual
        self.slot = slot
        self.type = type
        self.constant = constant.slot
    }

    /// Takes rows for which the condition isn't TRUE out of `rows`.
    func apply(_ column: ColumnSlice, to rows: inout RowSelection) throws(QueryError) {
        guard ResultType(column.type) == type else { throw ScanFrameBuilder.schemaChanged }
        rows.intersect(column.count, isInverted: isInverted) { words in
            // Safe: there is a word for each 64 of the column's rows, or a part of them.
            apus_filter(
                column.values, column.count, numberType, order, constant, words.baseAddress)
        }
        if let validity = column.validity { rows.remove { validity[$0] == 0 } }
        if type == .float64, AggregateKernels.mayHoldNaN(column.values, column.count) {
            rows.remove { column.values[$0] == staleMarker }
        }
    }
}

/// Some of a number of rows; none at first.
struct RowSelection {
    /// Bit i % 64 of word i / 64 is row i.
    private var words: [UInt64] = []
    private var scratch: [UInt64] = []
    private(set) var count = 0

    mutating func select(_ range: Range<Int>, of rowCount: Int) {
        words.removeAll(keepingCapacity: true)
        for start in stride(from: 0, to: rowCount, by: 64) {
            let inside = range.clamped(to: start..<(start + 64))
            words.append(
                Self.lowBits(inside.upperBound - start) & ~Self.lowBits(inside.lowerBound - start))
        }
        count = range.count
    }

    /// The lowest `count` bits, at most 64.
    private static func lowBits(_ count: Int) -> UInt64 {
        count >= 64 ? .max : 1 &<< UInt64(count) &- 1
    }

    /// Keeps what is also among the rows that `fill` sets, or not among them.
    fileprivate mutating func intersect(
        _ rowCount: Int, isInverted: Bool, _ fill: (UnsafeMutableBufferPointer<UInt64>) -> Void
    ) {
        precondition(rowCount <= words.count * 64, "BUG: a column of more rows than its slice")
        if scratch.count < words.count {
            scratch = [UInt64](repeating: 0, count: words.count)
        }
        scratch.withUnsafeMutableBufferPointer { fill($0) }
        let flip: UInt64 = isInverted ? .max : 0
        count = 0
        for index in words.indices {
            words[index] &= UInt64(littleEndian: scratch[index]) ^ flip
            count &+= words[index].nonzeroBitCount
        }
    }

    /// Takes out the rows that `isUnwanted` names.
    fileprivate mutating func remove(_ isUnwanted: (Int) -> Bool) {
        for index in words.indices {
            var rest = words[index]
            while rest != 0 {
                let bit = rest & (0 &- rest)
                if isUnwanted(index &* 64 &+ bit.trailingZeroBitCount) {
                    words[index] ^= bit
                    count &-= 1
                }
                rest ^= bit
            }
        }
    }

    /// The selected of some values.
    ///
    /// Safe: `values` has as many as there are rows to select from.
    func gather<T>(_ values: UnsafePointer<T>) -> [T] {
        [T](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            for index in words.indices {
                var rest = words[index]
                while rest != 0 {
                    buffer.initializeElement(
                        at: initializedCount,
                        to: values[index &* 64 &+ rest.trailingZeroBitCount])
                    initializedCount &+= 1
                    rest &= rest &- 1
                }
            }
        }
    }
}
