// Where samples go: the pieces of a URL like http://127.0.0.1:8086/prefix, and the request head.

/// Why a target cannot be used; the text is for the person who typed it.
package struct WriteTargetError: Error, Equatable, CustomStringConvertible {
    package let description: String
}

/// A parsed `--url` with the database and the token, ready to be spoken to.
package struct WriteTarget: Equatable, Sendable {
    /// Without the brackets of an IPv6 address.
    package let host: String
    package let port: UInt16
    /// Everything of a request but the content length and the body.
    private let requestStart: String

    private static let defaultPort: UInt16 = 8086

    /// - Throws: `WriteTargetError` for anything but `http://HOST[:PORT][/PREFIX]`, and for tokens
    ///   that could not stand in a header.
    package init(url: String, database: String, token: String?) throws(WriteTargetError) {
        guard !url.lowercased().hasPrefix("https://") else {
            throw WriteTargetError(
                description: "\(url): the collector speaks plain http; put a TLS proxy in between")
        }
        guard url.lowercased().hasPrefix("http://") else {
            throw WriteTargetError(description: "\(url): expected http://HOST:PORT")
        }
        let rest = url.dropFirst("http://".count)
        let authority = rest.prefix { $0 != "/" }
        var prefix = rest.dropFirst(authority.count)
        while prefix.hasSuffix("/") { prefix = prefix.dropLast() }
        let isPlain = url.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
        guard isPlain, !url.contains(where: { $0 == "?" || $0 == "#" || $0 == "@" }) else {
            throw WriteTargetError(
                description: "\(url): expected http://HOST:PORT, with a path prefix at most")
        }
        (host, port) = try Self.split(authority: authority, url: url)

        let encodedDatabase = Self.percentEncoded(database)
        var start = "POST \(prefix)/write?db=\(encodedDatabase)&precision=ns HTTP/1.1\r\n"
        start += "Host: \(authority)\r\n"
        start += "User-Agent: apus-collect\r\n"
        start += "Content-Type: text/plain; charset=utf-8\r\n"
        if let token {
            guard !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
                throw WriteTargetError(
                    description: "the token must be printable ASCII without blanks")
            }
            start += "Authorization: Token \(token)\r\n"
        }
        requestStart = start
    }

    /// One whole request. O(*n*) in the body.
    package func request(body: [UInt8]) -> [UInt8] {
        Array("\(requestStart)Content-Length: \(body.count)\r\n\r\n".utf8) + body
    }

    private static func split(
        authority: Substring, url: String
    ) throws(WriteTargetError) -> (String, UInt16) {
        var host = authority
        var portText: Substring?
        if authority.hasPrefix("["), let close = authority.lastIndex(of: "]") {
            host = authority[authority.index(after: authority.startIndex)..<close]
            let behind = authority[authority.index(after: close)...]
            guard behind.isEmpty || behind.hasPrefix(":") else {
                throw WriteTargetError(description: "\(url): expected a port behind ]")
            }
            portText = behind.isEmpty ? nil : behind.dropFirst()
        } else if let colon = authority.lastIndex(of: ":") {
            host = authority[..<colon]
            portText = authority[authority.index(after: colon)...]
        }
        guard !host.isEmpty else {
            throw WriteTargetError(description: "\(url): the host is missing")
        }
        guard let portText else { return (String(host), defaultPort) }
        guard let port = UInt16(portText), port > 0 else {
            throw WriteTargetError(description: "\(url): \(portText) is not a port")
        }
        return (String(host), port)
    }

    private static func percentEncoded(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            let character = Character(UnicodeScalar(byte))
            if byte < 0x80, character.isLetter || character.isNumber || "-_.~".contains(character) {
                encoded.append(character)
            } else {
                let hex = String(byte, radix: 16, uppercase: true)
                encoded += byte < 16 ? "%0\(hex)" : "%\(hex)"
            }
        }
        return encoded
    }
}
