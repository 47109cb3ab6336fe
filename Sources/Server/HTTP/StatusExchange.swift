// `/ping`, `/health`, `/ready`, `/metrics`: what the server says about itself.

internal import Apus
internal import ApusQuery
internal import ApusStorage
internal import NIOCore
internal import NIOHTTP1

package enum ServerVersion {
    package static let apus = "0.1.0"
    /// What InfluxDB's clients take for the server's version: the API is that of the last 1.x.
    static let influx = "1.8.10-apus"
}

final class StatusExchange: Exchange {
    private let server: ServerContext
    private let endpoint: Endpoint

    init(server: ServerContext, endpoint: Endpoint) {
        self.server = server
        self.endpoint = endpoint
    }

    /// A body of a GET is read and means nothing.
    func receive(_ piece: ByteBuffer) throws(Refusal) {}
    func abandon() {}

    func end(_ handler: HTTPHandler) {
        switch endpoint {
        case .ping: handler.send(ping(handler.request))
        case .health: handler.send(health())
        case .ready: handler.send(ready())
        case .metrics:
            guard let store = server.store else { return handler.send(ready()) }
            var reply = Reply(.ok)
            reply.contentType = "text/plain; version=0.0.4; charset=utf-8"
            reply.body = ByteBuffer(string: MetricsText.render(server, store))
            handler.send(reply)
        default: handler.send(Reply(Refusal(.notFound, "not found"), family: .own))
        }
    }

    private func ping(_ request: Request?) -> Reply {
        guard request?.parameters["verbose"] == "true" else { return Reply(.noContent) }
        return Reply(.ok, json: #"{"version":"\#(ServerVersion.influx)"}"# + "\n")
    }

    private func health() -> Reply {
        guard let store = server.store else {
            return health(.fail, "opening the store")
        }
        let health = store.engine.health()
        let message = health.status == .pass ? "ready for queries and writes" : health.message
        return self.health(health.status, message)
    }

    private func health(_ status: StorageHealth.Status, _ message: String) -> Reply {
        let writer = TextWriter(capacity: 256)
        writer.text(#"{"name":"apus","message":"#)
        writer.jsonString(status == .fail ? Refusal.withoutDropWords(message) : message)
        writer.text(#","status":""#)
        writer.text(status.rawValue)
        writer.text(#"","checks":[],"version":""#)
        writer.text(ServerVersion.apus)
        writer.text("\"}\n")
        var reply = Reply(status == .fail ? .serviceUnavailable : .ok, json: writer.string)
        if status == .fail { reply.headers.append(("Retry-After", "1")) }
        return reply
    }

    private func ready() -> Reply {
        guard server.store != nil else {
            var reply = Reply(.serviceUnavailable, json: #"{"status":"starting"}"# + "\n")
            reply.headers.append(("Retry-After", "1"))
            return reply
        }
        return Reply(.ok, json: #"{"status":"ready"}"# + "\n")
    }
}
