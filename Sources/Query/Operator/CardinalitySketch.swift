// Approximate numbers of distinct values in bounded memory.
//
// Safe: runs hold pointers to at least `count` slots, as `ColumnRun` promises.

internal import ApusStorage
internal import Glibc

/// A HyperLogLog (Flajolet, Fusy, Gandouet, Meunier: "HyperLogLog: the analysis of a near-optimal
/// cardinality estimation algorithm", 2007) over 64-bit hashes, with 2¹⁴ registers.
///
/// Up to `exactMax` values their hashes are kept, and the answer is exact. Beyond that the standard error
/// is 1.04 / √16,384 = 0.8 %. The estimate is linear counting for small cardinalities, as in the paper,
/// but passes into the harmonic mean without a seam: Ertl, "New cardinality estimation algorithms for
/// HyperLogLog sketches" (2017). Hashes of 64 bits need no correction for large ones. Sketches add up in
/// any order to the same state. Memory is at most 16 KB for hashes, then 16 KB for registers.
struct CardinalitySketch {
    static let exactMax = 1_024
    private static let indexBits = 14
    /// A register is at most the number of bits left, and one.
    private static let rankMax = 64 - indexBits + 1

    private var hashes: Set<UInt64> = []
    private var registers: [UInt8] = []

    var byteCount: Int { registers.isEmpty ? hashes.capacity * 12 : registers.count }

    mutating func add(_ hash: UInt64) {
        guard registers.isEmpty else { return raise(hash) }
        hashes.insert(hash)
        if hashes.count > Self.exactMax { spill() }
    }

    private mutating func spill() {
        registers = [UInt8](repeating: 0, count: 1 << Self.indexBits)
        for hash in hashes { raise(hash) }
        hashes = []
    }

    private mutating func raise(_ hash: UInt64) {
        let index = Int(truncatingIfNeeded: hash >> UInt64(64 - Self.indexBits))
        let rest = hash << UInt64(Self.indexBits)
        let rank = UInt8(min(rest.leadingZeroBitCount + 1, Self.rankMax))
        if rank > registers[index] { registers[index] = rank }
    }

    mutating func merge(_ other: CardinalitySketch) {
        if other.registers.isEmpty {
            for hash in other.hashes { add(hash) }
            return
        }
        if registers.isEmpty { spill() }
        for index in registers.indices where other.registers[index] > registers[index] {
            registers[index] = other.registers[index]
        }
    }

    var estimate: Int {
        guard !registers.isEmpty else { return hashes.count }
        let size = Double(registers.count)
        var histogram = [Int](repeating: 0, count: Self.rankMax + 1)
        for register in registers { histogram[Int(register)] += 1 }
        var sum = size * Self.tau(1 - Double(histogram[Self.rankMax]) / size)
        for rank in (1..<Self.rankMax).reversed() { sum = (sum + Double(histogram[rank])) / 2 }
        sum += size * Self.sigma(Double(histogram[0]) / size)
        // Not infinite, since a value was seen.
        return Int((size / (2 * log(2)) * size / sum).rounded())
    }

    /// x + Σ x^(2ᵏ) · 2ᵏ⁻¹ for k ≥ 1.
    private static func sigma(_ x: Double) -> Double {
        if x == 1 { return .infinity }
        var (power, weight, sum) = (x, 1.0, x)
        while true {
            power *= power
            let before = sum
            sum += power * weight
            weight *= 2
            if sum == before { return sum }
        }
    }

    /// (1 − x − Σ (1 − x^(2⁻ᵏ))² · 2⁻ᵏ) / 3 for k ≥ 1.
    private static func tau(_ x: Double) -> Double {
        if x == 0 || x == 1 { return 0 }
        var (root, weight, sum) = (x, 1.0, 1 - x)
        while true {
            root = root.squareRoot()
            let before = sum
            weight /= 2
            sum -= (1 - root) * (1 - root) * weight
            if sum == before { return sum / 3 }
        }
    }
}

/// approx_count_distinct(x).
struct CardinalityStates: GroupStates {
    private let type: ResultType
    private var sketches: [CardinalitySketch] = []
    private(set) var looseBytes = 0

    init(_ call: AggregateCall) { type = call.argument?.type ?? .int64 }

    var bytesPerGroup: Int { 16 }

    mutating func resize(_ groupCount: Int) { sketches.grow(to: groupCount, CardinalitySketch()) }

    /// With a seed of its own, so that every process gives the same answer.
    private static func hash(_ base: UnsafeRawPointer, _ count: Int) -> UInt64 {
        // The last step of MurmurHash3 (Appleby): registers are chosen by the upper bits alone.
        var mixed = KeyHash.hash(base, count, seed: 0x5851_F42D_4C95_7F2D)
        mixed = (mixed ^ mixed >> 33) &* 0xFF51_AFD7_ED55_8CCD
        mixed = (mixed ^ mixed >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return mixed ^ mixed >> 33
    }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        let run = rows.values
        looseBytes -= sketches[group].byteCount
        var previous: UInt64?
        for row in 0..<run.count where run.isValid(row) {
            var slot = run.values[row]
            // The same number, or the same place of a dictionary.
            if slot == previous { continue }
            previous = slot
            if type == .interval {
                let bytes = IntervalValue(run.bytes(row)).canonical.bytes
                sketches[group].add(
                    bytes.withUnsafeBytes { bytes in
                        bytes.baseAddress.map { Self.hash($0, bytes.count) } ?? 0
                    })
            } else if type.usesBytes {
                let bytes = run.bytes(row)
                // An empty string may have no place.
                let base = bytes.isEmpty ? nil : bytes.baseAddress
                sketches[group].add(base.map { Self.hash($0, bytes.count) } ?? 0)
            } else {
                if type == .float64 { slot = KeyEncoder.canonical(slot) }
                sketches[group].add(
                    withUnsafeBytes(of: &slot) { bytes in
                        bytes.baseAddress.map { Self.hash($0, 8) } ?? 0
                    })
            }
        }
        looseBytes += sketches[group].byteCount
    }

    mutating func merge(_ other: CardinalityStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated() {
            looseBytes -= sketches[group].byteCount
            sketches[group].merge(other.sketches[from])
            looseBytes += sketches[group].byteCount
        }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        builder.append(UInt64(bitPattern: Int64(sketches[group].estimate)))
    }
}
