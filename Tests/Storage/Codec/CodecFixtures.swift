// Columns of every shape, and round trips through the codecs that own their memory.

import ApusStorage
import ApusTestKit

/// A column with its own memory.
struct TestColumn {
    var type: FieldType
    var slots: [UInt64]
    var validity: [UInt8]?
    var bytes: [UInt8] = []

    func withSlice<R>(_ body: (ColumnSlice) throws -> R) rethrows -> R {
        // An empty array's pointer may be nil; a slice's isn't.
        let padded = slots + [0]
        let paddedBytes = bytes + [0]
        return try padded.withUnsafeBufferPointer { slotBuffer in
            try paddedBytes.withUnsafeBufferPointer { byteBuffer in
                try (validity ?? [0]).withUnsafeBufferPointer { validityBuffer in
                    try body(
                        ColumnSlice(
                            type: type, count: slots.count, values: slotBuffer.start,
                            validity: validity == nil ? nil : validityBuffer.start,
                            stringBytes: type == .string ? byteBuffer.start : nil))
                }
            }
        }
    }

    /// What a row holds, comparable between columns; nil where it is absent.
    func row(_ index: Int) -> [UInt8]? {
        if let validity, validity[index] == 0 { return nil }
        if type == .string {
            let slot = StringSlot(rawValue: slots[index])
            return Array(bytes[slot.offset..<(slot.offset + slot.length)])
        }
        return withUnsafeBytes(of: slots[index]) { Array($0) }
    }

    static func strings(_ texts: [[UInt8]]) -> TestColumn {
        var column = TestColumn(type: .string, slots: [])
        for text in texts {
            column.slots.append(
                StringSlot(offset: column.bytes.count, length: text.count).rawValue)
            column.bytes += text
        }
        return column
    }
}

struct Encoded {
    var encoding: Encoding
    var payload: [UInt8]
}

func encode(_ column: TestColumn, _ level: EncodeOptions.Level = .hot) -> Encoded {
    var writer = ByteWriter()
    let encoding = column.withSlice {
        ColumnCodec.encode($0, options: EncodeOptions(level: level), into: &writer)
    }
    return Encoded(encoding: encoding, payload: writer.bytes)
}

/// The decoded column and what `decode` returned. Canaries stand behind the room a decoder may use.
func decode(
    _ encoded: Encoded, type: FieldType, count: Int, symbols: SymbolDecoder? = nil
) throws(CodecError) -> (column: TestColumn, present: Int) {
    let canary: UInt64 = 0xDEAD_BEEF_0BAD_F00D
    var slots = [UInt64](repeating: canary, count: count + 72)
    var validity = [UInt8](repeating: 0xAA, count: count + 72)
    var strings: [UInt8] = [7, 7, 7]
    var outcome = Result<Int, CodecError>.success(0)
    // The payload is copied to memory of exactly its size, so that a sanitizer sees overreads.
    let exact = UnsafeMutableRawBufferPointer.allocate(
        byteCount: encoded.payload.count, alignment: 1)
    defer { exact.deallocate() }
    exact.copyBytes(from: encoded.payload)
    slots.withUnsafeMutableBufferPointer { slotBuffer in
        validity.withUnsafeMutableBufferPointer { validityBuffer in
            do throws(CodecError) {
                outcome = .success(
                    try ColumnCodec.decode(
                        encoded.encoding, UnsafeRawBufferPointer(exact), type: type, count: count,
                        symbols: symbols, values: slotBuffer.start,
                        validity: validityBuffer.start, strings: &strings))
            } catch {
                outcome = .failure(error)
            }
        }
    }
    precondition(slots[(count + 64)...].allSatisfy { $0 == canary }, "slots overrun")
    precondition(validity[(count + 64)...].allSatisfy { $0 == 0xAA }, "validity overrun")
    let present = try outcome.get()
    if present == count {
        precondition(validity.allSatisfy { $0 == 0xAA }, "validity touched")
    }
    let column = TestColumn(
        type: type, slots: Array(slots[..<count]),
        validity: present == count ? nil : Array(validity[..<count]), bytes: strings)
    return (column, present)
}

/// Some blocks of a column as a segment has them, in a cold one under a symbol table.
struct CodedColumn {
    let stretch: StretchWriter.Stretch
    let table: SymbolTable?
    let decoder: SymbolDecoder?

    init(_ blocks: [TestColumn], _ level: EncodeOptions.Level = .cold) throws {
        var writer = StretchWriter()
        for block in blocks {
            block.withSlice { _ = writer.append($0, EncodeOptions(level: level)) }
        }
        stretch = writer.finish { _, _, _, _, _ in }
        guard stretch.tableByteCount > 0 else {
            (table, decoder) = (nil, nil)
            return
        }
        let table = try Self.readTable(Array(stretch.bytes[..<(stretch.tableByteCount - 4)]))
        (self.table, decoder) = (table, SymbolDecoder(table))
    }

    static func readTable(_ bytes: [UInt8]) throws -> SymbolTable {
        try bytes.withUnsafeBytes {
            var reader = ByteReader($0)
            return try SymbolTable.read(&reader)
        }
    }

    func payload(_ index: Int) -> Encoded {
        let start =
            stretch.tableByteCount
            + stretch.payloads[..<index].reduce(0) { $0 + $1.byteCount }
        let payload = stretch.payloads[index]
        return Encoded(
            encoding: payload.encoding,
            payload: Array(stretch.bytes[start..<(start + payload.byteCount)]))
    }

    var isCoded: Bool { stretch.tableByteCount > 0 }
}

func encodeTimes(_ times: [Int64]) -> Encoded {
    var writer = ByteWriter()
    let encoding = times.withUnsafeBufferPointer { TimestampCodec.encode($0, into: &writer) }
    return Encoded(encoding: encoding, payload: writer.bytes)
}

func decodeTimes(_ encoded: Encoded, count: Int) throws(CodecError) -> [Int64] {
    let canary: Int64 = 0x0BAD_F00D
    var times = [Int64](repeating: canary, count: count + 8)
    var failure: CodecError?
    times.withUnsafeMutableBufferPointer { buffer in
        encoded.payload.withUnsafeBytes { bytes in
            do throws(CodecError) {
                try TimestampCodec.decode(
                    encoded.encoding, bytes, count: count, into: buffer.start)
            } catch {
                failure = error
            }
        }
    }
    precondition(times[count...].allSatisfy { $0 == canary }, "times overrun")
    if let failure { throw failure }
    return Array(times[..<count])
}

/// Lengths at which layouts and words begin and end.
let edgeLengths = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 360, 720, 1023, 1024, 1025, 2050]

enum Shapes {
    static let specialDoubles: [UInt64] = [
        0, 0x8000_0000_0000_0000, Double.infinity.bitPattern, (-Double.infinity).bitPattern,
        Double.nan.bitPattern, 0x7FF0_0000_0000_0001, 0xFFF8_1234_5678_9ABC, 1,
        0x000F_FFFF_FFFF_FFFF,
        Double.greatestFiniteMagnitude.bitPattern, Double.leastNormalMagnitude.bitPattern,
        (0.1).bitPattern, (-0.3).bitPattern, (1e22).bitPattern,
        (9_007_199_254_740_993.0).bitPattern,
        (2_251_799_813_685_248.0).bitPattern, (-2_251_799_813_685_248.0).bitPattern, UInt64.max,
    ]

    static func integers(_ count: Int, _ random: inout SeededRandom) -> [(String, [UInt64])] {
        var shapes: [(String, [UInt64])] = []
        func add(_ name: String, _ make: (Int) -> UInt64) {
            shapes.append((name, (0..<count).map(make)))
        }
        add("constant") { _ in 42 }
        add("negative constant") { _ in UInt64(bitPattern: -5) }
        add("ascending") { UInt64($0) &* 17 }
        add("steep") { UInt64($0) &* 0x0123_4567_89AB_CDEF }
        add("extremes") { [UInt64.max, 0, 1 << 63, (1 << 63) - 1, 1][$0 % 5] }
        var generator = random
        for width in [1, 2, 3, 7, 8, 9, 13, 16, 17, 29, 30, 31, 33, 52, 57, 58, 59, 63, 64] {
            let mask = width == 64 ? UInt64.max : (1 << UInt64(width)) - 1
            add("noise of \(width) bits") { _ in generator.next() & mask }
            add("noise of \(width) bits with outliers") { _ in
                generator.oneIn(40) ? generator.next() : 1000 &+ generator.next() & mask
            }
        }
        add("walk") { _ in 0 }
        var level: Int64 = 50
        shapes[shapes.count - 1].1 = (0..<count).map { _ in
            level = max(0, min(100, level + Int64(generator.normal().rounded())))
            return UInt64(bitPattern: level)
        }
        var counter: UInt64 = 0
        add("counter with resets") { _ in
            counter = generator.oneIn(200) ? 0 : counter &+ 100 &+ generator.next() % 16
            return counter
        }
        var state: UInt64 = 0
        add("seldom changing") { _ in
            if generator.oneIn(100) { state = generator.next() % 3 }
            return state
        }
        add("one outlier") { $0 == count / 2 ? UInt64.max - 3 : 5 }
        random = generator
        return shapes
    }

    static func floats(_ count: Int, _ random: inout SeededRandom) -> [(String, [UInt64])] {
        var generator = random
        var shapes: [(String, [UInt64])] = []
        func add(_ name: String, _ make: (Int) -> UInt64) {
            shapes.append((name, (0..<count).map(make)))
        }
        add("special") { specialDoubles[$0 % specialDoubles.count] }
        add("any bits") { _ in generator.next() }
        add("unit noise") { _ in generator.unit().bitPattern }
        for (digits, scale) in [(0, 1.0), (1, 10), (2, 100), (5, 1e5), (9, 1e9), (14, 1e14)] {
            var level = 50.0
            add("walk with \(digits) decimals") { _ in
                level += generator.normal()
                return ((level * scale).rounded() / scale).bitPattern
            }
            add("walk with \(digits) decimals and specials") { _ in
                level += generator.normal()
                return generator.oneIn(20)
                    ? specialDoubles[generator.below(specialDoubles.count)]
                    : ((level * scale).rounded() / scale).bitPattern
            }
        }
        add("zeros of both signs") { _ in generator.oneIn(2) ? 0 : 1 << 63 }
        add("NaNs") { _ in generator.oneIn(2) ? Double.nan.bitPattern : 0x7FF8_0000_0000_0055 }
        var plateau = 1.5
        add("plateaus") { _ in
            if generator.oneIn(50) { plateau = generator.unit() }
            return plateau.bitPattern
        }
        random = generator
        return shapes
    }

    static func texts(_ count: Int, _ random: inout SeededRandom) -> [(String, [[UInt8]])] {
        var generator = random
        var shapes: [(String, [[UInt8]])] = []
        func add(_ name: String, _ make: (Int) -> [UInt8]) {
            shapes.append((name, (0..<count).map(make)))
        }
        add("empty") { _ in [] }
        add("one") { _ in Array("running".utf8) }
        add("states") { _ in Array(["ok", "degraded", "failed", ""][generator.below(4)].utf8) }
        add("ids") { Array("request-\($0)-\(generator.next())".utf8) }
        add("lines") { Array("GET /api/v1/items/\($0 % 100) HTTP/1.1 status=200 user=anna".utf8) }
        add("any bytes") { _ in
            (0..<generator.below(40)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        }
        add("one long") { $0 == 0 ? [UInt8](repeating: 65, count: 100_000) : [66] }
        random = generator
        return shapes
    }

    static func validity(_ count: Int, _ random: inout SeededRandom) -> [[UInt8]?] {
        var generator = random
        defer { random = generator }
        return [
            nil,
            [UInt8](repeating: 1, count: count),
            [UInt8](repeating: 0, count: count),
            (0..<count).map { _ in generator.oneIn(3) ? 0 : 1 },
            (0..<count).map { _ in generator.oneIn(30) ? 1 : 0 },
            (0..<count).map { $0 < count / 3 ? 0 : 1 },
            (0..<count).map { $0 < count / 2 ? 1 : 0 },
        ]
    }
}

extension UnsafeBufferPointer {
    /// Where the elements begin; the arrays of these fixtures are never empty.
    fileprivate var start: UnsafePointer<Element> {
        guard let baseAddress else { preconditionFailure("BUG: an empty fixture") }
        return baseAddress
    }
}

extension UnsafeMutableBufferPointer {
    /// Where the elements begin; the arrays of these fixtures are never empty.
    fileprivate var start: UnsafeMutablePointer<Element> {
        guard let baseAddress else { preconditionFailure("BUG: an empty fixture") }
        return baseAddress
    }
}
