// Pushes the cluster into a server: the history at once, then live.

internal import Apus
package import ApusClient
internal import Glibc

/// Sends samples over one connection, and waits while the server is away.
package struct DemoFeed: ~Copyable {
    private let requestHead: String
    private var connection: HTTPConnection
    private static let bodyBytesMax = 1 << 20

    package init(to address: ServerAddress, database: String) {
        requestHead = address.requestHead(
            method: "POST",
            path: "/write?db=\(ServerAddress.percentEncoded(database))&precision=ns",
            contentType: "text/plain; charset=utf-8")
        connection = HTTPConnection(to: address, timeoutMilliseconds: 10_000)
    }

    /// Sends every sample before `endNanoseconds`. Returns how many rows were stored, and tells
    /// `progress` how many there are so far.
    ///
    /// - Throws: if the server can't be reached or refuses the lines.
    package mutating func sendHistory(
        of cluster: inout DemoCluster, until endNanoseconds: Int64, progress: (Int) -> Void
    ) throws(ExchangeFailure) -> Int {
        var rowCount = 0
        var text = ""
        while cluster.timeNanoseconds < endNanoseconds {
            cluster.step(into: &text)
            if text.utf8.count >= Self.bodyBytesMax {
                rowCount += try send(text)
                text = ""
                progress(rowCount)
            }
        }
        if !text.isEmpty { rowCount += try send(text) }
        return rowCount
    }

    /// Sends one sample when its time has come.
    ///
    /// - Throws: as `sendHistory`; the sample is given up then.
    package mutating func sendNext(of cluster: inout DemoCluster) throws(ExchangeFailure) {
        let pause = cluster.timeNanoseconds - wallClockNanoseconds()
        if pause > 0 {
            var wait = timespec(
                tv_sec: Int(pause / 1_000_000_000), tv_nsec: Int(pause % 1_000_000_000))
            // A signal ends the wait early; the default action of those we know ends the program.
            nanosleep(&wait, nil)
        }
        var text = ""
        cluster.step(into: &text)
        _ = try send(text)
    }

    private mutating func send(_ text: String) throws(ExchangeFailure) -> Int {
        let answer = try connection.send(requestHead, body: Array(text.utf8))
        guard (200..<300).contains(answer.status) else {
            throw ExchangeFailure(description: "HTTP \(answer.status): \(answer.body.prefix(500))")
        }
        return text.utf8.count { $0 == UInt8(ascii: "\n") }
    }
}
