// Every choice of the server, as plain values. Reading flags and environment is the command's.

package import Apus
package import ApusIngest
internal import ApusStorage

/// Where a listener listens.
package struct ListenerAddress: Sendable, Equatable {
    /// A name or an address, without brackets.
    package var host: String
    /// 0 takes a free one.
    package var port: Int
    /// Line listeners only: where lines go, and their unit.
    package var database = "default"
    package var precision = TimePrecision.automatic

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `HOST:PORT`, as a client would write it.
    package var text: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether only this machine can reach it.
    package var isLoopback: Bool {
        if host == "localhost" { return true }
        guard let address = NetworkAddress(host) else { return false }
        return address.isLoopback
    }
}

/// What the server listens to, and with which limits.
package struct ServerOptions: Sendable {
    package var dataDirectory = "./apus-data"
    package var store = StoreOptions()
    package var http: ListenerAddress? = ListenerAddress(host: "127.0.0.1", port: 8086)
    package var lineTCP: ListenerAddress? = ListenerAddress(host: "127.0.0.1", port: 8094)
    package var lineUDP: ListenerAddress? = ListenerAddress(host: "127.0.0.1", port: 8089)
    /// Nil serves everyone who can reach the listeners.
    package var tokens: TokenTable?
    /// Senders that TCP and UDP take lines from; empty takes any.
    package var allowedSenders: [AddressRange] = []
    /// Names under which the server may be asked, besides addresses and the machine's own.
    package var allowedHosts: [String] = []
    package var allowUnauthenticated = false

    /// Of a body of line protocol, after decompression.
    package var writeBodyBytesMax = 256 << 20
    /// Of statements and forms.
    package var statementBytesMax = 4 << 20
    /// All bodies under way together, as parsed rows; nil derives it from the memory bound.
    package var receivingBytesMax: Int?
    package var idleTimeoutSeconds = 300
    package var connectionsMax = 10_000
    package var eventLoopThreads: Int?
    package var shutdownSeconds = 10
    /// Statements that take longer are logged; nil logs none.
    package var slowQueryNanoseconds: Int64? = 5_000_000_000

    package init() {}

    /// Why these options must not be served, as one line; nil if they may.
    package func refusal() -> String? {
        if allowUnauthenticated { return nil }
        if let http, !http.isLoopback, tokens == nil {
            return
                "--http \(http.text) is reachable from outside: give --token-file, or --allow-unauthenticated"
        }
        for (flag, address) in [("--line-tcp", lineTCP), ("--line-udp", lineUDP)] {
            if let address, !address.isLoopback, allowedSenders.isEmpty {
                return
                    "\(flag) \(address.text) is reachable from outside: give --allow CIDR, or --allow-unauthenticated"
            }
        }
        return nil
    }
}
