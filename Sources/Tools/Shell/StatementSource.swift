// Where statements are carried out: by a running server, or by a store in this process. Both give
// the bytes of `/sql`, so that everything behind them is the same.

package import ApusClient
package import ApusQuery
internal import Glibc

package enum StatementFault: Error, Equatable {
    /// The statement is wrong, or the engine could not carry it out.
    case refused(StatementError)
    /// There is no server, or it isn't one of ours.
    case unreachable(String)
    /// The answer broke off.
    case broken(String)
    case interrupted
}

package protocol StatementSource: AnyObject {
    /// Runs one statement and hands over the answer's bytes as they come.
    ///
    /// - Parameters:
    ///   - nonFinite: what JSON has in place of NaN and infinities.
    ///   - interrupt: a descriptor; once it is readable, the query is cancelled. -1 for none.
    ///   - take: a throw of its cancels the query and is passed on.
    func run(
        _ statement: String, database: String, format: ResultFormat, nonFinite: NonFiniteNumbers,
        interrupt: Int32, take: @escaping (ArraySlice<UInt8>) throws -> Void
    ) throws
}

/// Whether a descriptor can be read from now.
func isReadable(_ descriptor: Int32) -> Bool {
    var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return descriptor >= 0 && poll(&request, 1, 0) > 0
}

/// A server, spoken to over HTTP; a connection for each statement.
package final class ServerSource: StatementSource {
    private static let connectTimeoutMilliseconds: Int32 = 10_000
    private static let messageBytesMax = 64 << 10

    private let server: ServerAddress
    private let url: String

    package init(url: String, token: String?) throws(ServerAddressError) {
        server = try ServerAddress(url: url, token: token, agent: "apus-sql")
        self.url = url
    }

    package func run(
        _ statement: String, database: String, format: ResultFormat, nonFinite: NonFiniteNumbers,
        interrupt: Int32, take: @escaping (ArraySlice<UInt8>) throws -> Void
    ) throws {
        let path =
            "/sql?format=\(format.rawValue)&nonfinite=\(nonFinite.rawValue)"
            + "&db=\(ServerAddress.percentEncoded(database))"
        let head = server.requestHead(method: "POST", path: path, contentType: "text/plain")
        let opened: HTTPStream
        do throws(ExchangeFailure) {
            // The server ends a query in time; how long is its own matter.
            opened = try HTTPStream(
                of: "\(head)Connection: close\r\n", body: Array(statement.utf8), to: server,
                timeoutMilliseconds: -1,
                connectTimeoutMilliseconds: Self.connectTimeoutMilliseconds, interrupt: interrupt)
        } catch {
            throw error.isInterrupt
                ? StatementFault.interrupted : .unreachable("\(url): \(error)")
        }
        var stream = opened
        guard stream.head.status == 200 else { throw refusal(&stream) }
        while let piece = try next(&stream) {
            // A fast answer never makes the socket wait, and only waits are interrupted.
            if isReadable(interrupt) { throw StatementFault.interrupted }
            try take(piece)
        }
    }

    private func next(
        _ stream: inout HTTPStream
    ) throws(StatementFault) -> ArraySlice<UInt8>? {
        do throws(ExchangeFailure) {
            return try stream.next()
        } catch {
            throw error.isInterrupt ? .interrupted : .broken("\(url): \(error)")
        }
    }

    /// What an answer other than 200 says.
    private func refusal(_ stream: inout HTTPStream) -> StatementFault {
        let status = stream.head.status
        let body: String
        do throws(ExchangeFailure) {
            body = try stream.text(bytesMax: Self.messageBytesMax)
        } catch {
            return error.isInterrupt ? .interrupted : .broken("\(url): \(error)")
        }
        if let error = StatementError(body: body) { return .refused(error) }
        return .unreachable("\(url): answered with status \(status); is it an Apus server?")
    }
}

extension StatementError {
    /// From `{"error":{…}}`, which a failed statement is answered with; nil for anything else.
    package init?(body: String) {
        var reader = AnswerReader()
        var sink = NoSink()
        do { try reader.feed(ArraySlice(body.utf8), into: &sink) } catch { return nil }
        guard let error = reader.summary.error else { return nil }
        self = error
    }
}
