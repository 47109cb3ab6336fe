// `/sql`, and `/cardinality`, for which the statement is made here: reads the request's parameters, hands the
// statement to a worker, streams the answer.

internal import Apus
internal import ApusQuery
internal import ApusStorage
internal import NIOCore
internal import NIOHTTP1

/// Safe: lives on the event loop; what the worker gets is in `SQLStream`.
final class SQLExchange: Exchange {
    private let server: ServerContext
    private let store: Store
    private let request: Request
    private var collector: BodyCollector
    private var stream: SQLStream?

    init(_ request: Request, server: ServerContext, store: Store) {
        self.request = request
        self.server = server
        self.store = store
        collector = BodyCollector(bytesMax: server.options.statementBytesMax)
    }

    func receive(_ piece: ByteBuffer) throws(Refusal) { try collector.receive(piece) }
    func abandon() { stream?.clientIsGone() }

    func end(_ handler: HTTPHandler) {
        do throws(Refusal) {
            try start(handler)
        } catch {
            handler.send(Reply(error, family: .own))
        }
    }

    private func start(_ handler: HTTPHandler) throws(Refusal) {
        let (statement, style) = try statement()
        let query = store.queries.accept(statement, client: handler.client)
        let stream = SQLStream(
            query, handler: handler, style: style,
            compresses: Self.acceptsGzip(request.head.headers))
        self.stream = stream
        guard store.submit(query, { [queries = store.queries] in stream.run(queries) }) else {
            throw Refusal(
                .serviceUnavailable, "too many queries wait already", retryAfterSeconds: 1)
        }
    }

    private func statement() throws(Refusal) -> (QueryRequest, AnswerStyle) {
        var parameters = request.parameters
        var sql = parameters["q"]
        if request.head.method == .POST {
            guard let body = collector.text else {
                throw Refusal(.badRequest, "the statement is not UTF-8", code: "syntax")
            }
            // curl's -d says "form" whatever it sends: a form is what has a `q`.
            let form =
                BodyCollector.isForm(request.head.headers) ? URLParameters(body) : URLParameters()
            guard form["q"] == nil || form.isText else {
                throw Refusal(.badRequest, "the form is not UTF-8", code: "syntax")
            }
            if form["q"] != nil {
                parameters.append(form)
                sql = sql ?? form["q"]
            } else if sql == nil, !body.isEmpty {
                sql = body
            }
        }
        if request.endpoint == .cardinality { sql = Self.cardinalityStatement(parameters) }
        guard let sql, !sql.isEmpty else {
            throw Refusal(.badRequest, "no statement: send it as q or as the body", code: "syntax")
        }
        var query = QueryRequest(sql: sql)
        if let database = parameters["db"], !database.isEmpty { query.database = database }
        if let zone = parameters["tz"], !zone.isEmpty { query.timeZone = zone }
        if let text = parameters["params"], !text.isEmpty {
            do throws(ParameterList.Fault) {
                query.parameters = try ParameterList.parse(text)
            } catch {
                throw Refusal(.badRequest, error.message, code: "semantic")
            }
        }
        if let text = parameters["timeout"], !text.isEmpty {
            do throws(OptionError) {
                query.timeoutMilliseconds = try OptionText.milliseconds(text)
            } catch {
                throw Refusal(.badRequest, "timeout: \(error)", code: "semantic")
            }
        }
        query.strict = parameters["strict"] == "1" || parameters["strict"] == "true"
        query.readOnly = request.head.method == .GET
        query.access = request.permissions.queryAccess
        return (query, try AnswerStyle(parameters))
    }

    private static func cardinalityStatement(_ parameters: URLParameters) -> String {
        var sql = "SHOW CARDINALITY"
        if let table = parameters["table"], !table.isEmpty {
            sql +=
                " FROM \""
                + table.split(separator: "\"", omittingEmptySubsequences: false)
                .joined(separator: "\"\"") + "\""
        }
        if let limit = parameters["limit"].flatMap({ Int($0) }) { sql += " LIMIT \(limit)" }
        return sql
    }

    private static func acceptsGzip(_ headers: HTTPHeaders) -> Bool {
        headers[canonicalForm: "Accept-Encoding"].contains { encoding in
            guard encoding.lowercased().hasPrefix("gzip") else { return false }
            let blankless = encoding.filter { $0 != " " }
            return !(blankless.hasSuffix(";q=0") || blankless.hasSuffix(";q=0.0"))
        }
    }
}

/// How an answer is written.
struct AnswerStyle {
    let format: ResultFormat
    let epoch: EpochUnit
    let nonFinite: NonFiniteNumbers

    init(_ parameters: URLParameters) throws(Refusal) {
        guard let format = ResultFormat(rawValue: parameters["format"] ?? "json") else {
            throw Refusal(.badRequest, "format is json, ndjson or csv", code: "semantic")
        }
        guard let epoch = EpochUnit(rawValue: parameters["epoch"] ?? "rfc3339") else {
            throw Refusal(.badRequest, "epoch is rfc3339, ns, us, ms or s", code: "semantic")
        }
        guard let nonFinite = NonFiniteNumbers(rawValue: parameters["nonfinite"] ?? "null") else {
            throw Refusal(.badRequest, "nonfinite is null or text", code: "semantic")
        }
        self.format = format
        self.epoch = epoch
        self.nonFinite = nonFinite
    }
}
