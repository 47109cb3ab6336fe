// Strings that are all hexadecimal numbers of one length, or all UUIDs, as the bytes they spell.
//
//     field   size    meaning
//     ──────  ──────  ──────────────────────────────────────────────────────────────────
//     form    1       bit 0: the digits a … f are capitals; bit 1: UUIDs, that is 32 digits
//                     with a dash behind the 8th, 12th, 16th and 20th (RFC 9562)
//     digits  varint  hexadecimal digits a string, even; 32 for UUIDs
//     bytes   rest    digits / 2 a string, the first digit in the high bits

struct HexStrings {
    private let isUpper: Bool
    private let isUUID: Bool
    private let digitCount: Int

    /// Shorter ones are cheap as they are.
    private static let digitsMin = 8
    /// Where a UUID's text has its dashes.
    @inline(__always)
    private static func isDash(_ place: Int) -> Bool {
        place == 8 || place == 13 || place == 18 || place == 23
    }

    private static let uuidLength = 36
    private static let uuidDigits = 32

    private var textLength: Int { isUUID ? Self.uuidLength : digitCount }

    // MARK: Writing

    /// Nil if not all strings have the form of the first.
    ///
    /// Safe: slots point into `bytes`.
    init?(_ slots: UnsafePointer<UInt64>, count: Int, bytes: UnsafePointer<UInt8>) {
        guard count > 0 else { return nil }
        let length = StringSlot(rawValue: slots[0]).length
        isUUID = length == Self.uuidLength && bytes[StringSlot(rawValue: slots[0]).offset + 8] == 45
        digitCount = isUUID ? Self.uuidDigits : length
        guard digitCount >= Self.digitsMin, digitCount % 2 == 0 else { return nil }
        var seen = DigitKinds.none
        for index in 0..<count {
            let slot = StringSlot(rawValue: slots[index])
            guard slot.length == length else { return nil }
            let text = bytes + slot.offset
            for place in 0..<length {
                if isUUID, Self.isDash(place) {
                    seen |= text[place] == 45 ? DigitKinds.none : DigitKinds.other
                } else {
                    seen |= DigitKinds.of(text[place])
                }
            }
            guard seen & DigitKinds.other == 0, seen & DigitKinds.letters != DigitKinds.letters
            else { return nil }
        }
        isUpper = seen & DigitKinds.upper != 0
    }

    private enum DigitKinds {
        static let none: UInt8 = 0
        static let lower: UInt8 = 1
        static let upper: UInt8 = 2
        static let letters: UInt8 = 3
        static let other: UInt8 = 4

        @inline(__always)
        static func of(_ byte: UInt8) -> UInt8 {
            switch byte {
            case 48...57: none
            case 97...102: lower
            case 65...70: upper
            default: other
            }
        }
    }

    /// Safe: the same slots and bytes as those of `init`.
    func write(
        _ slots: UnsafePointer<UInt64>, count: Int, bytes: UnsafePointer<UInt8>,
        into writer: inout ByteWriter
    ) {
        writer.append((isUpper ? 1 : 0) | (isUUID ? 2 : 0) as UInt8)
        writer.appendVarint(UInt64(digitCount))
        writer.append(capacityMax: count * digitCount / 2) { buffer in
            var next = 0
            for index in 0..<count {
                let text = bytes + StringSlot(rawValue: slots[index]).offset
                var place = 0
                while place < textLength {
                    if isUUID, Self.isDash(place) { place += 1 }
                    buffer[next] = Self.value(text[place]) &<< 4 | Self.value(text[place + 1])
                    next += 1
                    place += 2
                }
            }
            return next
        }
    }

    /// Of a digit that is one.
    @inline(__always)
    private static func value(_ digit: UInt8) -> UInt8 { (digit & 15) &+ (digit &>> 6) &* 9 }

    // MARK: Reading

    /// Reads what is left; appends the texts to `strings` and puts their slots into `slots`.
    static func read(
        _ reader: inout ByteReader, _ slots: UnsafeMutablePointer<UInt64>, count: Int,
        strings: inout [UInt8]
    ) throws(ByteReader.Malformed) {
        let start = reader.offset
        let form = try reader.read(UInt8.self)
        let digitCount = try reader.readCount(limit: StringSlot.lengthMax)
        let isUUID = form & 2 != 0
        guard form < 4, digitCount > 0, digitCount % 2 == 0,
            !isUUID || digitCount == uuidDigits
        else { throw .init(offset: start, reason: "hexadecimal strings of an unknown form") }
        let (byteCount, overflow) = count.multipliedReportingOverflow(by: digitCount / 2)
        guard !overflow, reader.remaining == byteCount else {
            throw .init(offset: start, reason: "hexadecimal strings of another size")
        }
        let bytes = try reader.readBytes(byteCount)
        let length = isUUID ? uuidLength : digitCount
        guard strings.count + count * length <= StringSlot.offsetMax else {
            throw .init(offset: start, reason: "strings past their limit")
        }
        for index in 0..<count {
            slots[index] =
                StringSlot(offset: strings.count + index * length, length: length).rawValue
        }
        let pairs = form & 1 != 0 ? upperPairs : lowerPairs
        strings += [UInt8](unsafeUninitializedCapacity: count * length) { text, textCount in
            let text = UnsafeMutableRawBufferPointer(text)
            var place = 0
            for next in 0..<byteCount {
                if isUUID, isDash(place % uuidLength) {
                    text[place] = 45
                    place &+= 1
                }
                // Safe: two digits a byte, and the dashes, are the texts' length together.
                text.storeBytes(
                    of: pairs[Int(bytes[next])], toByteOffset: place, as: UInt16.self)
                place &+= 2
            }
            textCount = place
        }
    }

    private static let lowerPairs = pairs("0123456789abcdef")
    private static let upperPairs = pairs("0123456789ABCDEF")

    /// Of each byte its two digits, as they lie in memory.
    private static func pairs(_ digits: String) -> [UInt16] {
        let digits = digits.utf8.map { UInt16($0) }
        return (0..<256).map { (digits[$0 >> 4] | digits[$0 & 15] << 8).littleEndian }
    }
}
