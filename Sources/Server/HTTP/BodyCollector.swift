// Small bodies taken whole: statements and forms.

internal import NIOCore
internal import NIOHTTP1

struct BodyCollector {
    private var body = ByteBuffer()
    private let bytesMax: Int

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    mutating func receive(_ piece: ByteBuffer) throws(Refusal) {
        guard body.readableBytes + piece.readableBytes <= bytesMax else {
            throw Refusal(.payloadTooLarge, "the statement is longer than \(bytesMax) bytes")
        }
        var piece = piece
        body.writeBuffer(&piece)
    }

    /// The body as text, or nil if it is not UTF-8.
    var text: String? {
        String(validating: body.readableBytesView, as: UTF8.self)
    }

    static func isForm(_ headers: HTTPHeaders) -> Bool {
        headers.first(name: "Content-Type")?.lowercased()
            .hasPrefix("application/x-www-form-urlencoded") ?? false
    }
}
