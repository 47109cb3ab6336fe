// Lower case, character by character: what ILIKE and lower() compare by.

package enum CaseFolding {
    /// The lower case of a character, if that is a single one, else the character itself.
    package static func folded(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        if scalar.isASCII {
            return 65...90 ~= scalar.value ? Unicode.Scalar(UInt8(scalar.value | 0x20)) : scalar
        }
        let lower = scalar.properties.lowercaseMapping.unicodeScalars
        guard let first = lower.first, lower.count == 1 else { return scalar }
        return first
    }

    /// UTF-8 text folded; ASCII text costs one pass, other text is decoded.
    /// Safe: the text is copied first.
    package static func folded(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var bytes = [UInt8](text)
        var isASCII = true
        for index in bytes.indices {
            let byte = bytes[index]
            if byte >= 0x80 { isASCII = false }
            if byte &- 65 < 26 { bytes[index] = byte | 0x20 }
        }
        guard !isASCII else { return bytes }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            result.append(
                contentsOf: UTF8.encode(folded(scalar)) ?? UTF8.encodedReplacementCharacter)
        }
        return result
    }
}
