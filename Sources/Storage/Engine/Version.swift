// What readers see: one immutable version of segments, the heads, and how far they are visible.

/// A segment that is in use, or that is set aside because its file is damaged.
package final class LoadedSegment: Sendable {
    package let entry: Manifest.Segment
    /// Nil if the file is damaged or missing.
    package let reader: SegmentReader?
    package let damage: StorageError?

    init(entry: Manifest.Segment, reader: SegmentReader?, damage: StorageError?) {
        self.entry = entry
        self.reader = reader
        self.damage = damage
    }

    static func open(_ fileSystem: any FileSystem, _ entry: Manifest.Segment) -> LoadedSegment {
        do throws(StorageError) {
            let reader = try SegmentReader.open(fileSystem, path: entry.path)
            guard reader.byteCount == entry.byteCount else {
                throw .corrupt(
                    file: entry.path, offset: UInt64(reader.byteCount),
                    reason: "\(reader.byteCount) bytes, \(entry.byteCount) expected")
            }
            return LoadedSegment(entry: entry, reader: reader, damage: nil)
        } catch {
            return LoadedSegment(entry: entry, reader: nil, damage: error)
        }
    }
}

/// The segments of one moment, by first sequence.
package final class Version: Sendable {
    package let segments: [LoadedSegment]

    init(segments: [LoadedSegment]) {
        self.segments = segments.sorted {
            ($0.entry.firstSequence, $0.entry.number) < ($1.entry.firstSequence, $1.entry.number)
        }
    }

    var damaged: [LoadedSegment] { segments.filter { $0.reader == nil } }
}

/// A head that no row is added to any more, with what has to go to disk along with it.
struct FrozenHead: Sendable {
    let head: Head
    /// Every row and definition at or below is in this head, in an older one, or on disk.
    let flushThrough: UInt64
    let mark: CatalogMark
}

/// Guarded by the publish lock.
struct Published: Sendable {
    var version: Version
    var frozen: [FrozenHead] = []
    var active: Head
    var visibleSequence: UInt64 = 0
}
