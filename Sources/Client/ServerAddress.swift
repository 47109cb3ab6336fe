// Where a running server is: the pieces of a URL like http://127.0.0.1:8086/prefix.

/// Why a URL or a token cannot be used; the text is for the person who typed it.
package struct ServerAddressError: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// A parsed `--url` with the token, ready to be spoken to.
package struct ServerAddress: Equatable, Sendable {
    /// Without the brackets of an IPv6 address.
    package let host: String
    package let port: UInt16
    /// What stands before every path: empty, or `/prefix` without a slash at its end.
    package let pathPrefix: String
    /// Header lines that every request carries, each with its line end.
    private let commonHeaders: String

    package static let defaultPort: UInt16 = 8086

    /// - Parameter agent: the name of the program, for the server's log.
    /// - Throws: for anything but `http://HOST[:PORT][/PREFIX]`, and for tokens that could not
    ///   stand in a header.
    package init(url: String, token: String?, agent: String) throws(ServerAddressError) {
        guard !url.lowercased().hasPrefix("https://") else {
            throw ServerAddressError(
                "\(url): only plain http is spoken; put a TLS proxy in between")
        }
        guard url.lowercased().hasPrefix("http://") else {
            throw ServerAddressError("\(url): expected http://HOST:PORT")
        }
        let rest = url.dropFirst("http://".count)
        let authority = rest.prefix { $0 != "/" }
        var prefix = rest.dropFirst(authority.count)
        while prefix.hasSuffix("/") { prefix = prefix.dropLast() }
        let isPlain = url.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
        guard isPlain, !url.contains(where: { $0 == "?" || $0 == "#" || $0 == "@" }) else {
            throw ServerAddressError(
                "\(url): expected http://HOST:PORT, with a path prefix at most")
        }
        (host, port) = try Self.split(authority: authority, url: url)
        pathPrefix = String(prefix)
        var headers = "Host: \(authority)\r\nUser-Agent: \(agent)\r\n"
        if let token {
            guard !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
                throw ServerAddressError("the token must be printable ASCII without blanks")
            }
            headers += "Authorization: Token \(token)\r\n"
        }
        commonHeaders = headers
    }

    /// The head of a request but for the length of its body, which whoever sends it adds.
    ///
    /// - Parameter path: behind the prefix, encoded, with its query.
    package func requestHead(method: String, path: String, contentType: String? = nil) -> String {
        var head = "\(method) \(pathPrefix)\(path) HTTP/1.1\r\n\(commonHeaders)"
        if let contentType { head += "Content-Type: \(contentType)\r\n" }
        return head
    }

    /// A text as it may stand in the query of a URL.
    package static func percentEncoded(_ text: String) -> String {
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

    private static func split(
        authority: Substring, url: String
    ) throws(ServerAddressError) -> (String, UInt16) {
        var host = authority
        var portText: Substring?
        if authority.hasPrefix("["), let close = authority.lastIndex(of: "]") {
            host = authority[authority.index(after: authority.startIndex)..<close]
            let behind = authority[authority.index(after: close)...]
            guard behind.isEmpty || behind.hasPrefix(":") else {
                throw ServerAddressError("\(url): expected a port behind ]")
            }
            portText = behind.isEmpty ? nil : behind.dropFirst()
        } else if let colon = authority.lastIndex(of: ":") {
            host = authority[..<colon]
            portText = authority[authority.index(after: colon)...]
        }
        guard !host.isEmpty else {
            throw ServerAddressError("\(url): the host is missing")
        }
        guard let portText else { return (String(host), defaultPort) }
        guard let port = UInt16(portText), port > 0 else {
            throw ServerAddressError("\(url): \(portText) is not a port")
        }
        return (String(host), port)
    }
}
