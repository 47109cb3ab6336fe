// A whole answer in one piece.

internal import NIOCore
internal import NIOHTTP1

struct Reply {
    var status: HTTPResponseStatus
    var contentType: String?
    var headers: [(String, String)] = []
    var body: ByteBuffer?

    init(_ status: HTTPResponseStatus) { self.status = status }

    init(_ status: HTTPResponseStatus, json: String) {
        self.status = status
        contentType = "application/json"
        body = ByteBuffer(string: json)
    }

    init(_ refusal: Refusal, family: APIFamily) {
        self.init(refusal.status, json: ErrorBody.text(refusal, family: family))
        switch family {
        case .influx1: headers.append(("X-Influxdb-Error", Self.headerText(refusal.message)))
        case .influx2:
            headers.append(("X-Platform-Error-Code", ErrorBody.influx2Code(refusal.status)))
        case .influx3, .own: break
        }
        if let seconds = refusal.retryAfterSeconds {
            headers.append(("Retry-After", String(seconds)))
        }
        if let allow = refusal.allow { headers.append(("Allow", allow)) }
        if refusal.status == .unauthorized {
            headers.append(("WWW-Authenticate", #"Basic realm="apus""#))
        }
    }

    init(_ error: QueryErrorReply) {
        self.init(error.status, json: error.body)
        if error.status == .serviceUnavailable { headers.append(("Retry-After", "1")) }
    }

    /// Text as a header may carry it: visible ASCII, at most 1,024 bytes.
    private static func headerText(_ text: String) -> String {
        String(
            decoding: text.utf8.prefix(1_024).map { (0x20..<0x7F).contains($0) ? $0 : 0x3F },
            as: UTF8.self)
    }
}

/// A statement's error with its status.
struct QueryErrorReply: Sendable {
    var status: HTTPResponseStatus
    var body: String
}
