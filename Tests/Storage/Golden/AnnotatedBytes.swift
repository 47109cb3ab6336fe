import ApusStorage

/// Takes a file apart by the words of docs/format.md, not by the product's readers, and says of
/// every byte what it means.
struct AnnotatedBytes {
    let bytes: [UInt8]
    private(set) var offset = 0
    private var entries: [(range: Range<Int>, meaning: String)] = []
    private var titles: [(offset: Int, title: String)] = []

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func seek(_ offset: Int) { self.offset = offset }

    mutating func title(_ text: String) { titles.append((offset, text)) }

    @discardableResult
    mutating func raw(_ count: Int, _ meaning: String) -> [UInt8] {
        guard count > 0, offset >= 0, offset + count <= bytes.count else { return [] }
        let range = offset..<(offset + count)
        entries.append((range, meaning))
        offset += count
        return Array(bytes[range])
    }

    @discardableResult
    mutating func number(_ count: Int, _ meaning: String, show: (UInt64) -> String = { "\($0)" })
        -> UInt64
    {
        var value: UInt64 = 0
        for index in 0..<min(count, max(bytes.count - offset, 0)) {
            value |= UInt64(bytes[offset + index]) << UInt64(8 * index)
        }
        raw(count, "\(meaning) \(show(value))")
        return value
    }

    @discardableResult
    mutating func signed(_ meaning: String) -> Int64 {
        Int64(bitPattern: number(8, meaning) { "\(Int64(bitPattern: $0))" })
    }

    mutating func checksum(_ meaning: String, of range: Range<Int>, and second: Range<Int> = 0..<0)
    {
        let actual = CRC32C.checksum(
            Array(bytes[second]), continuing: CRC32C.checksum(Array(bytes[range])))
        number(4, meaning) { $0 == UInt64(actual) ? "(right)" : "(WRONG)" }
    }

    @discardableResult
    mutating func varint(_ meaning: String, show: (UInt64) -> String = { "\($0)" }) -> UInt64 {
        var value: UInt64 = 0
        var count = 0
        while offset + count < bytes.count, count < 10 {
            let byte = bytes[offset + count]
            value |= UInt64(byte & 0x7F) << UInt64(7 * count)
            count += 1
            if byte < 0x80 { break }
        }
        raw(count, "\(meaning) \(show(value))")
        return value
    }

    @discardableResult
    mutating func zigzag(_ meaning: String) -> Int64 {
        let code = varint(meaning) { "\(Int64(bitPattern: $0 >> 1) ^ -Int64(bitPattern: $0 & 1))" }
        return Int64(bitPattern: code >> 1) ^ -Int64(bitPattern: code & 1)
    }

    /// A length and its bytes, shown as text.
    @discardableResult
    mutating func text(_ meaning: String) -> String {
        let count = Int(varint("\(meaning), length"))
        guard count > 0 else { return "" }
        let end = min(offset + count, bytes.count)
        let string = String(decoding: bytes[offset..<end], as: UTF8.self)
        raw(count, "\(meaning) \"\(string.filter { $0 != "\n" })\"")
        return string
    }

    mutating func zeros(_ count: Int, _ meaning: String = "zeros") {
        guard count > 0 else { return }
        let isRight = bytes[offset..<min(offset + count, bytes.count)].allSatisfy { $0 == 0 }
        raw(count, isRight ? meaning : "\(meaning): NOT ZERO")
    }

    /// Bytes that no entry speaks of, or two do.
    var gaps: [Int] {
        var count = [Int](repeating: 0, count: bytes.count)
        for entry in entries { for offset in entry.range { count[offset] += 1 } }
        return count.indices.filter { count[$0] != 1 }
    }

    var description: String {
        var lines: [(offset: Int, order: Int, text: String)] = []
        for title in titles { lines.append((title.offset, -1, "\n\(title.title)")) }
        for (order, entry) in entries.enumerated() {
            let content = bytes[entry.range]
            let isZero = content.count > 16 && content.allSatisfy { $0 == 0 }
            var start = entry.range.lowerBound
            repeat {
                let end = isZero ? entry.range.upperBound : min(start + 12, entry.range.upperBound)
                let hex = isZero ? "00 × \(content.count)" : Self.hex(bytes[start..<end])
                let padded = hex + String(repeating: " ", count: max(0, 36 - hex.count))
                let meaning = start == entry.range.lowerBound ? entry.meaning : ""
                var line = "\(Self.decimal(start))  \(padded) \(meaning)"
                while line.last == " " { line.removeLast() }
                lines.append((start, order, line))
                start = end
            } while start < entry.range.upperBound
        }
        lines.sort { ($0.offset, $0.order) < ($1.offset, $1.order) }
        var text = lines.map(\.text).joined(separator: "\n") + "\n"
        while text.first == "\n" { text.removeFirst() }
        return text
    }

    private static func hex(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return digits.count == 1 ? "0" + digits : digits
        }.joined(separator: " ")
    }

    private static func decimal(_ offset: Int) -> String {
        let digits = String(offset)
        return String(repeating: " ", count: max(0, 5 - digits.count)) + digits
    }
}
