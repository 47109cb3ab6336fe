// Columns and times, encoded as a flush does and decoded as a scan does.
//
// The hash is over the values, for encoding too: those that come back when the bytes are decoded.
// How many bytes there are is told beside it, so that a better encoding is not a wrong result.

import ApusStorage
import ApusTestKit

enum CodecCases {
    static let all: [MicroCase] =
        times("times-regular", jitterMilliseconds: 0, [.regularTimes])
        + times("times-jittered", jitterMilliseconds: 800, [.linearTimes, .deltaTimes])
        + columns("integer-walk", .deltaPacked) { .integerWalk($0) }
        + columns("integer-noise", .packed) { .integerNoise($0) }
        + columns("decimal-walk", .decimal) { .decimalWalk($0) }
        + columns("double-plateaus", .splitGorilla) { .doublePlateaus($0) }
        + columns("constant", .constant) { .constant($0) }
        + columns("booleans", .booleanBitmap) { .booleans($0) }
        + columns("states", .dictionary) { .states($0) }
        + [checksum("pages-4k", pageCount: 64), checksum("pages-in-memory", pageCount: .max)]

    // MARK: Columns

    private static func columns(
        _ dataset: String, _ expected: Encoding,
        _ make: @escaping @Sendable (CaseSize) -> ColumnBlocks
    ) -> [MicroCase] {
        [
            MicroCase("codec.encode.\(dataset)") { size in
                let blocks = make(size)
                let encoded = try encode(blocks, expected)
                var writer = ByteWriter()
                let room = DecodeRoom()
                return PreparedCase(
                    itemCount: blocks.slots.count,
                    byteCount: encoded.reduce(0) { $0 + $1.bytes.count }
                ) { digest in
                    try blocks.forEachBlock { slice in
                        writer.removeAll()
                        let encoding = ColumnCodec.encode(
                            slice, options: EncodeOptions(), into: &writer)
                        guard digest != nil else { return }
                        try room.decode(
                            EncodedBlock(encoding: encoding, bytes: writer.bytes), blocks.type)
                        room.add(to: &digest, blocks.type)
                    }
                }
            },
            MicroCase("codec.decode.\(dataset)") { size in
                let blocks = make(size)
                let encoded = try encode(blocks, expected)
                let room = DecodeRoom()
                return PreparedCase(
                    itemCount: blocks.slots.count,
                    byteCount: encoded.reduce(0) { $0 + $1.bytes.count }
                ) { digest in
                    for block in encoded {
                        try room.decode(block, blocks.type)
                        room.add(to: &digest, blocks.type)
                    }
                }
            },
        ]
    }

    private static func encode(
        _ blocks: ColumnBlocks, _ expected: Encoding
    ) throws -> [EncodedBlock] {
        var encoded: [EncodedBlock] = []
        try blocks.forEachBlock { slice in
            var writer = ByteWriter()
            let encoding = ColumnCodec.encode(slice, options: EncodeOptions(), into: &writer)
            // Or the case would go on to measure another codec than its name says.
            guard encoding == expected else {
                throw CaseError("encoded as \(encoding.name), not as \(expected.name)")
            }
            encoded.append(EncodedBlock(encoding: encoding, bytes: writer.bytes))
        }
        return encoded
    }

    // MARK: Times

    private static func times(
        _ dataset: String, jitterMilliseconds: Int, _ expected: [Encoding]
    ) -> [MicroCase] {
        @Sendable func encode(_ blocks: TimeBlocks) throws -> [EncodedBlock] {
            var encoded: [EncodedBlock] = []
            try blocks.forEachBlock { times in
                var writer = ByteWriter()
                let encoding = TimestampCodec.encode(times, into: &writer)
                guard expected.contains(encoding) else {
                    throw CaseError("encoded as \(encoding.name), not as \(dataset)")
                }
                encoded.append(EncodedBlock(encoding: encoding, bytes: writer.bytes))
            }
            return encoded
        }
        return [
            MicroCase("codec.encode.\(dataset)") { size in
                let blocks = TimeBlocks(size, jitterMilliseconds: jitterMilliseconds)
                let encoded = try encode(blocks)
                var writer = ByteWriter()
                let room = DecodeRoom()
                return PreparedCase(
                    itemCount: blocks.times.count,
                    byteCount: encoded.reduce(0) { $0 + $1.bytes.count }
                ) { digest in
                    try blocks.forEachBlock { times in
                        writer.removeAll()
                        let encoding = TimestampCodec.encode(times, into: &writer)
                        guard digest != nil else { return }
                        try room.decodeTimes(
                            EncodedBlock(encoding: encoding, bytes: writer.bytes))
                        room.addTimes(to: &digest)
                    }
                }
            },
            MicroCase("codec.decode.\(dataset)") { size in
                let blocks = TimeBlocks(size, jitterMilliseconds: jitterMilliseconds)
                let encoded = try encode(blocks)
                let room = DecodeRoom()
                return PreparedCase(
                    itemCount: blocks.times.count,
                    byteCount: encoded.reduce(0) { $0 + $1.bytes.count }
                ) { digest in
                    for block in encoded {
                        try room.decodeTimes(block)
                        room.addTimes(to: &digest)
                    }
                }
            },
        ]
    }

    // MARK: Checksums

    /// Of pages that lie in the cache, as those that were just written do, or in memory.
    private static func checksum(_ name: String, pageCount: Int) -> MicroCase {
        MicroCase("codec.checksum.\(name)") { size in
            var random = SeededRandom(seed: 19)
            let total = size.choose(4, 4_096)
            let pages = (0..<min(total, pageCount)).map { _ in
                (0..<512).map { _ in random.next() }
            }
            return PreparedCase(itemCount: total, byteCount: total * 4_096) { digest in
                for index in 0..<total {
                    let sum = pages[index % pages.count].withUnsafeBytes { CRC32C.checksum($0) }
                    digest?.add(UInt64(sum))
                }
            }
        }
    }
}

struct EncodedBlock {
    var encoding: Encoding
    var bytes: [UInt8]
}

/// Memory that decoders write to, a block's worth, used again and again as a scan does.
final class DecodeRoom {
    private static let rows = ColumnBlocks.rowsPerBlock
    // Decoders may write 64 slots past a block.
    private let slots = UnsafeMutablePointer<UInt64>.allocate(capacity: rows + 64)
    private let times = UnsafeMutablePointer<Int64>.allocate(capacity: rows + 64)
    private let validity = UnsafeMutablePointer<UInt8>.allocate(capacity: rows + 64)
    private var text: [UInt8] = []

    deinit {
        slots.deallocate()
        times.deallocate()
        validity.deallocate()
    }

    func decode(_ block: EncodedBlock, _ type: FieldType, _ symbols: SymbolDecoder? = nil) throws {
        try block.bytes.withUnsafeBytes { try decode(block.encoding, $0, type, symbols) }
    }

    // Safe: all have the room that `decode` asks for.
    func decode(
        _ encoding: Encoding, _ bytes: UnsafeRawBufferPointer, _ type: FieldType,
        _ symbols: SymbolDecoder? = nil
    ) throws {
        text.removeAll(keepingCapacity: true)
        let present = try ColumnCodec.decode(
            encoding, bytes, type: type, count: Self.rows, symbols: symbols, values: slots,
            validity: validity, strings: &text)
        guard present == Self.rows else { throw CaseError("\(present) rows of \(Self.rows)") }
    }

    func decodeTimes(_ block: EncodedBlock) throws {
        // Safe: `times` has room for the block's rows.
        try block.bytes.withUnsafeBytes { bytes in
            try TimestampCodec.decode(block.encoding, bytes, count: Self.rows, into: times)
        }
    }

    func add(to digest: inout Digest?, _ type: FieldType) {
        guard digest != nil else { return }
        for row in 0..<Self.rows {
            guard type == .string else {
                digest?.add(slots[row])
                continue
            }
            let place = StringSlot(rawValue: slots[row])
            digest?.add(bytes: text[place.offset..<place.offset + place.length])
        }
    }

    func addTimes(to digest: inout Digest?) {
        guard digest != nil else { return }
        for row in 0..<Self.rows { digest?.add(UInt64(bitPattern: times[row])) }
    }
}
