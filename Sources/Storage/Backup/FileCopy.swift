// Copies and compares single files of two directories.

enum FileCopy {
    private static let pieceBytes = 1 << 20

    /// Copies the first `byteCount` bytes and syncs them.
    ///
    /// - Throws: `corrupt` if the source has fewer; and what reading and writing throw.
    static func copy(
        _ path: String, from source: any FileSystem, into target: any FileSystem, byteCount: Int,
        isWholeFile: Bool = true
    ) throws(StorageError) {
        let from = try source.open(path, create: false)
        let size = try from.size
        guard isWholeFile ? size == byteCount : size >= byteCount else {
            throw .corrupt(
                file: path, offset: UInt64(min(size, byteCount)),
                reason: "\(size) bytes, \(byteCount) expected")
        }
        let to = try target.open(path, create: true)
        var offset = 0
        while offset < byteCount {
            let piece = try from.readBytes(at: offset, count: min(pieceBytes, byteCount - offset))
            guard !piece.isEmpty else {
                throw .corrupt(file: path, offset: UInt64(offset), reason: "the file ends early")
            }
            try to.writeBytes(piece, at: offset)
            to.startWriteback(offset: offset, count: piece.count)
            offset += piece.count
        }
        try to.sync()
    }

    /// Whether a sealed file is the same in two directories: whole catalog files are compared, and
    /// of segments the footer, which holds checksums of all the rest.
    ///
    /// - Throws: also `io` where `second` has no such file; one that `first` lacks is not the same.
    static func isSame(
        _ path: String, in first: any FileSystem, and second: any FileSystem
    ) throws(StorageError) -> Bool {
        guard first.exists(path) else { return false }
        let left = try first.open(path, create: false)
        let right = try second.open(path, create: false)
        let size = try left.size
        guard size == (try right.size) else { return false }
        var start = 0
        if path.hasSuffix(".segment"), size >= SegmentLayout.trailerByteCount {
            let trailer = try left.readBytes(
                at: size - SegmentLayout.trailerByteCount,
                count: SegmentLayout.trailerByteCount)
            let footer = trailer.prefix(8).reversed().reduce(0 as UInt64) { $0 &<< 8 | UInt64($1) }
            start = Int(clamping: min(footer, UInt64(size - SegmentLayout.trailerByteCount)))
        }
        while start < size {
            let count = min(pieceBytes, size - start)
            guard
                try left.readBytes(at: start, count: count)
                    == right.readBytes(at: start, count: count)
            else { return false }
            start += count
        }
        return true
    }
}
