// Groups by key: an open-addressing table from encoded keys to dense group numbers.
//
//     an encoded key: for each key column
//
//     field   size    meaning
//     ──────  ──────  ──────────────────────────────────────────────
//     tag     1       0 NULL, 1 a value
//     value   8       the slot, for types without bytes
//     count   4       bytes that follow, for strings and intervals
//     bytes   count
//
// Equal values have equal bytes: −0 is written as 0, every NaN as one NaN, 24 hours as 1 day.

internal import ApusStorage

struct KeyEncoder {
    /// One row's values of all columns, in place of what the key was.
    @inline(__always)
    static func encode(_ columns: [Vector], _ row: Int, as key: inout [UInt8]) {
        key.removeAll(keepingCapacity: true)
        for column in columns { append(column, row, to: &key) }
    }

    /// A value with bytes, or NULL.
    static func append(_ bytes: UnsafeRawBufferPointer?, to key: inout [UInt8]) {
        guard let bytes else {
            key.append(0)
            return
        }
        key.append(1)
        // Safe: the bytes are copied into the key.
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: bytes.count)) {
            key.append(contentsOf: $0)
        }
        key.append(contentsOf: bytes)
    }

    static func append(_ vector: Vector, _ row: Int, to key: inout [UInt8]) {
        guard vector.isValid(row) else {
            key.append(0)
            return
        }
        if vector.type == .interval {
            let interval = vector.withBytes(row) { IntervalValue($0) }.canonical
            interval.bytes.withUnsafeBytes { append($0, to: &key) }
        } else if vector.type == .string {
            vector.withBytes(row) { append($0, to: &key) }
        } else {
            key.append(1)
            let slot = vector.type == .float64 ? canonical(vector.slot(row)) : vector.slot(row)
            withUnsafeBytes(of: slot) { key.append(contentsOf: $0) }
        }
    }

    @inline(__always)
    static func canonical(_ slot: UInt64) -> UInt64 {
        let value = Double(bitPattern: slot)
        if value == 0 { return 0 }
        return value.isNaN ? Double.nan.bitPattern : slot
    }

    /// Reads one column's value and moves on.
    static func read(
        _ bytes: UnsafeRawBufferPointer, _ position: inout Int, into builder: inout VectorBuilder
    ) {
        let isValid = bytes[position] != 0
        position += 1
        guard isValid else { return builder.appendNull() }
        if builder.type.usesBytes {
            let count = Int(bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
            position += 4
            builder.append(
                raw: UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)]))
            position += count
        } else {
            builder.append(bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            position += 8
        }
    }
}

struct GroupTable {
    private var keyBytes: [UInt8] = []
    private var keyEnds: [Int] = []
    private var hashes: [UInt64] = []
    /// 0 is empty, else group + 1. At most half full.
    private var slots = [UInt32](repeating: 0, count: 64)

    var count: Int { keyEnds.count }
    var byteCount: Int { keyBytes.capacity + keyEnds.capacity * 16 + slots.count * 4 }

    func withKey<R>(_ group: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let start = group == 0 ? 0 : keyEnds[group - 1]
        return keyBytes.withUnsafeBytes {
            body(UnsafeRawBufferPointer(rebasing: $0[start..<keyEnds[group]]))
        }
    }

    /// The group of a key, made if there is none.
    mutating func group(of key: [UInt8]) -> Int {
        key.withUnsafeBytes { group(of: $0) }
    }

    /// The group of a key, or nil if there is none.
    func find(_ key: [UInt8]) -> Int? {
        key.withUnsafeBytes { key in
            let slot = slot(of: key, KeyHash.hash(key))
            return slots[slot] == 0 ? nil : Int(slots[slot]) - 1
        }
    }

    /// Where a key is, or else belongs.
    @inline(__always)
    private func slot(of key: UnsafeRawBufferPointer, _ hash: UInt64) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            let group = Int(slots[slot]) - 1
            if hashes[group] == hash,
                withKey(group, { $0.count == key.count && compareBytes($0, key) == 0 })
            {
                break
            }
            slot = (slot + 1) & mask
        }
        return slot
    }

    mutating func group(of key: UnsafeRawBufferPointer) -> Int {
        let hash = KeyHash.hash(key)
        let slot = slot(of: key, hash)
        guard slots[slot] == 0 else { return Int(slots[slot]) - 1 }
        let group = keyEnds.count
        keyBytes.append(contentsOf: key)
        keyEnds.append(keyBytes.count)
        hashes.append(hash)
        slots[slot] = UInt32(truncatingIfNeeded: group + 1)
        if keyEnds.count * 2 > slots.count { grow() }
        return group
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        let mask = slots.count - 1
        for (group, hash) in hashes.enumerated() {
            var slot = Int(truncatingIfNeeded: hash) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = UInt32(truncatingIfNeeded: group + 1)
        }
    }

    /// The keys as columns, a row a group.
    func columns(_ types: [ResultType]) -> [Vector] {
        var builders = types.map { VectorBuilder($0, capacity: count) }
        for group in 0..<count {
            withKey(group) { bytes in
                var position = 0
                for index in builders.indices {
                    KeyEncoder.read(bytes, &position, into: &builders[index])
                }
            }
        }
        return builders.indices.map { builders[$0].finish() }
    }
}
