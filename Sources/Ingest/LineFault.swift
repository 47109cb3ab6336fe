internal import ApusStorage

/// Why a line was refused and where, before it becomes a `LineRejection`.
///
/// Safe: `position` lies in the line and the fault never leaves the call that parses it.
struct LineFault: Error, @unchecked Sendable {
    var kind = LineRejection.Kind.malformed
    /// The byte at fault.
    var position: UnsafePointer<UInt8>
    var reason: String
    /// Bytes from `position` on that the message quotes, made harmless and cut.
    var quoted = 0

    static let quotedBytesMax = 64

    init(
        _ reason: String, at position: UnsafePointer<UInt8>, quoted: Int = 0,
        kind: LineRejection.Kind = .malformed
    ) {
        self.kind = kind
        self.position = position
        self.reason = reason
        self.quoted = quoted
    }

    /// The reason, with at most 64 printable ASCII bytes of the line behind it. Safe: `quoted`
    /// never passes the end of the line.
    var message: String {
        guard quoted > 0 else { return reason }
        var text = reason + " '"
        for index in 0..<min(quoted, Self.quotedBytesMax) {
            let byte = position[index]
            let isPlain = byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "'")
            text.unicodeScalars.append(Unicode.Scalar(isPlain ? byte : UInt8(ascii: "?")))
        }
        return text + (quoted > Self.quotedBytesMax ? "…'" : "'")
    }
}
