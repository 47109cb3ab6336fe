// A catalog file holds what one flush, or a merge of earlier files, defined. Immutable.
//
//     offset  size  field
//     ──────  ────  ──────────────────────────────────────────────────────────────
//          0     8  magic        "APUSCAT1"
//          8     4  format       3
//         12     4  checksum     CRC-32C of bytes 0 ..< 12
//         16     …  frames       payloadSize u32, checksum u32 (of the payload), payload
//        end    12  last frame   payloadSize 0, checksum u32, frameCount u32 (checksum covers it)
//
// A frame's payload is a byte, 0 or 1, and a run of catalog entries (CatalogEntry), with 1 as one
// Zstandard frame that states their size. A section of series, which is compressed as it is, has a frame
// of its own. Nothing follows the last frame. In format 1 a payload is the entries alone; format 2 has no
// sections.

package enum CatalogFile {
    static let magic = Array("APUSCAT1".utf8)
    package static let format: UInt32 = 3
    private static let frameBytes = 256 << 10
    private static let frameBytesMax = 16 << 20
    /// Smaller frames take a block of the device either way.
    private static let compressedBytesMin = 4 << 10

    package static func path(_ number: UInt64) -> String {
        "catalog/\(paddedNumber(number)).catalog"
    }

    package static func encode(_ entries: (_ add: (CatalogEntry) -> Void) -> Void) -> [UInt8] {
        var file = ByteWriter(capacity: frameBytes)
        file.append(magic)
        file.append(format)
        file.append(CRC32C.checksum(file.bytes))
        var frame = ByteWriter(capacity: frameBytes + 1024)
        var frameCount: UInt32 = 0
        func closeFrame(isCompressed: Bool = false) {
            guard frame.count > 0 else { return }
            let packed =
                frame.count >= compressedBytesMin && !isCompressed
                ? ZstdFrame.compress(frame.bytes) : nil
            let payload: [UInt8] = packed.map { [1] + $0 } ?? [0] + frame.bytes
            file.append(UInt32(payload.count))
            file.append(CRC32C.checksum(payload))
            file.append(payload)
            frame.removeAll()
            frameCount += 1
        }
        entries { entry in
            if case .section = entry {
                closeFrame()
                entry.append(to: &frame)
                closeFrame(isCompressed: true)
            } else {
                entry.append(to: &frame)
                if frame.count >= frameBytes { closeFrame() }
            }
        }
        closeFrame()
        file.append(UInt32(0))
        file.append(withUnsafeBytes(of: frameCount.littleEndian) { CRC32C.checksum($0) })
        file.append(frameCount)
        return file.bytes
    }

    /// A frame whose checksum is right.
    struct Frame: Sendable {
        fileprivate let file: [UInt8]
        fileprivate let payload: Range<Int>
        fileprivate let format: UInt32

        var byteCount: Int { payload.count }

        /// What it holds, with where in the frame each entry begins.
        func entries() throws(ByteReader.Malformed) -> [(offset: Int, entry: CatalogEntry)] {
            var entries: [(offset: Int, entry: CatalogEntry)] = []
            try withEntries { bytes throws(ByteReader.Malformed) in
                var reader = ByteReader(bytes)
                while !reader.isAtEnd {
                    let offset = reader.offset
                    entries.append((offset, try CatalogEntry.read(&reader)))
                }
            }
            return entries
        }

        /// Hands over the entries' bytes, which `body` must not keep. Errors say where in the file.
        fileprivate func withEntries(
            _ body: (UnsafeRawBufferPointer) throws(ByteReader.Malformed) -> Void
        ) throws(ByteReader.Malformed) {
            var failure: ByteReader.Malformed?
            // Safe: all reading goes through `ByteReader`.
            file.withUnsafeBytes { file in
                do throws(ByteReader.Malformed) {
                    try readEntries(
                        UnsafeRawBufferPointer(rebasing: file[payload]), format: format, body)
                } catch {
                    failure = inFile(error)
                }
            }
            if let failure { throw failure }
        }

        /// An error inside of the frame, as one of the file.
        func inFile(_ error: ByteReader.Malformed) -> ByteReader.Malformed {
            .init(offset: payload.lowerBound + error.offset, reason: error.reason)
        }
    }

    /// Calls `body` with each frame's entries after checking it.
    package static func read(
        _ bytes: [UInt8], path: String,
        _ body: (UnsafeRawBufferPointer) throws(ByteReader.Malformed) -> Void
    ) throws(StorageError) {
        try forEachFrame(bytes, path: path) { frame throws(ByteReader.Malformed) in
            try frame.withEntries(body)
        }
    }

    /// The frames of a file, whose checksums are right.
    static func frames(_ bytes: [UInt8], path: String) throws(StorageError) -> [Frame] {
        var frames: [Frame] = []
        try forEachFrame(bytes, path: path) { frames.append($0) }
        return frames
    }

    private static func forEachFrame(
        _ bytes: [UInt8], path: String, _ body: (Frame) throws(ByteReader.Malformed) -> Void
    ) throws(StorageError) {
        var failure: ByteReader.Malformed?
        // Safe: all reading goes through `ByteReader`, and frames keep the array.
        bytes.withUnsafeBytes { buffer in
            do throws(ByteReader.Malformed) {
                try readFrames(buffer) { payload, format throws(ByteReader.Malformed) in
                    try body(Frame(file: bytes, payload: payload, format: format))
                }
            } catch { failure = error }
        }
        guard let failure else { return }
        if failure.reason.hasPrefix("format ") {
            throw .unsupportedFormat(
                file: path, found: UInt32(failure.reason.dropFirst(7)) ?? 0, newestKnown: format)
        }
        throw corrupt(path, failure)
    }

    static func corrupt(_ path: String, _ error: ByteReader.Malformed) -> StorageError {
        .corrupt(file: path, offset: UInt64(error.offset), reason: error.reason)
    }

    private static func readFrames(
        _ buffer: UnsafeRawBufferPointer,
        _ body: (_ payload: Range<Int>, _ format: UInt32) throws(ByteReader.Malformed) -> Void
    ) throws(ByteReader.Malformed) {
        var reader = ByteReader(buffer)
        let head = try reader.readBytes(12)
        let checksum: UInt32 = try reader.read()
        guard head.prefix(8).elementsEqual(magic) else {
            throw .init(offset: 0, reason: "bad magic")
        }
        guard checksum == CRC32C.checksum(head) else {
            throw .init(offset: 12, reason: "bad checksum of the header")
        }
        let found = UInt32(littleEndian: head.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        guard (1...format).contains(found) else {
            throw .init(offset: 8, reason: "format \(found)")
        }
        var frames: UInt32 = 0
        while true {
            let start = reader.offset
            let size: UInt32 = try reader.read()
            let checksum: UInt32 = try reader.read()
            guard size <= frameBytesMax else {
                throw .init(offset: start, reason: "a frame of \(size) bytes")
            }
            let payload = try reader.readBytes(size == 0 ? 4 : Int(size))
            guard CRC32C.checksum(payload) == checksum else {
                throw .init(offset: start, reason: "bad checksum of a frame")
            }
            if size == 0 {
                let count = UInt32(littleEndian: payload.loadUnaligned(as: UInt32.self))
                guard count == frames else {
                    throw .init(offset: start, reason: "\(frames) frames, \(count) expected")
                }
                guard reader.isAtEnd else {
                    throw .init(offset: reader.offset, reason: "bytes behind the last frame")
                }
                return
            }
            frames += 1
            try body(start + 8..<reader.offset, found)
        }
    }

    private static func readEntries(
        _ payload: UnsafeRawBufferPointer, format: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(ByteReader.Malformed) -> Void
    ) throws(ByteReader.Malformed) {
        guard format > 1 else { return try body(payload) }
        let rest = UnsafeRawBufferPointer(rebasing: payload.dropFirst())
        switch payload.first {
        case 0:
            do throws(ByteReader.Malformed) { try body(rest) } catch {
                throw .init(offset: error.offset + 1, reason: error.reason)
            }
        case 1:
            guard let entries = ZstdFrame.decompress(rest, countMax: frameBytesMax) else {
                throw .init(offset: 1, reason: "a compressed frame is damaged")
            }
            var failure: ByteReader.Malformed?
            // Safe: `body` must not keep the entries.
            entries.withUnsafeBytes { bytes in
                do throws(ByteReader.Malformed) { try body(bytes) } catch { failure = error }
            }
            if let failure {
                throw .init(offset: 1, reason: "entry at \(failure.offset): \(failure.reason)")
            }
        default: throw .init(offset: 0, reason: "an unknown compression of a frame")
        }
    }
}

/// Six digits at least, so that names sort.
func paddedNumber(_ number: UInt64) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 6 - text.count)) + text
}
