// Takes CSV apart as it arrives, in pieces of any size.
//
//     start ──byte──▶ plain ──,──▶ start          an empty plain field is NULL
//       └────"────▶ quoted ──"──▶ behind ──,──▶   an empty quoted field is ''
//                      ▲           │"
//                      └───────────┘              a quote twice is one

/// A state machine without I/O.
package struct CSVDecoder: Sendable {
    private enum State { case start, plain, quoted, behindQuote }

    private var state = State.start
    private var row = AnswerRow()

    package init() {}

    /// Hands over every record that is complete.
    package mutating func feed(
        _ piece: ArraySlice<UInt8>,
        _ record: (AnswerRow) throws(TransferFailure) -> Void
    ) throws(TransferFailure) {
        for byte in piece {
            if state == .quoted {
                if byte == 0x22 { state = .behindQuote } else { row.append(byte: byte) }
                continue
            }
            switch byte {
            case 0x2C:
                row.endColumn(isNull: state == .start)
                state = .start
            case 0x0A:
                row.endColumn(isNull: state == .start)
                state = .start
                let complete = row
                row.removeAll()
                try record(complete)
            case 0x22 where state == .start: state = .quoted
            case 0x22 where state == .behindQuote:
                row.append(byte: byte)
                state = .quoted
            default:
                row.append(byte: byte)
                state = .plain
            }
        }
    }

    /// Whether the bytes so far end with a record.
    package var isAtRecordEnd: Bool { state == .start && row.count == 0 }
}
