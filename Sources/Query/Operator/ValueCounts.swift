// How often each of some values occurs.

/// An open-addressing table from values, as integers, to counts.
struct ValueCounts {
    private struct Place {
        var key: UInt64 = 0
        /// 0 where no value is.
        var count = 0
    }

    /// At most half full.
    private var places: [Place]
    private var shift: UInt64
    private(set) var distinctCount = 0
    /// Of all values.
    private(set) var total = 0

    init() {
        places = Array(repeating: Place(), count: 1_024)
        shift = 64 - 10
    }

    var byteCount: Int { places.count * MemoryLayout<Place>.stride }

    @inline(__always)
    mutating func add(_ key: UInt64, _ count: Int = 1) {
        total &+= count
        let mask = places.count &- 1
        // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4).
        var place = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) &>> shift)
        while places[place].count != 0 {
            if places[place].key == key {
                places[place].count &+= count
                return
            }
            place = (place &+ 1) & mask
        }
        places[place] = Place(key: key, count: count)
        distinctCount &+= 1
        if distinctCount * 2 > places.count { grow() }
    }

    @inline(never)
    private mutating func grow() {
        let old = places
        (distinctCount, total) = (0, 0)
        places = Array(repeating: Place(), count: old.count * 2)
        shift -= 1
        for place in old where place.count > 0 { add(place.key, place.count) }
    }

    func forEach(_ body: (_ key: UInt64, _ count: Int) -> Void) {
        for place in places where place.count > 0 { body(place.key, place.count) }
    }

    /// The values in order, each with how many values there are up to it, itself included.
    func ordered() -> [(key: UInt64, end: Int)] {
        var result: [(key: UInt64, end: Int)] = []
        result.reserveCapacity(distinctCount)
        forEach { result.append(($0, $1)) }
        result.sort { $0.key < $1.key }
        var end = 0
        for index in result.indices {
            end += result[index].end
            result[index].end = end
        }
        return result
    }
}
