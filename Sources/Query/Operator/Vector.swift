// A column of values in flight between operators.
//
// A value is an eight-byte slot, as in `ResultVector`: nanoseconds, days, a double's bit pattern, an
// integer, 0 or 1, or a `StringSlot` into `bytes`. An interval in flight is a `StringSlot` to 16
// bytes (see `IntervalBytes`), so that every type moves alike.
//
// Invariants
//   - `values` has `count` slots, or one if `isConstant`: that slot stands for every row.
//   - `validity` is empty when nothing is NULL, else as long as `values`, 0 for NULL.
//   - The slot of a NULL is any number; kernels may compute with it and never read through it.

package import ApusStorage

package struct Vector: Sendable {
    package var type: ResultType
    package var count: Int
    package var isConstant: Bool
    package var values: [UInt64]
    package var validity: [UInt8]
    package var bytes: [UInt8]

    package init(
        type: ResultType, count: Int, isConstant: Bool = false, values: [UInt64],
        validity: [UInt8] = [], bytes: [UInt8] = []
    ) {
        self.type = type
        self.count = count
        self.isConstant = isConstant
        self.values = values
        self.validity = validity
        self.bytes = bytes
    }

    package init(_ constant: Constant, count: Int) {
        type = constant.type
        self.count = count
        isConstant = true
        values = [constant.slot]
        validity = constant.isNull ? [0] : []
        bytes = constant.bytes
    }

    @inline(__always)
    package func slotIndex(_ row: Int) -> Int { isConstant ? 0 : row }

    @inline(__always)
    package func isValid(_ row: Int) -> Bool {
        validity.isEmpty || validity[slotIndex(row)] != 0
    }

    @inline(__always)
    package func slot(_ row: Int) -> UInt64 { values[slotIndex(row)] }

    /// The bytes of a string or interval value.
    @inline(__always)
    package func withBytes<R>(_ row: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let slot = StringSlot(rawValue: slot(row))
        return bytes.withUnsafeBytes { buffer in
            body(
                UnsafeRawBufferPointer(
                    rebasing: buffer[slot.offset..<(slot.offset + slot.length)]))
        }
    }

    package func byteArray(_ row: Int) -> [UInt8] {
        let slot = StringSlot(rawValue: slot(row))
        return Array(bytes[slot.offset..<(slot.offset + slot.length)])
    }

    package var isAllNull: Bool { !validity.isEmpty && validity.allSatisfy { $0 == 0 } }

    package func constant(_ row: Int) -> Constant {
        guard isValid(row) else { return Constant(nullOf: type) }
        guard type.usesBytes else { return Constant(type: type, slot: slot(row)) }
        return Constant(type: type, bytes: byteArray(row))
    }

    /// The rows for which `mask` is not zero, `keptCount` of them.
    package func compacted(by mask: [UInt8], keptCount: Int) -> Vector {
        var result = self
        result.count = keptCount
        if isConstant { return result }
        result.values = compact(values, mask, keptCount)
        if !validity.isEmpty { result.validity = compact(validity, mask, keptCount) }
        return result
    }

    /// Neighbouring rows; strings are shared.
    package func sliced(_ rows: Range<Int>) -> Vector {
        var result = self
        result.count = rows.count
        if isConstant { return result }
        result.values = Array(values[rows])
        if !validity.isEmpty { result.validity = Array(validity[rows]) }
        return result
    }

    /// The rows of an index list, in its order.
    package func gathered(_ rows: [Int]) -> Vector {
        var result = self
        result.count = rows.count
        if isConstant { return result }
        result.values = rows.map { values[$0] }
        if !validity.isEmpty { result.validity = rows.map { validity[$0] } }
        return result
    }

    /// The rows of an index list, NULL where that is below zero; strings are shared.
    package func gathered(orNull rows: [Int]) -> Vector {
        guard rows.contains(where: { $0 < 0 }) else { return gathered(rows) }
        var builder = VectorBuilder(type, capacity: rows.count)
        builder.adopt(self)
        for row in rows {
            if row >= 0 { builder.append(row, ofAdopted: self) } else { builder.appendNull() }
        }
        return builder.finish()
    }

    /// The same values with a slot for each row.
    package func expanded() -> Vector {
        guard isConstant else { return self }
        var result = self
        result.isConstant = false
        result.values = [UInt64](repeating: values[0], count: count)
        if !validity.isEmpty {
            result.validity = validity[0] == 0 ? [UInt8](repeating: 0, count: count) : []
        }
        return result
    }

    package var byteCount: Int { values.count * 8 + validity.count + bytes.count }

    /// Whether most of its bytes belong to none of its rows: those are picked from many others then.
    fileprivate var isSparse: Bool {
        let wanted = bytes.count / 2
        var known = 0
        for row in 0..<count where isValid(row) {
            if known >= wanted { return false }
            known += StringSlot(rawValue: slot(row)).length
        }
        return known < wanted
    }
}

@inline(__always)
private func compact<T>(_ source: [T], _ mask: [UInt8], _ keptCount: Int) -> [T] {
    // Safe: the write index never passes the count of non-zero mask bytes plus one, which the
    // capacity covers; all slots below it are written.
    [T](unsafeUninitializedCapacity: keptCount + 1) { buffer, initializedCount in
        var kept = 0
        source.withUnsafeBufferPointer { source in
            mask.withUnsafeBufferPointer { mask in
                for row in 0..<source.count {
                    buffer[kept] = source[row]
                    kept &+= mask[row] != 0 ? 1 : 0
                }
            }
        }
        initializedCount = keptCount
    }
}

extension ResultType {
    /// Whether slots are `StringSlot`s.
    package var usesBytes: Bool { self == .string || self == .interval }
    package var isNumeric: Bool { self == .float64 || self == .int64 || self == .uint64 }
    package var isInteger: Bool { self == .int64 || self == .uint64 }
    package var isInstant: Bool { self == .timestamp || self == .timestampLocal || self == .date }

    package init(_ type: FieldType) {
        switch type {
        case .float64: self = .float64
        case .int64: self = .int64
        case .uint64: self = .uint64
        case .bool: self = .bool
        case .string: self = .string
        }
    }
}

/// A single typed value, or a NULL of that type.
package struct Constant: Hashable, Sendable {
    package var type: ResultType
    package var slot: UInt64
    package var bytes: [UInt8]
    package var isNull: Bool

    package init(type: ResultType, slot: UInt64) {
        self.type = type
        self.slot = slot
        bytes = []
        isNull = false
    }

    package init(type: ResultType, bytes: [UInt8]) {
        self.type = type
        slot = StringSlot(offset: 0, length: bytes.count).rawValue
        self.bytes = bytes
        isNull = false
    }

    package init(nullOf type: ResultType) {
        self.type = type
        slot = 0
        bytes = []
        isNull = true
    }

    package static func int64(_ value: Int64) -> Constant {
        Constant(type: .int64, slot: UInt64(bitPattern: value))
    }
    package static func float64(_ value: Double) -> Constant {
        Constant(type: .float64, slot: value.bitPattern)
    }
    package static func bool(_ value: Bool) -> Constant {
        Constant(type: .bool, slot: value ? 1 : 0)
    }
    package static func string(_ text: String) -> Constant {
        Constant(type: .string, bytes: Array(text.utf8))
    }
    package static func timestamp(_ nanoseconds: Int64) -> Constant {
        Constant(type: .timestamp, slot: UInt64(bitPattern: nanoseconds))
    }

    package var int64: Int64 { Int64(bitPattern: slot) }
    package var float64: Double { Double(bitPattern: slot) }
    package var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// Collects values row by row into a vector.
package struct VectorBuilder {
    package let type: ResultType
    package private(set) var values: [UInt64] = []
    package private(set) var validity: [UInt8] = []
    package private(set) var bytes: [UInt8] = []

    package init(_ type: ResultType, capacity: Int = 0) {
        self.type = type
        values.reserveCapacity(capacity)
    }

    package var count: Int { values.count }
    package var byteCount: Int { values.count * 8 + validity.count + bytes.count }

    @inline(__always)
    package mutating func append(_ slot: UInt64) {
        values.append(slot)
        if !validity.isEmpty { validity.append(1) }
    }

    package mutating func appendNull() {
        if validity.isEmpty { validity = [UInt8](repeating: 1, count: values.count) }
        values.append(0)
        validity.append(0)
    }

    package mutating func append<S: Collection>(text: S) where S.Element == UInt8 {
        let slot = StringSlot(offset: bytes.count, length: text.count)
        bytes.append(contentsOf: text)
        append(slot.rawValue)
    }

    package mutating func append(raw: UnsafeRawBufferPointer) {
        let slot = StringSlot(offset: bytes.count, length: raw.count)
        bytes.append(contentsOf: raw)
        append(slot.rawValue)
    }

    package mutating func append(_ constant: Constant) {
        if constant.isNull {
            appendNull()
        } else if type.usesBytes {
            append(text: constant.bytes)
        } else {
            append(constant.slot)
        }
    }

    /// Takes over the bytes of a vector, whose rows `append(_:ofAdopted:at:)` then appends without a copy of
    /// their strings. Returns where they begin.
    @discardableResult
    package mutating func adopt(_ vector: Vector) -> Int {
        let base = bytes.count
        if base == 0 { bytes = vector.bytes } else { bytes += vector.bytes }
        return base
    }

    /// A row of a vector whose bytes begin at `base` here.
    package mutating func append(_ row: Int, ofAdopted vector: Vector, at base: Int = 0) {
        guard vector.isValid(row) else { return appendNull() }
        guard type.usesBytes, base > 0 else { return append(vector.slot(row)) }
        let slot = StringSlot(rawValue: vector.slot(row))
        append(StringSlot(offset: slot.offset + base, length: slot.length).rawValue)
    }

    /// All rows of a vector of the same type.
    package mutating func append(_ vector: Vector) {
        if type.usesBytes, vector.isSparse {
            for row in 0..<vector.count { append(row, of: vector) }
            return
        }
        let start = values.count
        let base = bytes.count
        if type.usesBytes { bytes.append(contentsOf: vector.bytes) }
        if vector.isConstant {
            values.append(contentsOf: repeatElement(vector.values[0], count: vector.count))
        } else {
            values.append(contentsOf: vector.values)
        }
        if type.usesBytes, base > 0 {
            for row in start..<values.count {
                let slot = StringSlot(rawValue: values[row])
                values[row] = StringSlot(offset: slot.offset + base, length: slot.length).rawValue
            }
        }
        if !vector.validity.isEmpty || !validity.isEmpty {
            if validity.isEmpty { validity = [UInt8](repeating: 1, count: start) }
            if vector.validity.isEmpty {
                validity.append(contentsOf: repeatElement(1, count: vector.count))
            } else if vector.isConstant {
                validity.append(contentsOf: repeatElement(vector.validity[0], count: vector.count))
            } else {
                validity.append(contentsOf: vector.validity)
            }
        }
    }

    package mutating func finish() -> Vector {
        defer { self = VectorBuilder(type) }
        return Vector(
            type: type, count: values.count, values: values, validity: validity, bytes: bytes)
    }
}
