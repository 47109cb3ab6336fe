// The bodies of refused requests: each family of endpoints has a shape that its clients parse.

package import ApusQuery
package import ApusStorage
package import NIOHTTP1

/// Whose conventions an endpoint follows.
package enum APIFamily: Sendable {
    /// `/write`, `/query`: `{"error":"text"}` and `X-Influxdb-Error`.
    case influx1
    /// `/api/v2`: `{"code":"invalid","message":"…"}`.
    case influx2
    /// `/api/v3`: `{"error":"…","data":[…]}`.
    case influx3
    /// Ours: `{"error":{"code":"…","message":"…"}}`.
    case own
}

/// A request that is not served as asked.
package struct Refusal: Error, Sendable {
    package var status: HTTPResponseStatus
    package var message: String
    /// Our code for it; the families derive theirs from the status.
    package var code: String
    package var retryAfterSeconds: Int?
    package var allow: String?
    /// Refused lines, for version 3.
    package var lines: [LineRejection] = []

    package init(
        _ status: HTTPResponseStatus, _ message: String, code: String? = nil,
        retryAfterSeconds: Int? = nil
    ) {
        self.status = status
        // Telegraf drops a batch on these words, whatever the status.
        self.message = status.code >= 500 ? Refusal.withoutDropWords(message) : message
        self.code = code ?? Refusal.ownCode(status)
        self.retryAfterSeconds = retryAfterSeconds
    }

    package static let dropWords = [
        "partial write", "unable to parse", "points beyond retention policy",
        "retention policy not found", "hinted handoff queue not empty",
    ]

    static func withoutDropWords(_ message: String) -> String {
        let folded = message.lowercased()
        return dropWords.contains { folded.contains($0) } ? "the server failed" : message
    }

    private static func ownCode(_ status: HTTPResponseStatus) -> String {
        switch status.code {
        case 400: "invalid"
        case 401: "unauthorized"
        case 403: "forbidden"
        case 404: "not_found"
        case 405: "method_not_allowed"
        case 413: "too_large"
        case 415: "unsupported_encoding"
        case 429, 503: "overloaded"
        case 504: "timeout"
        default: "internal"
        }
    }

    /// What a failed write answers. Nothing was stored.
    package init(_ error: StorageError) {
        switch error {
        case .overloaded:
            self.init(.serviceUnavailable, error.description, retryAfterSeconds: 1)
        case .diskFull:
            self.init(
                .serviceUnavailable, "no space left on the device", code: "disk_full",
                retryAfterSeconds: 10)
        case .readOnly:
            self.init(
                .serviceUnavailable, error.description, code: "read_only", retryAfterSeconds: 10)
        case .closed:
            self.init(.serviceUnavailable, error.description, retryAfterSeconds: 1)
        case .limit(let text): self.init(.payloadTooLarge, text)
        case .invalid(let text): self.init(.badRequest, text)
        case .unknownDatabase, .unknownTable: self.init(.notFound, error.description)
        case .exists: self.init(.conflict, error.description, code: "exists")
        case .cancelled: self.init(.serviceUnavailable, error.description, retryAfterSeconds: 1)
        case .io, .corrupt, .unsupportedFormat, .locked:
            self.init(.internalServerError, error.description)
        }
    }
}

package enum ErrorBody {
    package static let contentType = "application/json"

    package static func text(_ refusal: Refusal, family: APIFamily) -> String {
        let writer = TextWriter(capacity: 256)
        switch family {
        case .influx1:
            writer.text(#"{"error":"#)
            writer.jsonString(refusal.message)
        case .influx2:
            writer.text(#"{"code":"#)
            writer.jsonString(influx2Code(refusal.status))
            writer.text(#","message":"#)
            writer.jsonString(refusal.message)
        case .influx3:
            writer.text(#"{"error":"#)
            writer.jsonString(refusal.message)
            writer.text(#","data":"#)
            writeLines(refusal.lines, to: writer)
        case .own:
            writer.text(#"{"error":{"code":"#)
            writer.jsonString(refusal.code)
            writer.text(#","message":"#)
            writer.jsonString(refusal.message)
            writer.byte(0x7D)
        }
        writer.text("}\n")
        return writer.string
    }

    private static func writeLines(_ lines: [LineRejection], to writer: TextWriter) {
        guard !lines.isEmpty else { return writer.text("null") }
        writer.byte(0x5B)
        for (index, line) in lines.enumerated() {
            if index > 0 { writer.byte(0x2C) }
            writer.text(#"{"original_line":"","line_number":"#)
            writer.integer(line.line)
            if line.column > 0 {
                writer.text(#","column":"#)
                writer.integer(line.column)
            }
            writer.text(#","error_message":"#)
            writer.jsonString(line.reason)
            writer.byte(0x7D)
        }
        writer.byte(0x5D)
    }

    package static func influx2Code(_ status: HTTPResponseStatus) -> String {
        switch status.code {
        case 400, 415: "invalid"
        case 401: "unauthorized"
        case 403: "forbidden"
        case 404: "not found"
        case 405: "method not allowed"
        case 409: "conflict"
        case 413: "request too large"
        case 422: "unprocessable entity"
        case 429: "too many requests"
        case 503: "unavailable"
        default: "internal error"
        }
    }

    // MARK: errors of statements

    package static func status(of error: QueryError) -> HTTPResponseStatus {
        // By name, since the codes belong to the query engine and grow with it.
        switch error.code.rawValue {
        case "unknown_table", "unknown_database", "unknown_query": .notFound
        case "budget", "overloaded", "cancelled", "closed": .serviceUnavailable
        case "timeout": .gatewayTimeout
        case "read_only", "forbidden": .forbidden
        case "internal", "io", "corrupt", "damaged": .internalServerError
        // No 5xx for what somebody ended on purpose: clients would send it again.
        case "exists", "killed": .conflict
        case "limit": .payloadTooLarge
        default: .badRequest
        }
    }

    package static func text(_ error: QueryError) -> String {
        var error = error
        if status(of: error).code >= 500 {
            // A name in it may be any words.
            error.message = Refusal.withoutDropWords(error.message)
            error.hint = error.hint.map(Refusal.withoutDropWords)
        }
        let writer = TextWriter(capacity: 256)
        writer.text(#"{"error":"#)
        error.writeObject(to: writer)
        writer.text("}\n")
        return writer.string
    }
}
