// gzip is read as zlib reads it: what its compressor writes in any way, and no content but the true one.

import ApusTestKit
import ApusTools
import CZlib
import Testing

/// How zlib is told to compress.
struct GzipForm {
    var level: Int32 = 6
    var memoryLevel: Int32 = 8
    var strategy: Int32 = Z_DEFAULT_STRATEGY
    /// Ends blocks after so many bytes.
    var flushedBytes: Int?
}

func gzipped(_ bytes: [UInt8], _ form: GzipForm = GzipForm()) -> [UInt8] {
    var stream = z_stream()
    deflateInit2_(
        &stream, form.level, Z_DEFLATED, 15 + 16, form.memoryLevel, form.strategy, ZLIB_VERSION,
        Int32(MemoryLayout<z_stream>.size))
    defer { deflateEnd(&stream) }
    let pieceBytes = form.flushedBytes ?? max(1, bytes.count)
    var output = [UInt8](
        repeating: 0, count: bytes.count * 2 + bytes.count / pieceBytes * 16 + 1_000)
    var input = bytes
    let made = input.withUnsafeMutableBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output -> Int in
            stream.next_in = input.baseAddress
            stream.next_out = output.baseAddress
            stream.avail_out = UInt32(output.count)
            for start in stride(from: 0, to: input.count, by: pieceBytes) {
                stream.avail_in = UInt32(min(pieceBytes, input.count - start))
                deflate(&stream, form.flushedBytes == nil ? Z_NO_FLUSH : Z_SYNC_FLUSH)
            }
            deflate(&stream, Z_FINISH)
            return output.count - Int(stream.avail_out)
        }
    }
    return Array(output[..<made])
}

/// What zlib makes of one member; nil if it refuses it or it ends early.
private func zlibContent(_ bytes: [UInt8], roomBytes: Int) -> [UInt8]? {
    var stream = z_stream()
    inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    defer { inflateEnd(&stream) }
    var output = [UInt8](repeating: 0, count: roomBytes)
    var input = bytes
    let made = input.withUnsafeMutableBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output -> Int? in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            stream.next_out = output.baseAddress
            stream.avail_out = UInt32(output.count)
            guard inflate(&stream, Z_FINISH) == Z_STREAM_END, stream.avail_in == 0 else {
                return nil
            }
            return output.count - Int(stream.avail_out)
        }
    }
    return made.map { Array(output[..<$0]) }
}

@Suite struct GzipTests {
    private func contents(_ bytes: [UInt8]) throws -> [UInt8] {
        let file = TemporaryFile(bytes)
        return try read(try Inputs.open(file.path))
    }

    private func texts(_ random: inout SeededRandom) -> [(name: String, bytes: [UInt8])] {
        let count = [0, 1, 2, 10, 1_000, 30_000, 70_000, 300_000][random.below(8)]
        func bytes(_ make: (Int, inout SeededRandom) -> UInt8) -> [UInt8] {
            (0..<count).map { make($0, &random) }
        }
        return [
            ("one byte", bytes { _, _ in 97 }),
            ("three bytes", bytes { _, random in UInt8(97 + random.below(3)) }),
            ("noise", bytes { _, random in UInt8(truncatingIfNeeded: random.next()) }),
            ("noise again and again", bytes { index, _ in UInt8(index % 32_749 * 7 % 251) }),
            (
                "lines",
                Array(
                    (0..<(count / 40)).map { index in
                        "cpu,host=h\(random.below(50)) usage=\(random.below(100))i \(index)0000\n"
                    }.joined().utf8)
            ),
            (
                "skewed",
                // Codes of up to fifteen bits.
                bytes { _, random in UInt8(truncatingIfNeeded: random.next().leadingZeroBitCount) }
            ),
        ]
    }

    private func form(_ random: inout SeededRandom) -> GzipForm {
        GzipForm(
            level: Int32([0, 1, 4, 6, 9][random.below(5)]),
            memoryLevel: Int32([1, 8, 9][random.below(3)]),
            strategy: [Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED][
                random.below(5)],
            flushedBytes: random.oneIn(3) ? 1 + random.below(20_000) : nil)
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func `whatever zlib writes comes back`(seed: UInt64) throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0080 &+ seed)
        for (name, bytes) in texts(&random) {
            let form = form(&random)
            #expect(
                try contents(gzipped(bytes, form)) == bytes,
                "\(bytes.count) of \(name), \(form), seed \(random.seed)")
        }
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func `damage is refused, unless the content is whole`(seed: UInt64) throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0090 &+ seed)
        for (name, bytes) in texts(&random) where bytes.count < 100_000 {
            let sound = gzipped(bytes, form(&random))
            for round in 0..<20 {
                var damaged = sound
                for _ in 0...random.below(2) {
                    // Often in the codes at the beginning of the first block.
                    let end = random.oneIn(2) ? damaged.count : min(80, damaged.count)
                    damaged[4 + random.below(end - 4)] ^= UInt8(1 << random.below(8))
                }
                if round % 5 == 0 { damaged.removeLast(random.below(damaged.count - 4)) }
                let expected = zlibContent(damaged, roomBytes: 2 * bytes.count + 100_000)
                let found = try? contents(damaged)
                // zlib also refuses codes that nothing uses; what is cut is never whole.
                let isWhole = damaged.count == sound.count && found == bytes
                #expect(
                    found == expected || isWhole,
                    "\(bytes.count) of \(name), round \(round), seed \(random.seed)")
            }
        }
    }

    @Test func `a head with extra bytes, a name and a comment is passed over`() throws {
        let text = Array("m v=1 1\n".utf8)
        var head: [UInt8] = [0x1F, 0x8B, 8, 4 | 8 | 16, 1, 2, 3, 4, 0, 3, 3, 0, 7, 8, 9]
        head += Array("name".utf8) + [0] + [UInt8](repeating: 99, count: 3_000) + [0]
        #expect(try contents(head + gzipped(text)[10...]) == text)
    }

    @Test func `text behind the last member is no member`() throws {
        let text = Array("m v=1 1\n".utf8)
        #expect(throws: InputFault.self) { try contents(gzipped(text) + [0, 0] + text) }
        #expect(try contents(gzipped(text) + gzipped([]) + gzipped(text)) == text + text)
    }
}
