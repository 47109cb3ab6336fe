// A statement sent to a server, its answer taken as CSV, the one format of `/sql` in which no value
// loses anything: NaN is spelled, '' and NULL differ, integers are exact, times are nanoseconds.
//
// CSV doesn't tell types. They stand at the start of the JSON answer to the same statement, which
// is asked for first where they matter, and let go as soon as they are there.

internal import ApusClient

struct ServerQuery {
    private static let waitMilliseconds: Int32 = 300_000
    private static let headBytesMax = 16 << 20

    let address: ServerAddress
    let sql: String
    let database: String
    let isStrict: Bool
    let timeoutMilliseconds: Int

    /// - Parameter types: of the columns, where the caller knows them; nil asks for them. A column
    ///   without one is a string.
    /// - Throws: also if the answer breaks off; the rows before are out then.
    func run<Sink: RowSink>(types: [String]?, into sink: inout Sink) throws(TransferFailure) {
        let types = if let types { types } else { try self.types() }
        var stream = try open(format: "csv")
        var decoder = CSVDecoder()
        var columnCount: Int?
        while let piece = try next(&stream) {
            try decoder.feed(piece) { record throws(TransferFailure) in
                guard let expected = columnCount else {
                    columnCount = record.count
                    try sink.begin(Self.columns(record, types))
                    return
                }
                guard record.count == expected else { throw broken("its rows differ in length") }
                try sink.append(record)
            }
        }
        guard decoder.isAtRecordEnd else { throw broken("it ends within a row") }
    }

    private static func columns(_ header: AnswerRow, _ types: [String]) -> [AnswerColumn] {
        (0..<header.count).map { index in
            AnswerColumn(
                name: String(decoding: header[index] ?? [], as: UTF8.self),
                type: index < types.count ? types[index] : "string")
        }
    }

    /// The types of the answer's columns.
    private func types() throws(TransferFailure) -> [String] {
        var stream = try open(format: "json")
        // Within a name the first quote would be escaped, so this is no name.
        let mark = Array(#"],"rows":["#.utf8)
        var head: [UInt8] = []
        while let piece = try next(&stream) {
            let searchStart = max(0, head.count - mark.count)
            head.append(contentsOf: piece)
            guard head.count < Self.headBytesMax else { break }
            var start = searchStart
            while start + mark.count <= head.count {
                if head[start] == mark[0], head[start..<start + mark.count].elementsEqual(mark) {
                    let text = String(decoding: head[..<start], as: UTF8.self) + "]}"
                    guard let columns = JSONValue(text)?["columns"] else {
                        throw broken("it is not JSON")
                    }
                    return columns.elements.map { $0["type"]?.string ?? "string" }
                }
                start += 1
            }
        }
        throw broken("it names no columns")
    }

    private func open(format: String) throws(TransferFailure) -> HTTPStream {
        let path =
            "/sql?db=\(ServerAddress.percentEncoded(database))&format=\(format)&epoch=ns"
            + "&timeout=\(timeoutMilliseconds)ms" + (isStrict ? "&strict=1" : "")
        let head = address.requestHead(
            method: "POST", path: path, contentType: "text/plain; charset=utf-8")
        do throws(any Error) {
            var stream = try HTTPStream(
                of: head, body: Array(sql.utf8), to: address,
                timeoutMilliseconds: Self.waitMilliseconds)
            guard stream.head.status == 200 else {
                throw refusal(stream.head.status, try stream.text(bytesMax: 64 << 10))
            }
            return stream
        } catch let failure as TransferFailure {
            throw failure
        } catch {
            throw address.unavailable("\(error)")
        }
    }

    private func next(_ stream: inout HTTPStream) throws(TransferFailure) -> ArraySlice<UInt8>? {
        do throws(ExchangeFailure) { return try stream.next() } catch {
            throw address.unavailable(error.description)
        }
    }

    private func refusal(_ status: Int, _ body: String) -> TransferFailure {
        let message = WriteRefusal.message(body)
        guard status != 401, status != 403, let code = JSONValue(body)?["error"]?["code"]?.string
        else { return address.refusal(status: status, message: message) }
        return ExportSource.failure(code, "\(code): \(message)")
    }

    private func broken(_ reason: String) -> TransferFailure {
        address.unavailable("the answer cannot be read: \(reason)")
    }
}
