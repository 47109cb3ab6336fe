// What readers see: one immutable version of segments, the heads, and how far they are visible.

/// A segment that is in use, or that is set aside as a whole or for some of its tables because
/// its file is damaged.
package final class LoadedSegment: Sendable {
    /// Which rows are out of reach.
    private enum Loss: Sendable {
        case nothing
        /// Those of some tables, between the times of the footer.
        case tables([UInt32: ClosedRange<Int64>])
        /// Nobody knows whose; MANIFEST has their times.
        case unknown
    }

    package let entry: Manifest.Segment
    /// Nil if the file as a whole is damaged or missing.
    package let reader: SegmentReader?
    /// What was found first.
    package let damage: StorageError?
    private let loss: Loss

    private init(
        entry: Manifest.Segment, reader: SegmentReader?, damage: StorageError?, loss: Loss
    ) {
        self.entry = entry
        self.reader = reader
        self.damage = damage
        self.loss = loss
    }

    static func open(_ fileSystem: any FileSystem, _ entry: Manifest.Segment) -> LoadedSegment {
        do throws(StorageError) {
            let reader = try SegmentReader.open(fileSystem, path: entry.path)
            guard reader.byteCount == entry.byteCount else {
                throw .corrupt(
                    file: entry.path, offset: UInt64(reader.byteCount),
                    reason: "\(reader.byteCount) bytes, \(entry.byteCount) expected")
            }
            guard entry.describes(reader.identity) else {
                throw .corrupt(
                    file: entry.path, offset: UInt64(reader.footer.lowerBound),
                    reason: "this is another segment than MANIFEST names")
            }
            return LoadedSegment(entry: entry, reader: reader, damage: nil, loss: .nothing)
        } catch {
            let known = SegmentReader.salvageFooter(fileSystem, path: entry.path)
            guard case .corrupt = error, let known, entry.describes(known.identity) else {
                return LoadedSegment(entry: entry, reader: nil, damage: error, loss: .unknown)
            }
            return LoadedSegment(
                entry: entry, reader: nil, damage: error, loss: .tables(known.times))
        }
    }

    /// A table's rows; nil if there are none, or if they are out of reach.
    package func table(id: UInt32) -> SegmentTable? {
        if case .tables(let lost) = loss, lost[id] != nil { return nil }
        return reader?.table(id: id)
    }

    /// The times between which rows of a table are out of reach; nil if none is.
    package func lostTimes(ofTable id: UInt32) -> ClosedRange<Int64>? {
        switch loss {
        case .nothing: nil
        case .tables(let lost): lost[id]
        case .unknown: entry.minTime...max(entry.minTime, entry.maxTime)
        }
    }

    /// The same without the table in which damage was met, or without any if it lies in no table.
    func settingAside(_ error: StorageError, at offset: UInt64) -> LoadedSegment {
        guard let reader else { return self }
        var lost: [UInt32: ClosedRange<Int64>] = [:]
        if case .tables(let known) = loss { lost = known }
        let hit = reader.isUnreadable ? nil : reader.tables.first { $0.holds(offset) }
        for table in hit.map({ [$0] }) ?? reader.tables where table.rowCount > 0 {
            lost[table.schema.tableID] = table.minTime...table.maxTime
        }
        return LoadedSegment(
            entry: entry, reader: hit == nil ? nil : reader, damage: damage ?? error,
            loss: .tables(lost))
    }
}

extension Manifest.Segment {
    /// Whether a footer is that of the segment.
    fileprivate func describes(_ identity: SegmentIdentity) -> Bool {
        identity.number == number && identity.databaseID == databaseID
            && identity.partitionStart == partitionStart
            && identity.partitionNanoseconds == partitionNanoseconds
            && identity.firstSequence == firstSequence && identity.lastSequence == lastSequence
    }
}

/// The segments of one moment, by first sequence.
package final class Version: Sendable {
    package let segments: [LoadedSegment]
    let damaged: [LoadedSegment]

    init(segments: [LoadedSegment]) {
        self.segments = segments.sorted {
            ($0.entry.firstSequence, $0.entry.number) < ($1.entry.firstSequence, $1.entry.number)
        }
        damaged = self.segments.filter { $0.damage != nil }
    }
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
    /// What is deleted, by table.
    var tombstones: [UInt32: TableTombstones] = [:]
    /// Of the last head that was flushed since the store was opened, its last sequence.
    var flushedSequence: UInt64 = 0

    /// What heads hold of a table, oldest first.
    func chunks(of table: TableEntry) -> [ChunkView] {
        (frozen.map(\.head) + [active]).flatMap { head in
            head.tables[table.id]?.chunks.map(\.published) ?? []
        }
    }

    /// Whether rows of a partition wait in a head. False for one that had a segment before.
    func headsHold(partition start: Int64, of database: DatabaseEntry) -> Bool {
        active.partitions[database.id]?.contains(start) ?? false
            || frozen.contains { $0.head.partitions[database.id]?.contains(start) ?? false }
    }
}
