// Columns of a cold segment: encoded as differences under one symbol table, which is made from them,
// and decoded with it. And what is done with payloads besides decoding them.

import ApusStorage
import ApusTestKit

enum ColdCodecCases {
    static let all: [MicroCase] =
        columns("coded-walk", .deltaCoded) { .integerWalk($0) }
        + columns("coded-decimals", .decimal) { .decimalWalk($0) }
        + [checked("integer-walk") { .integerWalk($0) }]
        + [checked("integer-noise") { .integerNoise($0) }]
        + [checked("decimal-walk") { .decimalWalk($0) }]
        + [sum]

    /// A column's stretch and the decoder of its table.
    private struct Coded {
        let blocks: [EncodedBlock]
        let symbols: SymbolDecoder?
        let byteCount: Int

        init(_ stretch: StretchWriter.Stretch) throws {
            byteCount = stretch.bytes.count
            symbols = try stretch.bytes.withUnsafeBytes { bytes in
                guard stretch.tableByteCount > 4 else { return nil }
                var reader = ByteReader(
                    UnsafeRawBufferPointer(rebasing: bytes[..<(stretch.tableByteCount - 4)]))
                return SymbolDecoder(try SymbolTable.read(&reader))
            }
            var place = stretch.tableByteCount
            var blocks: [EncodedBlock] = []
            for payload in stretch.payloads {
                let end = place + payload.byteCount
                blocks.append(
                    EncodedBlock(
                        encoding: payload.encoding, bytes: Array(stretch.bytes[place..<end])))
                place = end
            }
            self.blocks = blocks
        }
    }

    /// Encodes as a segment's writer does, which decodes each payload once and has one `writer` for
    /// all groups of blocks.
    private static func encode(
        _ blocks: ColumnBlocks, _ writer: inout StretchWriter, _ room: DecodeRoom
    ) throws -> Coded {
        writer.removeAll()
        try blocks.forEachBlock { slice in
            let appended = writer.append(slice, EncodeOptions(level: .cold))
            if let (encoding, payload) = appended.payload {
                try room.decode(EncodedBlock(encoding: encoding, bytes: payload), blocks.type)
            }
        }
        var failure: (any Error)?
        let stretch = writer.finish { _, payload, bytes, symbols, _ in
            do { try room.decode(payload.encoding, bytes, blocks.type, symbols) } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return try Coded(stretch)
    }

    private static func columns(
        _ dataset: String, _ expected: Encoding,
        _ make: @escaping @Sendable (CaseSize) -> ColumnBlocks
    ) -> [MicroCase] {
        [
            MicroCase("codec.encode.\(dataset)") { size in
                let blocks = make(size)
                let room = DecodeRoom()
                var writer = StretchWriter()
                let byteCount = try encode(blocks, &writer, room).byteCount
                return PreparedCase(itemCount: blocks.slots.count, byteCount: byteCount) { digest in
                    let coded = try encode(blocks, &writer, room)
                    guard digest != nil else { return }
                    for block in coded.blocks {
                        try room.decode(block, blocks.type, coded.symbols)
                        room.add(to: &digest, blocks.type)
                    }
                }
            },
            MicroCase("codec.decode.\(dataset)") { size in
                let blocks = make(size)
                let room = DecodeRoom()
                var writer = StretchWriter()
                let coded = try encode(blocks, &writer, room)
                // A few blocks are too few for a table.
                guard size == .small || coded.blocks.allSatisfy({ $0.encoding == expected }),
                    size == .small || coded.symbols != nil
                else { throw CaseError("not all blocks are \(expected.name) under a table") }
                return PreparedCase(
                    itemCount: blocks.slots.count, byteCount: coded.byteCount
                ) { digest in
                    for block in coded.blocks {
                        try room.decode(block, blocks.type, coded.symbols)
                        room.add(to: &digest, blocks.type)
                    }
                }
            },
        ]
    }

    /// What a flush does with a column: statistics, the choice of an encoding, and decoding once.
    private static func checked(
        _ dataset: String, _ make: @escaping @Sendable (CaseSize) -> ColumnBlocks
    ) -> MicroCase {
        MicroCase("codec.flush.\(dataset)") { size in
            let blocks = make(size)
            let room = DecodeRoom()
            return PreparedCase(itemCount: blocks.slots.count) { digest in
                var writer = StretchWriter()
                try blocks.forEachBlock { slice in
                    let statistics = ColumnCodec.statistics(of: slice)
                    guard let (encoding, payload) = writer.append(slice, EncodeOptions()).payload
                    else { throw CaseError("a hot payload waits") }
                    try room.decode(EncodedBlock(encoding: encoding, bytes: payload), blocks.type)
                    digest?.add(statistics.minimum)
                    room.add(to: &digest, blocks.type)
                }
            }
        }
    }

    /// Minimum, maximum and sum while unpacking.
    private static let sum = MicroCase("codec.sum.integer-walk") { size in
        let blocks = ColumnBlocks.integerWalk(size)
        let scratch = NarrowScratch()
        var payloads: [EncodedBlock] = []
        try blocks.forEachBlock { slice in
            var writer = ByteWriter()
            let encoding = ColumnCodec.encode(slice, options: EncodeOptions(), into: &writer)
            // More may be read than there is.
            writer.appendZeros(NarrowFrame.slack)
            payloads.append(EncodedBlock(encoding: encoding, bytes: writer.bytes))
        }
        let encoded = payloads
        return PreparedCase(
            itemCount: blocks.slots.count,
            byteCount: encoded.reduce(0) { $0 + $1.bytes.count - NarrowFrame.slack }
        ) { digest in
            for block in encoded {
                // Safe: the slack was put behind the payload.
                let statistics = block.bytes.withUnsafeBytes { bytes in
                    ColumnCodec.statistics(
                        of: block.encoding,
                        UnsafeRawBufferPointer(rebasing: bytes.dropLast(NarrowFrame.slack)),
                        type: .int64, count: ColumnBlocks.rowsPerBlock, scratch: scratch)
                }
                guard let statistics, case .integer(let total) = statistics.sum else {
                    throw CaseError("a payload was not summed")
                }
                digest?.add(UInt64(truncatingIfNeeded: total))
                digest?.add(statistics.maximum)
            }
        }
    }
}
