// A packed array is a column of the block directory: one number a block, as narrow as they allow.
//
//     value[i] == base + factor × element[i]        (64 bits, wrapping)
//
// Descriptor, in the directory's head
//
//     field     size     meaning
//     ────────  ───────  ──────────────────────────────────────────────────────
//     width     1        bits 0–6: bytes an element: 0, 1, 2, 3, 4 or 8; bit 7: decimals
//     exponent  1        only of decimals: 0 ... 22
//     base      varint   zig-zag; the smallest value, or the only one
//     factor    varint   only if width > 0; at least 1
//
// Elements, behind all descriptors: `count` little-endian numbers of `width` bytes, the first at a
// multiple of `width` from the directory's start (any byte for 3). Width 0 has none: all values are
// `base`. The values of decimals are integers of 52 bits with a sign, and stand for the bits of the
// double integer / 10^exponent, rounded once. Format 1 has neither decimals nor width 3.
//
// Why: most statistics of a column need a byte or two. The factor is the greatest common divisor of
// the distances, so that times on a 10 s raster or sizes in KiB stay narrow too. A scan compares
// elements where they lie, with the bound brought into the element's scale.

/// A narrow array over mapped memory.
///
/// Safe: `elements` points into a mapping that the owner of the array (`BlockDirectory`) retains,
/// and the parser has checked that `count` elements lie inside.
package struct PackedArray: @unchecked Sendable {
    package let elements: UnsafeRawPointer
    package let count: Int
    package let width: Int
    package let base: UInt64
    package let factor: UInt64
    /// What integers are divided by; 0 where the values are not decimals.
    var power = 0.0

    /// One value. The index is the caller's duty; outside `0 ..< count` is a bug and stops.
    @inline(__always)
    package subscript(index: Int) -> UInt64 {
        precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "BUG: no such block")
        let element: UInt64 =
            switch width {
            case 0: 0
            case 1: UInt64(elements.load(fromByteOffset: index, as: UInt8.self))
            case 2: UInt64(UInt16(littleEndian: loadElement(index)))
            case 3: loadThree(index)
            case 4: UInt64(UInt32(littleEndian: loadElement(index)))
            default: UInt64(littleEndian: loadElement(index))
            }
        let value = base &+ factor &* element
        return power == 0 ? value : DecimalCodec.restore(value, power)
    }

    @inline(__always)
    private func loadThree(_ index: Int) -> UInt64 {
        UInt64(elements.load(fromByteOffset: index &* 3, as: UInt8.self))
            | UInt64(elements.load(fromByteOffset: index &* 3 &+ 1, as: UInt8.self)) &<< 8
            | UInt64(elements.load(fromByteOffset: index &* 3 &+ 2, as: UInt8.self)) &<< 16
    }

    @inline(__always)
    private func loadElement<T: FixedWidthInteger>(_ index: Int) -> T {
        elements.loadUnaligned(fromByteOffset: index &* MemoryLayout<T>.size, as: T.self)
    }

    /// Widens a range of values into memory with room for them: one vectorisable pass.
    package func copy(_ range: Range<Int>, into values: UnsafeMutablePointer<UInt64>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "BUG: no such blocks")
        guard power == 0, width != 3 else {
            for index in 0..<range.count { values[index] = self[range.lowerBound + index] }
            return
        }
        switch width {
        case 0: values.update(repeating: base, count: range.count)
        case 1: widen(range, from: UInt8.self, into: values)
        case 2: widen(range, from: UInt16.self, into: values)
        case 4: widen(range, from: UInt32.self, into: values)
        default: widen(range, from: UInt64.self, into: values)
        }
    }

    private func widen<T: FixedWidthInteger & UnsignedInteger>(
        _ range: Range<Int>, from: T.Type, into values: UnsafeMutablePointer<UInt64>
    ) {
        let source = elements + range.lowerBound &* MemoryLayout<T>.size
        for index in 0..<range.count {
            let element = T(
                littleEndian: source.loadUnaligned(
                    fromByteOffset: index &* MemoryLayout<T>.size, as: T.self))
            values[index] = base &+ factor &* UInt64(truncatingIfNeeded: element)
        }
    }
}

/// Copies of arrays, in memory that can't fail.
///
/// Counts of rows and places of blocks are read several times and have to agree each time: a page
/// of the mapping that turns into zeros in between must not change them.
///
/// Safe: the copies point into memory that lives as long as this, whose owner hands both out.
final class OwnedArrays: @unchecked Sendable {
    let arrays: [PackedArray]
    private let memory: UnsafeMutableRawPointer

    init(copying arrays: ArraySlice<PackedArray>) {
        let byteCount = arrays.reduce(0) { $0 + $1.count * $1.width }
        memory = .allocate(byteCount: max(1, byteCount), alignment: 8)
        var next = memory
        var copies: [PackedArray] = []
        for array in arrays {
            let size = array.count * array.width
            next.copyMemory(from: array.elements, byteCount: size)
            copies.append(
                PackedArray(
                    elements: UnsafeRawPointer(next), count: array.count, width: array.width,
                    base: array.base, factor: array.factor, power: array.power))
            next += size
        }
        self.arrays = copies
    }

    deinit { memory.deallocate() }
}

/// Chooses base, factor and width of arrays and collects their descriptors and elements.
struct PackedArrayWriter {
    private var descriptors = ByteWriter()
    private var elements = ByteWriter()

    /// - Parameter isSigned: Whether the smallest value is taken as of two's complement.
    /// - Parameter isFloat: Whether they are doubles' bits.
    mutating func append(_ values: [UInt64], isSigned: Bool = false, isFloat: Bool = false) {
        guard isFloat, let decimals = DecimalCodec.integers(values) else {
            append(values, isSigned: isSigned, exponent: nil)
            return
        }
        append(decimals.integers, isSigned: true, exponent: decimals.exponent)
    }

    private mutating func append(_ values: [UInt64], isSigned: Bool, exponent: Int?) {
        guard let first = values.first else {
            appendDescriptor(width: 0, base: 0, factor: 1, exponent: exponent)
            return
        }
        var base = first
        for value in values {
            let isLower =
                isSigned
                ? Int64(bitPattern: value) < Int64(bitPattern: base) : value < base
            if isLower { base = value }
        }
        var largest: UInt64 = 0
        var divisor: UInt64 = 0
        for value in values {
            let distance = value &- base
            largest = max(largest, distance)
            if divisor != 1 { divisor = CommonDivisor.greatest(divisor, distance) }
        }
        var factor = max(divisor, 1)
        let width = Self.width(largest / factor)
        if Self.width(largest) == width { factor = 1 }
        appendDescriptor(width: width, base: base, factor: factor, exponent: exponent)
        guard width > 0 else { return }
        if width != 3 { elements.alignTo(width) }
        for value in values {
            let element = (value &- base) / factor
            switch width {
            case 1: elements.append(UInt8(truncatingIfNeeded: element))
            case 2: elements.append(UInt16(truncatingIfNeeded: element))
            case 3:
                elements.append(UInt16(truncatingIfNeeded: element))
                elements.append(UInt8(truncatingIfNeeded: element >> 16))
            case 4: elements.append(UInt32(truncatingIfNeeded: element))
            default: elements.append(element)
            }
        }
    }

    private mutating func appendDescriptor(
        width: Int, base: UInt64, factor: UInt64, exponent: Int?
    ) {
        descriptors.append(UInt8(width) | (exponent == nil ? 0 : PackedArrayParser.decimalsFlag))
        if let exponent { descriptors.append(UInt8(exponent)) }
        descriptors.appendSignedVarint(Int64(bitPattern: base))
        if width > 0 { descriptors.appendVarint(factor) }
    }

    /// Puts all descriptors, then, from a multiple of eight bytes, all elements.
    func write(to writer: inout ByteWriter) {
        writer.append(descriptors.bytes)
        writer.alignTo(SegmentLayout.alignment)
        writer.append(elements.bytes)
    }

    static func width(_ value: UInt64) -> Int {
        switch value {
        case 0: 0
        case ...0xFF: 1
        case ...0xFFFF: 2
        case ...0xFF_FFFF: 3
        case ...0xFFFF_FFFF: 4
        default: 8
        }
    }
}

/// Reads the descriptors of a directory's arrays and lays the arrays out over its bytes.
struct PackedArrayParser {
    static let decimalsFlag: UInt8 = 0x80

    private var descriptors: [(width: Int, base: UInt64, factor: UInt64, power: Double)] = []

    mutating func readDescriptors(
        _ count: Int, from reader: inout ByteReader
    ) throws(ByteReader.Malformed) {
        // A descriptor has two bytes at least, which bounds what is allocated.
        guard count <= reader.remaining / 2 else {
            throw .init(offset: reader.offset, reason: "\(count) array descriptors do not fit")
        }
        descriptors.reserveCapacity(count)
        for _ in 0..<count {
            let start = reader.offset
            let head = try reader.read(UInt8.self)
            let width = Int(head & ~Self.decimalsFlag)
            var power = 0.0
            if head & Self.decimalsFlag != 0 {
                let exponent = Int(try reader.read(UInt8.self))
                guard exponent <= DecimalCodec.exponentMax else {
                    throw .init(offset: start, reason: "ten to the power of \(exponent)")
                }
                power = DecimalCodec.powers[exponent]
            }
            let base = UInt64(bitPattern: try reader.readSignedVarint())
            let factor = width > 0 ? try reader.readVarint() : 1
            guard [0, 1, 2, 3, 4, 8].contains(width), factor > 0 else {
                throw .init(offset: start, reason: "an impossible array descriptor")
            }
            descriptors.append((width, base, factor, power))
        }
    }

    /// - Parameter offset: Where the elements begin in `bytes`.
    /// - Parameter count: How many values an array has.
    /// - Returns: The arrays; they end where `bytes` end.
    func arrays(
        over bytes: UnsafeRawBufferPointer, offset: Int, count: (Int) -> Int
    ) throws(ByteReader.Malformed) -> [PackedArray] {
        guard let start = bytes.baseAddress else {
            throw .init(offset: 0, reason: "no bytes")
        }
        var arrays: [PackedArray] = []
        arrays.reserveCapacity(descriptors.count)
        var position = offset
        for (index, (width, base, factor, power)) in descriptors.enumerated() {
            let count = count(index)
            if width > 1, width != 3 {
                let aligned = (position + width - 1) / width * width
                for index in position..<min(aligned, bytes.count) where bytes[index] != 0 {
                    throw .init(offset: index, reason: "padding is not zero")
                }
                position = aligned
            }
            guard position <= bytes.count,
                count <= (bytes.count - position) / max(width, 1) || width == 0
            else { throw .init(offset: position, reason: "an array passes the directory's end") }
            // Safe: `count` elements of `width` bytes from `position` were just checked to fit.
            arrays.append(
                PackedArray(
                    elements: start + position, count: count, width: width, base: base,
                    factor: factor, power: power))
            position += width * count
        }
        guard position == bytes.count else {
            throw .init(offset: position, reason: "bytes behind the directory's last array")
        }
        return arrays
    }
}
