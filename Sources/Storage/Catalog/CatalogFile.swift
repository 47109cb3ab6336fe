// A catalog file holds what one flush, or a merge of earlier files, defined. Immutable.
//
//     offset  size  field
//     ──────  ────  ──────────────────────────────────────────────────────────────
//          0     8  magic        "APUSCAT1"
//          8     4  format       1
//         12     4  checksum     CRC-32C of bytes 0 ..< 12
//         16     …  frames       payloadSize u32, checksum u32 (of the payload), payload
//        end    12  last frame   payloadSize 0, checksum u32, frameCount u32 (checksum covers it)
//
// A frame's payload is a run of catalog entries (CatalogEntry). Nothing follows the last frame.

package enum CatalogFile {
    static let magic = Array("APUSCAT1".utf8)
    static let format: UInt32 = 1
    private static let frameBytes = 64 << 10
    private static let frameBytesMax = 16 << 20

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
        func closeFrame() {
            guard frame.count > 0 else { return }
            file.append(UInt32(frame.count))
            file.append(CRC32C.checksum(frame.bytes))
            file.append(frame.bytes)
            frame.removeAll()
            frameCount += 1
        }
        entries { entry in
            entry.append(to: &frame)
            if frame.count >= frameBytes { closeFrame() }
        }
        closeFrame()
        file.append(UInt32(0))
        file.append(withUnsafeBytes(of: frameCount.littleEndian) { CRC32C.checksum($0) })
        file.append(frameCount)
        return file.bytes
    }

    /// Calls `body` with each frame's payload after checking it.
    package static func read(
        _ bytes: [UInt8], path: String,
        _ body: (UnsafeRawBufferPointer) throws(ByteReader.Malformed) -> Void
    ) throws(StorageError) {
        do throws(ByteReader.Malformed) {
            var failure: ByteReader.Malformed?
            // Safe: all reading goes through `ByteReader`, and `body` must not keep the payload.
            bytes.withUnsafeBytes { buffer in
                do throws(ByteReader.Malformed) { try readFrames(buffer, body) } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
        } catch {
            if error.reason.hasPrefix("format ") {
                throw .unsupportedFormat(
                    file: path, found: UInt32(error.reason.dropFirst(7)) ?? 0, newestKnown: format)
            }
            throw .corrupt(file: path, offset: UInt64(error.offset), reason: error.reason)
        }
    }

    private static func readFrames(
        _ buffer: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws(ByteReader.Malformed) -> Void
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
        guard found == format else { throw .init(offset: 8, reason: "format \(found)") }
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
            do throws(ByteReader.Malformed) { try body(payload) } catch {
                throw .init(offset: start + 8 + error.offset, reason: error.reason)
            }
        }
    }
}

/// Six digits at least, so that names sort.
func paddedNumber(_ number: UInt64) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 6 - text.count)) + text
}
