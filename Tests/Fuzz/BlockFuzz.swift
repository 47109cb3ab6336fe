// Distorted payloads of blocks under libFuzzer, which looks for inputs that reach new code. Compiled
// with the sources of Storage by scripts/fuzz-blocks.sh; libFuzzer brings `main`.
//
// An input: a byte for the type, one for the encoding, two for the number of rows; if the highest bit
// of the first is set, two for the size of a symbol table, and its bytes; then the payload.

import Glibc

/// Room for the largest block that is tried.
///
/// Safe: one thread uses it, and rows are kept below `rowsMax`.
enum Room {
    static let rowsMax = 4_096
    nonisolated(unsafe) static let values = UnsafeMutablePointer<UInt64>.allocate(
        capacity: rowsMax + 64)
    nonisolated(unsafe) static let validity = UnsafeMutablePointer<UInt8>.allocate(
        capacity: rowsMax + 64)
    nonisolated(unsafe) static let times = UnsafeMutablePointer<Int64>.allocate(
        capacity: rowsMax + 64)
    nonisolated(unsafe) private static var decoders: [[UInt8]: SymbolDecoder] = [:]

    /// Most inputs differ from others behind their tables, which take longer than all the rest.
    static func decoder(
        of table: UnsafeRawBufferPointer
    ) throws(ByteReader.Malformed) -> SymbolDecoder {
        let key = Array(table)
        if let known = decoders[key] { return known }
        var reader = ByteReader(table)
        let decoder = SymbolDecoder(try SymbolTable.read(&reader))
        if decoders.count >= 256 { decoders.removeAll() }
        decoders[key] = decoder
        return decoder
    }
}

/// Decodes one input. Whatever is thrown is an answer; what traps or never ends is not.
func decode(_ input: UnsafeRawBufferPointer) {
    var reader = ByteReader(input)
    do {
        let kind: UInt8 = try reader.read()
        let encoding = Encoding(rawValue: try reader.read())
        let rows = Int(try reader.read(UInt16.self)) % Room.rowsMax
        var symbols: SymbolDecoder?
        if kind & 0x80 != 0 {
            let size = Int(try reader.read(UInt16.self))
            symbols = try Room.decoder(of: try reader.readBytes(min(size, reader.remaining)))
        }
        let payload = try reader.readBytes(reader.remaining)
        guard let type = FieldType(rawValue: kind & 0x7F) else {
            try TimestampCodec.decode(encoding, payload, count: rows, into: Room.times)
            return
        }
        var strings: [UInt8] = []
        _ = try ColumnCodec.decode(
            encoding, payload, type: type, count: rows, symbols: symbols, values: Room.values,
            validity: Room.validity, strings: &strings)
    } catch {}
}

/// What encoders make of columns of many shapes.
func corpus() -> [[UInt8]] {
    var inputs: [[UInt8]] = []
    var state: UInt64 = 1
    func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 11
    }
    func add(_ type: FieldType, _ slots: [UInt64], text: [UInt8] = []) {
        for level in [EncodeOptions.Level.hot, .cold] {
            var writer = StretchWriter()
            slots.withUnsafeBufferPointer { slots in
                text.withUnsafeBufferPointer { text in
                    guard let values = slots.baseAddress else { return }
                    for _ in 0..<20 {
                        _ = writer.append(
                            ColumnSlice(
                                type: type, count: slots.count, values: values, validity: nil,
                                stringBytes: text.baseAddress), EncodeOptions(level: level))
                    }
                }
            }
            let stretch = writer.finish { _, _, _, _, _ in }
            guard let payload = stretch.payloads.last else { continue }
            let isCoded = stretch.tableByteCount > 0
            var input = ByteWriter()
            input.append(type.rawValue | (isCoded ? 0x80 : 0))
            input.append(payload.encoding.rawValue)
            input.append(UInt16(slots.count))
            if isCoded {
                input.append(UInt16(stretch.tableByteCount - 4))
                input.append(Array(stretch.bytes[..<(stretch.tableByteCount - 4)]))
            }
            input.append(Array(stretch.bytes.suffix(payload.byteCount)))
            inputs.append(input.bytes)
        }
    }
    func addTexts(_ texts: [String]) {
        var text: [UInt8] = []
        let slots = texts.map { part in
            defer { text += Array(part.utf8) }
            return StringSlot(offset: text.count, length: part.utf8.count).rawValue
        }
        add(.string, slots, text: text)
    }
    func hex(_ digits: Int) -> String {
        let text = String(next() | 1 << 52, radix: 16) + String(next() | 1 << 52, radix: 16)
        return String(text.suffix(digits))
    }
    for count in [1, 3, 20, 300] {
        let ids = (0..<count).map { _ in
            [8, 4, 4, 4, 12].map(hex).joined(separator: "-")
        }
        addTexts(ids)
        addTexts(ids.map { $0.uppercased() })
        addTexts(ids.indices.map { ids[$0 / 9] })
        addTexts(ids.indices.map { _ in hex(12) })
        addTexts(ids.indices.map { ["running", "stopped", ""][$0 * $0 % 3] })
        addTexts(ids.indices.map { "GET /things/\($0 * 37 % 130) 200 in \($0 % 9) ms" })
    }
    for count in [1, 3, 20, 300, 1_024] {
        var walk: Int64 = 50
        func step(_ reach: UInt64) -> UInt64 {
            walk += Int64(next() % (2 * reach + 1)) - Int64(reach)
            return UInt64(bitPattern: walk)
        }
        for type in [FieldType.int64, .uint64] {
            add(type, (0..<count).map { _ in step(2) })
            add(type, (0..<count).map { _ in step(5_000) })
            add(type, (0..<count).map { _ in step(100) &* 4_096 })
            add(type, (0..<count).map { _ in next() })
            add(type, (0..<count).map { _ in next() % 50 == 0 ? step(1 << 30) : step(1) })
            add(type, (0..<count).map { UInt64($0 * $0) })
        }
        add(
            .float64,
            (0..<count).map { _ in (Double(Int64(bitPattern: step(30))) / 100).bitPattern })
        add(.float64, (0..<count).map { _ in next() % 3 == 0 ? next() : 7 })
        add(.float64, (0..<count).map { _ in (Double(next() % 1_000) * 4_096).bitPattern })
        add(.bool, (0..<count).map { _ in next() & 1 })
        let times = (0..<count).map { Int64($0) * 10_000_000_000 + Int64(next() % 1_000) }
        var writer = ByteWriter()
        let encoding = times.withUnsafeBufferPointer { TimestampCodec.encode($0, into: &writer) }
        var input = ByteWriter()
        input.append(UInt8(0x7F))
        input.append(encoding.rawValue)
        input.append(UInt16(count))
        inputs.append(input.bytes + writer.bytes)
    }
    return inputs
}

/// Writes what encoders make into the folder that `APUS_FUZZ_CORPUS` names, and ends.
@_cdecl("LLVMFuzzerInitialize")
func initialize(_: UnsafeMutableRawPointer?, _: UnsafeMutableRawPointer?) -> CInt {
    guard let folder = getenv("APUS_FUZZ_CORPUS").map({ String(cString: $0) }) else { return 0 }
    for (index, input) in corpus().enumerated() {
        guard let file = fopen("\(folder)/\(index)", "w") else {
            perror("fuzz-blocks: \(folder)")
            exit(73)
        }
        fwrite(input, 1, input.count, file)
        fclose(file)
    }
    exit(0)
}

@_cdecl("LLVMFuzzerTestOneInput")
func test(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    decode(UnsafeRawBufferPointer(start: bytes, count: count))
    return 0
}
