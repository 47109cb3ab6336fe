// What the bytes of a file mean, for people who read them: `apus inspect --hex`.

/// A piece of a file and its meaning. Pieces of a whole file neither overlap nor leave gaps.
package struct AnnotatedRange: Sendable, Equatable {
    package var offset: Int
    package var byteCount: Int
    package var meaning: String
    /// Begins a part of the file, whose name this is; has no bytes.
    package var isTitle: Bool

    package init(offset: Int, byteCount: Int, meaning: String, isTitle: Bool = false) {
        self.offset = offset
        self.byteCount = byteCount
        self.meaning = meaning
        self.isTitle = isTitle
    }
}

/// Reads bytes in order, and keeps what each was taken for.
///
/// Safe: all bytes are read through `ByteReader`, which checks each bound.
struct ByteAnnotator {
    private(set) var ranges: [AnnotatedRange] = []
    private var reader: ByteReader
    private let base: Int
    /// Where what has a meaning ends; a read that failed may have gone beyond.
    private var keptEnd = 0

    /// - Parameter base: Where the buffer begins in the file.
    init(_ buffer: UnsafeRawBufferPointer, base: Int = 0) {
        reader = ByteReader(buffer)
        self.base = base
    }

    /// In the file.
    var offset: Int { base + reader.offset }
    var remaining: Int { reader.remaining }

    mutating func title(_ text: String) {
        ranges.append(.init(offset: offset, byteCount: 0, meaning: text, isTitle: true))
    }

    private mutating func keep(_ start: Int, _ meaning: String) {
        ranges.append(
            .init(offset: base + start, byteCount: reader.offset - start, meaning: meaning))
        keptEnd = reader.offset
    }

    @discardableResult
    mutating func number<T: FixedWidthInteger>(
        _ type: T.Type, _ meaning: String
    ) throws(ByteReader.Malformed) -> T {
        let start = reader.offset
        let value: T = try reader.read()
        keep(start, "\(meaning) \(value)")
        return value
    }

    /// A checksum, and whether it is that of `actual`.
    mutating func checksum(_ meaning: String, actual: UInt32) throws(ByteReader.Malformed) {
        let start = reader.offset
        let stored: UInt32 = try reader.read()
        keep(start, "\(meaning): \(stored == actual ? "right" : "WRONG")")
    }

    @discardableResult
    mutating func varint(_ meaning: String) throws(ByteReader.Malformed) -> UInt64 {
        let start = reader.offset
        let value = try reader.readVarint()
        keep(start, "\(meaning) \(value)")
        return value
    }

    /// A varint that counts things still to come; more than bytes are left is no count.
    mutating func count(_ meaning: String) throws(ByteReader.Malformed) -> Int {
        let start = reader.offset
        let value = try reader.readCount(limit: reader.remaining)
        keep(start, "\(meaning) \(value)")
        return value
    }

    mutating func signedVarint(_ meaning: String) throws(ByteReader.Malformed) {
        let start = reader.offset
        let value = try reader.readSignedVarint()
        keep(start, "\(meaning) \(value)")
    }

    @discardableResult
    mutating func text(_ meaning: String) throws(ByteReader.Malformed) -> String {
        let start = reader.offset
        let text = try reader.readString()
        keep(start, "\(meaning) \"\(Self.visible(text))\"")
        return text
    }

    mutating func bytes(_ count: Int, _ meaning: String) throws(ByteReader.Malformed) {
        guard count != 0 else { return }
        let start = reader.offset
        try reader.skip(count)
        keep(start, meaning)
    }

    /// All that is left, if anything is.
    mutating func rest(_ meaning: String) {
        try? reader.skip(reader.remaining)
        if keptEnd < reader.offset { keep(keptEnd, meaning) }
    }

    /// Text from a file must not move a terminal's cursor.
    static func visible(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "·" : $0 }))
    }
}
