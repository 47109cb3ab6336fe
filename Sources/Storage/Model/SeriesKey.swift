// A series key is the canonical form of a tag set: equal sets have equal bytes.
//
//     field          size      meaning
//     ─────────────  ────────  ──────────────────────────────────────────────
//     for each tag, in bytewise order of the keys:
//       keyLength    varint    1 ... 65,535
//       key          n         UTF-8, no control characters
//       valueLength  varint    1 ... 65,535
//       value        n         UTF-8
//
// The empty key (no bytes) is the series of rows without tags. The table is not part of the key:
// ids are dense per table. `Varint` is LEB128, low seven bits first.

/// Builds and reads canonical series keys.
package enum SeriesKey {
    /// The most bytes a key may have, a limit that line protocol's writers know.
    package static let byteCountMax = 65_535

    /// Encodes tags that are already sorted by key and free of duplicates.
    package static func encode(_ tags: [(key: [UInt8], value: [UInt8])]) -> [UInt8] {
        var bytes: [UInt8] = []
        for tag in tags {
            appendText(tag.key, to: &bytes)
            appendText(tag.value, to: &bytes)
        }
        return bytes
    }

    /// Encodes a dictionary of tags; absent and empty values are left out.
    package static func encode(_ tags: [String: String]) -> [UInt8] {
        let sorted = tags.filter { !$0.value.isEmpty }
            .map { (key: Array($0.key.utf8), value: Array($0.value.utf8)) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
        return encode(sorted)
    }

    package static func appendText(_ text: some Collection<UInt8>, to bytes: inout [UInt8]) {
        var rest = UInt(text.count)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
        bytes.append(contentsOf: text)
    }

    /// Calls `body` with each tag until it says false. Whether it never did, and the bytes are a key.
    ///
    /// Safe: the body must not keep the bytes.
    package static func forEachTag(
        _ bytes: UnsafeRawBufferPointer,
        _ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) -> Bool {
        var position = 0
        while position < bytes.count {
            guard let key = readText(bytes, &position), let value = readText(bytes, &position),
                body(
                    UnsafeRawBufferPointer(rebasing: bytes[key]),
                    UnsafeRawBufferPointer(rebasing: bytes[value]))
            else { return false }
        }
        return true
    }

    /// The tags of a key, or nil if the bytes are not a key.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer
    ) -> [(key: Range<Int>, value: Range<Int>)]? {
        var tags: [(key: Range<Int>, value: Range<Int>)] = []
        var position = 0
        while position < bytes.count {
            guard let key = readText(bytes, &position), let value = readText(bytes, &position)
            else { return nil }
            tags.append((key, value))
        }
        return tags
    }

    private static func readText(
        _ bytes: UnsafeRawBufferPointer, _ position: inout Int
    ) -> Range<Int>? {
        var length = 0
        var shift = 0
        while true {
            guard position < bytes.count, shift < 28 else { return nil }
            // Safe: the guard keeps `position` inside, as the one below does for the range returned.
            let byte = bytes[position]
            position += 1
            length |= Int(byte & 0x7F) << shift
            if byte < 0x80 { break }
            shift += 7
        }
        guard length > 0, length <= bytes.count - position else { return nil }
        defer { position += length }
        return position..<(position + length)
    }
}
