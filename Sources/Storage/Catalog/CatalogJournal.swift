/// Catalog entries that no log record holds yet, in order, in pieces of a size that a record can
/// hold: a journal that has grown while the disk was full must not need one record for all.
struct CatalogJournal: Sendable {
    /// A piece is closed by the entry that reaches this.
    static let pieceBytes = 4 << 20

    private var closed: [[UInt8]] = []
    private var open = ByteWriter()

    /// The pieces, oldest first; none is empty.
    var pieces: [[UInt8]] { open.count == 0 ? closed : closed + [open.bytes] }

    mutating func record(_ entry: CatalogEntry) {
        entry.append(to: &open)
        guard open.count >= Self.pieceBytes else { return }
        closed.append(open.bytes)
        open = ByteWriter()
    }

    /// All pieces; none are left.
    mutating func take() -> [[UInt8]] {
        let pieces = pieces
        self = CatalogJournal()
        return pieces
    }

    /// Puts pieces in front that were taken and could not be logged. Small ones join, or every
    /// attempt on a full disk would leave one more.
    mutating func giveBack(_ pieces: [[UInt8]]) {
        let newer = closed
        closed = []
        for piece in pieces + newer {
            if let last = closed.last, last.count + piece.count <= Self.pieceBytes {
                closed[closed.count - 1] += piece
            } else {
                closed.append(piece)
            }
        }
    }
}
