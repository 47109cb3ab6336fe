// The secret a request brings, in any of the forms that clients send.

internal import NIOHTTP1

enum Credentials {
    /// `Authorization: Token T`, `Token user:T`, `Bearer T`, Basic's password, or `u`/`p` in the URL.
    static func token(_ headers: HTTPHeaders, _ parameters: URLParameters) -> String? {
        if let header = headers.first(name: "Authorization"),
            let blank = header.firstIndex(of: " ")
        {
            let secret = header[header.index(after: blank)...].drop { $0 == " " }
            switch header[..<blank].lowercased() {
            case "token", "bearer": return String(secret)
            case "basic":
                return Base64.decode(secret.utf8).map {
                    afterColon(String(decoding: $0, as: UTF8.self))
                }
            default: return nil
            }
        }
        return parameters["p"]
    }

    static func permissions(
        _ table: TokenTable?, _ headers: HTTPHeaders, _ parameters: URLParameters
    ) -> Permissions? {
        guard let table else { return .everything }
        guard let token = token(headers, parameters) else { return nil }
        // InfluxDB 1.8's compatibility form is `Token user:password`; tokens may hold colons too.
        return table.permissions(of: token) ?? table.permissions(of: afterColon(token))
    }

    private static func afterColon(_ text: String) -> String {
        guard let colon = text.firstIndex(of: ":") else { return text }
        return String(text[text.index(after: colon)...])
    }
}

enum Base64 {
    /// The bytes of standard or URL-safe base64, padding optional; nil at any other character.
    static func decode(_ text: Substring.UTF8View) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for character in text {
            let value: UInt8
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = character - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = character - 71
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character + 4
            case UInt8(ascii: "+"), UInt8(ascii: "-"): value = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): value = 63
            case UInt8(ascii: "="): continue
            default: return nil
            }
            bits = bits << 6 | UInt32(value)
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        return bytes
    }
}
