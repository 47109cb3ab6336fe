// `/query`: what Telegraf and InfluxDB's clients ask before they write.

internal import Apus
internal import ApusQuery
internal import ApusStorage
internal import NIOCore
internal import NIOHTTP1

/// Safe: lives on the event loop; `Sendable` so that a worker's result can hop back to it.
final class InfluxQueryExchange: Exchange, @unchecked Sendable {
    private let server: ServerContext
    private let store: Store
    private let request: Request
    private var collector: BodyCollector

    init(_ request: Request, server: ServerContext, store: Store) {
        self.request = request
        self.server = server
        self.store = store
        collector = BodyCollector(bytesMax: server.options.statementBytesMax)
    }

    func receive(_ piece: ByteBuffer) throws(Refusal) { try collector.receive(piece) }
    func abandon() {}

    func end(_ handler: HTTPHandler) {
        var parameters = request.parameters
        if request.head.method == .POST, let body = collector.text {
            parameters.append(URLParameters(body))
        }
        guard parameters.isText else {
            return refuse(Refusal(.badRequest, "the statement is not UTF-8"), handler)
        }
        let statements: [InfluxStatement]
        do throws(InfluxStatement.Fault) {
            statements = try InfluxStatement.parse(parameters["q"] ?? "")
        } catch {
            return refuse(Refusal(.badRequest, error.message), handler)
        }
        for statement in statements {
            if let refusal = refusal(of: statement) { return refuse(refusal, handler) }
        }
        let permissions = request.permissions
        let eventLoop = handler.loop.eventLoop
        let accepted = store.workers.submit { [store] in
            let answer = Self.answer(statements, store, permissions)
            eventLoop.execute { handler.send(answer) }
        }
        if !accepted {
            refuse(
                Refusal(.serviceUnavailable, "too many statements wait", retryAfterSeconds: 1),
                handler)
        }
    }

    private func refuse(_ refusal: Refusal, _ handler: HTTPHandler) {
        handler.send(Reply(refusal, family: .influx1))
    }

    private func refusal(of statement: InfluxStatement) -> Refusal? {
        let permissions = request.permissions
        switch statement {
        case .showDatabases: return nil
        case .createDatabase(let name, _):
            guard request.head.method == .POST else {
                return Refusal(.badRequest, "CREATE DATABASE needs POST")
            }
            guard permissions.canWrite, permissions.covers(name) else {
                return Refusal(.forbidden, "the token may not create database \"\(name)\"")
            }
        case .dropDatabase(let name):
            guard request.head.method == .POST else {
                return Refusal(.badRequest, "DROP DATABASE needs POST")
            }
            guard permissions.isAdmin, permissions.covers(name) else {
                return Refusal(.forbidden, "the token may not drop database \"\(name)\"")
            }
        }
        return nil
    }

    /// What is wrong with a statement stands in its result, as InfluxDB's clients expect it. What is
    /// wrong with the server refuses the request: they repeat that.
    private static func answer(
        _ statements: [InfluxStatement], _ store: Store, _ permissions: Permissions
    ) -> Reply {
        let writer = TextWriter(capacity: 256)
        writer.text(#"{"results":["#)
        for (index, statement) in statements.enumerated() {
            if index > 0 { writer.byte(0x2C) }
            writer.text(#"{"statement_id":"#)
            writer.integer(index)
            do throws(StorageError) {
                try run(statement, store, permissions, writer)
            } catch {
                let refusal = Refusal(error)
                if refusal.status.code >= 500 { return Reply(refusal, family: .influx1) }
                writer.text(#","error":"#)
                writer.jsonString(error.description)
            }
            writer.byte(0x7D)
        }
        writer.text("]}\n")
        return Reply(.ok, json: writer.string)
    }

    private static func run(
        _ statement: InfluxStatement, _ store: Store, _ permissions: Permissions,
        _ writer: TextWriter
    ) throws(StorageError) {
        switch statement {
        case .createDatabase(let name, let retention):
            try store.engine.createDatabase(
                name, ifNotExists: true, retentionNanoseconds: retention, partitionNanoseconds: nil)
        case .dropDatabase(let name): try store.engine.dropDatabase(name, ifExists: true)
        case .showDatabases:
            writer.text(#","series":[{"name":"databases","columns":["name"]"#)
            let names = store.engine.catalog.allDatabases.map(\.name).filter(permissions.covers)
            if !names.isEmpty {
                writer.text(#","values":["#)
                for (index, name) in names.enumerated() {
                    writer.text(index > 0 ? ",[" : "[")
                    writer.jsonString(name)
                    writer.byte(0x5D)
                }
                writer.byte(0x5D)
            }
            writer.text("}]")
        }
    }
}
