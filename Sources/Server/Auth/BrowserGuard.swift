// Keeps web pages from using a visitor's localhost: foreign origins and unexpected names are refused.
//
// A page can make a browser send requests anywhere. It can't read the answers of another origin,
// but a write needs no answer; so a foreign `Origin` is refused. And a page whose own name is made
// to resolve to 127.0.0.1 is no foreign origin to the browser; so a `Host` must be an address or a
// name that is known to be this machine's. Tokens change neither: a browser may have one to add.

internal import Glibc
internal import NIOHTTP1

struct BrowserGuard: Sendable {
    private let names: Set<String>

    init(_ options: ServerOptions) {
        var names: Set<String> = ["localhost"]
        var buffer = [CChar](repeating: 0, count: 256)
        if gethostname(&buffer, 255) == 0 {
            let end = buffer.firstIndex(of: 0) ?? buffer.endIndex
            let name = String(decoding: buffer[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
                .lowercased()
            names.insert(name)
            if let dot = name.firstIndex(of: ".") { names.insert(String(name[..<dot])) }
        }
        if let http = options.http { names.insert(http.host.lowercased()) }
        for name in options.allowedHosts { names.insert(name.lowercased()) }
        self.names = names
    }

    func refusal(_ headers: HTTPHeaders) -> Refusal? {
        let host = headers.first(name: "Host")?.lowercased()
        if let origin = headers.first(name: "Origin")?.lowercased() {
            guard let host, origin == "http://\(host)" || origin == "https://\(host)" else {
                return Refusal(
                    .forbidden, "requests from another origin are refused", code: "foreign_origin")
            }
        }
        guard let host, !accepts(name(of: host)) else { return nil }
        return Refusal(
            .forbidden,
            "unexpected Host: use an address or this machine's name, or start with --allow-host NAME",
            code: "unexpected_host")
    }

    private func accepts(_ name: String) -> Bool {
        if names.contains(name) || name.hasSuffix(".localhost") || name.isEmpty { return true }
        if NetworkAddress(name) != nil { return true }
        // The machine's own name below any domain.
        guard let dot = name.firstIndex(of: ".") else { return false }
        return names.contains(String(name[..<dot])) && name[..<dot] != "localhost"
    }

    private func name(of host: String) -> String {
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            let rest = host[host.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else { return host }
            return String(host[host.index(after: host.startIndex)..<end])
        }
        guard let colon = host.lastIndex(of: ":"),
            host[host.index(after: colon)...].allSatisfy(\.isNumber)
        else { return host }
        return String(host[..<colon])
    }
}
