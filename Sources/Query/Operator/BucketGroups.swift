// The groups of one thread where no key is worked out per row: pairs of a *code*, a number for what all
// keys but the bucket are, and the start of a bucket. A run of rows costs one probe; keys are written
// and compared once a code.

internal import ApusStorage

struct BucketGroups {
    /// From the keys beside the bucket to codes.
    private var keys = GroupTable()
    /// Of each group.
    private var codes: [UInt32] = []
    private var buckets: [Int64] = []
    /// 0 is empty, else group + 1. At most half full.
    private var slots = [UInt32](repeating: 0, count: 256)

    var count: Int { codes.count }
    var byteCount: Int { keys.byteCount + codes.capacity * 12 + slots.count * 4 }

    /// The code of a key as `KeyEncoder` writes it, without the bucket.
    mutating func code(of key: [UInt8]) -> UInt32 {
        UInt32(truncatingIfNeeded: keys.group(of: key))
    }

    @inline(__always)
    private static func hash(_ code: UInt32, _ bucket: Int64) -> Int {
        // Buckets are multiples of large powers of ten: multiply and take the upper bits.
        let mixed = (UInt64(bitPattern: bucket) ^ (UInt64(code) &<< 40)) &* 0x9E37_79B9_7F4A_7C15
        let folded = (mixed ^ mixed &>> 32 ^ UInt64(code)) &* 0xD6E8_FEB8_6659_FD93
        return Int(truncatingIfNeeded: folded &>> 32)
    }

    /// The group of a pair, made if there is none.
    @inline(__always)
    mutating func group(_ code: UInt32, _ bucket: Int64) -> Int {
        let mask = slots.count &- 1
        var slot = Self.hash(code, bucket) & mask
        while slots[slot] != 0 {
            let group = Int(slots[slot]) &- 1
            if codes[group] == code, buckets[group] == bucket { return group }
            slot = (slot &+ 1) & mask
        }
        return insert(code, bucket, slot)
    }

    @inline(never)
    private mutating func insert(_ code: UInt32, _ bucket: Int64, _ slot: Int) -> Int {
        codes.append(code)
        buckets.append(bucket)
        slots[slot] = UInt32(truncatingIfNeeded: codes.count)
        if codes.count * 2 > slots.count { grow() }
        return codes.count - 1
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        let mask = slots.count - 1
        for group in codes.indices {
            var slot = Self.hash(codes[group], buckets[group]) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = UInt32(truncatingIfNeeded: group + 1)
        }
    }

    /// Adds another thread's groups and says where each of them is here.
    mutating func merge(_ other: BucketGroups) -> [Int] {
        let codes = (0..<other.keys.count).map { code in
            UInt32(truncatingIfNeeded: other.keys.withKey(code) { keys.group(of: $0) })
        }
        return zip(other.codes, other.buckets).map { group(codes[Int($0)], $1) }
    }

    /// The keys as columns, a row a group; `bucketKey` is the bucket's place among them.
    func columns(_ types: [ResultType], bucketKey: Int?) -> [Vector] {
        var others = types
        if let bucketKey { others.remove(at: bucketKey) }
        let rows = codes.map { Int($0) }
        var columns = keys.columns(others).map { $0.gathered(rows) }
        if let bucketKey {
            let starts = buckets.map { UInt64(bitPattern: $0) }
            columns.insert(
                Vector(type: types[bucketKey], count: count, values: starts), at: bucketKey)
        }
        return columns
    }
}
