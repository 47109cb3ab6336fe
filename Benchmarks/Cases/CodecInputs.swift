// Columns that take each encoding, cut into blocks as a segment has them. Only integer arithmetic
// makes them: a mathematical function may differ in its last bit from one C library to the next.

import ApusStorage
import ApusTestKit

/// Blocks of one column. Never empty.
struct ColumnBlocks {
    static let rowsPerBlock = 1_024

    let type: FieldType
    let slots: [UInt64]
    /// What the slots of strings point into.
    private(set) var text: [UInt8] = [0]

    var blockCount: Int { slots.count / Self.rowsPerBlock }

    init(type: FieldType, _ size: CaseSize, seed: UInt64, _ make: (inout SeededRandom) -> UInt64) {
        var random = SeededRandom(seed: seed)
        self.type = type
        slots = (0..<size.choose(2, 256) * Self.rowsPerBlock).map { _ in make(&random) }
    }

    init(
        texts: [String], _ size: CaseSize, seed: UInt64
    ) {
        var places: [UInt64] = []
        var bytes: [UInt8] = []
        for text in texts {
            places.append(StringSlot(offset: bytes.count, length: text.utf8.count).rawValue)
            bytes += Array(text.utf8)
        }
        self.init(type: .string, size, seed: seed) { places[$0.below(places.count)] }
        text = bytes
    }

    /// Safe: the pointers of the slices are valid during the call, and the arrays are not empty.
    func forEachBlock(_ body: (ColumnSlice) throws -> Void) throws {
        try slots.withUnsafeBufferPointer { slots in
            try text.withUnsafeBufferPointer { text in
                guard let base = slots.baseAddress else { return }
                for block in 0..<blockCount {
                    try body(
                        ColumnSlice(
                            type: type, count: Self.rowsPerBlock,
                            values: base + block * Self.rowsPerBlock, validity: nil,
                            stringBytes: type == .string ? text.baseAddress : nil))
                }
            }
        }
    }
}

extension SeededRandom {
    /// About normal, mean 0: the deviation is half the root of `bits`, which are at most 64.
    mutating func step(bits: Int) -> Int {
        (next() >> UInt64(64 - bits)).nonzeroBitCount - bits / 2
    }
}

extension ColumnBlocks {
    /// Whole percents that walk, as counters of load do.
    static func integerWalk(_ size: CaseSize) -> ColumnBlocks {
        var level = 50
        return ColumnBlocks(type: .int64, size, seed: 11) { random in
            level = max(0, min(100, level + random.step(bits: 4)))
            return UInt64(bitPattern: Int64(level))
        }
    }

    static func integerNoise(_ size: CaseSize) -> ColumnBlocks {
        ColumnBlocks(type: .int64, size, seed: 12) { $0.next() % 1000 }
    }

    /// Two decimals that walk by about one, in steps of a hundredth.
    static func decimalWalk(_ size: CaseSize) -> ColumnBlocks {
        var hundredths = 5_000
        return ColumnBlocks(type: .float64, size, seed: 13) { random in
            hundredths = max(
                0, min(10_000, hundredths + random.step(bits: 64) * 25 + random.below(25) - 12))
            return (Double(hundredths) / 100).bitPattern
        }
    }

    /// Doubles with all their digits, that often stay for a while.
    static func doublePlateaus(_ size: CaseSize) -> ColumnBlocks {
        var level = 0.5
        return ColumnBlocks(type: .float64, size, seed: 14) { random in
            if random.oneIn(3) { level = random.unit() }
            return level.bitPattern
        }
    }

    static func constant(_ size: CaseSize) -> ColumnBlocks {
        ColumnBlocks(type: .float64, size, seed: 15) { _ in (42.5).bitPattern }
    }

    static func booleans(_ size: CaseSize) -> ColumnBlocks {
        ColumnBlocks(type: .bool, size, seed: 16) { $0.next() & 1 }
    }

    static func states(_ size: CaseSize) -> ColumnBlocks {
        ColumnBlocks(
            texts: ["running", "stopped", "paused", "prelaunch", "suspended", "unknown"], size,
            seed: 17)
    }
}

/// Times of blocks of one series, nanoseconds.
struct TimeBlocks {
    let times: [Int64]

    var blockCount: Int { times.count / ColumnBlocks.rowsPerBlock }

    init(_ size: CaseSize, jitterMilliseconds: Int) {
        var random = SeededRandom(seed: 18)
        let start: Int64 = 1_700_000_000_000_000_000
        times = (0..<size.choose(2, 256) * ColumnBlocks.rowsPerBlock).map { row in
            let jitter = jitterMilliseconds > 0 ? Int64(random.below(jitterMilliseconds)) : 0
            return start + Int64(row) * 10_000_000_000 + jitter * 1_000_000
        }
    }

    /// Safe: each buffer is valid during its call.
    func forEachBlock(_ body: (UnsafeBufferPointer<Int64>) throws -> Void) throws {
        let rows = ColumnBlocks.rowsPerBlock
        try times.withUnsafeBufferPointer { times in
            for block in 0..<blockCount {
                try body(
                    UnsafeBufferPointer(rebasing: times[block * rows..<(block + 1) * rows]))
            }
        }
    }
}
