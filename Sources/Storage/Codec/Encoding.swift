// The registry of block encodings: what the number beside a block's bytes means.

/// Number on disk of an encoding. The registry is open: numbers are added, never reused, and a
/// reader refuses those it doesn't know as unsupported. `docs/format.md` draws each.
package struct Encoding: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    // Columns
    /// All present values are the same, or none is present.
    package static let constant = Encoding(rawValue: 1)
    /// Bit-packed over a frame of reference.
    package static let packed = Encoding(rawValue: 2)
    /// Deltas, bit-packed over a frame of reference.
    package static let deltaPacked = Encoding(rawValue: 3)
    /// float64: XOR with the value before, in one stream of bits. Only read.
    package static let gorilla = Encoding(rawValue: 4)
    /// float64: integers divided by a power of ten.
    package static let decimal = Encoding(rawValue: 5)
    /// bool: a bit a value.
    package static let booleanBitmap = Encoding(rawValue: 6)
    /// string: distinct strings and a bit-packed code a value.
    package static let dictionary = Encoding(rawValue: 7)
    /// string: lengths and bytes.
    package static let rawStrings = Encoding(rawValue: 8)

    /// Deltas under the symbol table of the column's group of blocks.
    package static let deltaCoded = Encoding(rawValue: 9)

    /// float64: XOR with the value before, flags apart.
    package static let splitGorilla = Encoding(rawValue: 10)

    /// A nested frame: differences of differences, or integers divided by a common factor.
    package static let nested = Encoding(rawValue: 11)

    /// string: hexadecimal numbers or UUIDs as bytes.
    package static let hexStrings = Encoding(rawValue: 12)

    /// string: a dictionary of those.
    package static let hexDictionary = Encoding(rawValue: 13)

    // Any column's payload, compressed as a whole
    package static let lz4 = Encoding(rawValue: 32)
    package static let zstd = Encoding(rawValue: 33)

    // Times
    /// Start and step.
    package static let regularTimes = Encoding(rawValue: 64)
    /// Deltas, bit-packed.
    package static let deltaTimes = Encoding(rawValue: 65)
    /// Differences of deltas, bit-packed.
    package static let deltaOfDelta = Encoding(rawValue: 66)
    /// Distances from a line, bit-packed: regular times that jitter.
    package static let linearTimes = Encoding(rawValue: 67)
    /// The first few times, over and over: series sampled together.
    package static let repeatedTimes = Encoding(rawValue: 68)
    /// Distinct times and a bit-packed code a row.
    package static let dictionaryTimes = Encoding(rawValue: 69)

    /// The encoding's name in tools and messages.
    package var name: String {
        switch self {
        case .constant: "constant"
        case .packed: "packed"
        case .deltaPacked: "deltaPacked"
        case .gorilla: "gorilla"
        case .decimal: "decimal"
        case .booleanBitmap: "booleanBitmap"
        case .dictionary: "dictionary"
        case .rawStrings: "rawStrings"
        case .deltaCoded: "deltaCoded"
        case .splitGorilla: "splitGorilla"
        case .nested: "nested"
        case .hexStrings: "hexStrings"
        case .hexDictionary: "hexDictionary"
        case .lz4: "lz4"
        case .zstd: "zstd"
        case .regularTimes: "regularTimes"
        case .deltaTimes: "deltaTimes"
        case .deltaOfDelta: "deltaOfDelta"
        case .linearTimes: "linearTimes"
        case .repeatedTimes: "repeatedTimes"
        case .dictionaryTimes: "dictionaryTimes"
        default: "unknown(\(rawValue))"
        }
    }
}

/// A payload that cannot be decoded: damaged, or of an encoding that a newer release brought.
package struct CodecError: Error, Equatable, Sendable {
    package var reason: String
    /// The encoding's number is unknown to this release, so the bytes may well be good.
    package var isUnsupported: Bool

    package init(reason: String, isUnsupported: Bool = false) {
        self.reason = reason
        self.isUnsupported = isUnsupported
    }

    init(_ malformed: ByteReader.Malformed) {
        self.init(reason: "byte \(malformed.offset) of the payload: \(malformed.reason)")
    }

    static func unknown(_ encoding: Encoding) -> CodecError {
        CodecError(reason: "encoding \(encoding.rawValue) is unknown", isUnsupported: true)
    }
}

/// How much work an encoder may put into a block.
package struct EncodeOptions: Sendable {
    package enum Level: UInt8, Sendable {
        /// Fresh from the head, or to be merged again: quick to write, LZ4 around strings.
        case hot = 0
        /// Kept as it is written: symbol tables for numbers, Zstandard where it pays.
        case cold = 1
    }

    package var level: Level

    package init(level: Level = .hot) { self.level = level }
}

/// Room for numbers while a block is coded; freed at the end of its scope.
struct Scratch: ~Copyable {
    let pointer: UnsafeMutablePointer<UInt64>

    // Safe: owned by this value alone, and freed once.
    init(count: Int) { pointer = .allocate(capacity: count &+ 64) }

    deinit { pointer.deallocate() }

    /// The same for who hands it on.
    final class Shared {
        let scratch: Scratch
        init(count: Int) { scratch = Scratch(count: count) }
    }
}
