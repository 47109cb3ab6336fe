// Takes the framing off a response's body, in the pieces that arrive and without keeping any.
//
//     Content-Length   n bytes
//     chunked          size in hexadecimal [;extension] CR LF, size bytes, CR LF, …
//                      0 CR LF, trailer lines, CR LF
//     neither          everything until the connection ends

/// A state machine without I/O.
package struct BodyDecoder: Sendable {
    private enum State: Equatable {
        case bytes(leftCount: Int)
        case untilEnd
        case size(value: Int, digitCount: Int)
        case sizeExtension(value: Int)
        case chunk(leftCount: Int)
        case chunkEnd
        case trailer(lineByteCount: Int)
        case done
    }

    /// Sixteen hexadecimal digits could overflow; no server sends a piece of this size.
    private static let sizeDigitsMax = 12

    private var state: State

    package init(_ end: ResponseHead.BodyEnd) {
        switch end {
        case .length(let count): state = count == 0 ? .done : .bytes(leftCount: count)
        case .chunks: state = .size(value: 0, digitCount: 0)
        case .connection: state = .untilEnd
        }
    }

    /// Whether the last byte was taken.
    package var isDone: Bool { state == .done }

    /// Whether an end of the connection here is the end of the body, and not a cut.
    package var mayEndHere: Bool { state == .done || state == .untilEnd }

    /// Takes bytes from the front of what arrived and returns the next run of body bytes. Nil when
    /// everything is used up, or the body is done; what is left then belongs to the next answer.
    package mutating func next(
        from arrived: inout ArraySlice<UInt8>
    ) throws(HTTPAnswerError) -> ArraySlice<UInt8>? {
        while state != .done, !arrived.isEmpty {
            switch state {
            case .untilEnd:
                defer { arrived = arrived.dropFirst(arrived.count) }
                return arrived
            case .bytes(let leftCount):
                let run = take(leftCount, from: &arrived)
                state = run.count == leftCount ? .done : .bytes(leftCount: leftCount - run.count)
                return run
            case .chunk(let leftCount):
                let run = take(leftCount, from: &arrived)
                state =
                    run.count == leftCount ? .chunkEnd : .chunk(leftCount: leftCount - run.count)
                return run
            default:
                state = try state(after: arrived.removeFirst())
            }
        }
        return nil
    }

    private func take(_ count: Int, from arrived: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let run = arrived.prefix(count)
        arrived = arrived.dropFirst(run.count)
        return run
    }

    private func state(after byte: UInt8) throws(HTTPAnswerError) -> State {
        switch state {
        case .size(let value, let digitCount):
            if let digit = Character(UnicodeScalar(byte)).hexDigitValue {
                guard digitCount < Self.sizeDigitsMax else { throw .malformed }
                return .size(value: value << 4 | digit, digitCount: digitCount + 1)
            }
            guard digitCount > 0, [10, 13, 9, 32, UInt8(ascii: ";")].contains(byte) else {
                throw .malformed
            }
            return byte == 10 ? afterSize(value) : .sizeExtension(value: value)
        case .sizeExtension(let value):
            return byte == 10 ? afterSize(value) : state
        case .chunkEnd:
            if byte == 10 { return .size(value: 0, digitCount: 0) }
            guard byte == 13 else { throw .malformed }
            return state
        case .trailer(let lineByteCount):
            guard byte == 10 else {
                return .trailer(lineByteCount: lineByteCount + (byte == 13 ? 0 : 1))
            }
            return lineByteCount == 0 ? .done : .trailer(lineByteCount: 0)
        case .bytes, .untilEnd, .chunk, .done: return state
        }
    }

    private func afterSize(_ value: Int) -> State {
        value == 0 ? .trailer(lineByteCount: 0) : .chunk(leftCount: value)
    }
}
