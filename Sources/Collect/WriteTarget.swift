// Where samples go: a server's address, and the head of every write request.

package import ApusClient

/// A parsed `--url` with the database and the token, ready to be spoken to.
package struct WriteTarget: Equatable, Sendable {
    package let address: ServerAddress
    package let requestHead: String

    /// - Throws: as `ServerAddress`.
    package init(url: String, database: String, token: String?) throws(ServerAddressError) {
        address = try ServerAddress(url: url, token: token, agent: "apus-collect")
        requestHead = address.requestHead(
            method: "POST",
            path: "/write?db=\(ServerAddress.percentEncoded(database))&precision=ns",
            contentType: "text/plain; charset=utf-8")
    }
}
