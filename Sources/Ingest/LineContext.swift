// What an event loop remembers between lines, requests and connections.
//
//     raw key "cpu,host=a"  ──ByteKeyTable──▶  SeriesEntry: id, predicted next series, pattern
//     pattern: field names as written, in order, with types  ──▶  column of each in a shape
//     shape: a set of fields with types, in the order first seen  ──▶  RowShape, shared by batches
//
// Entry, pattern and table numbers are good for one `epoch`. The epoch ends between batches only:
// when a table was dropped or the caches grew past their limit.

package import ApusStorage
internal import Synchronization

/// A series as a sender writes it.
struct SeriesEntry {
    static let unresolved = UInt32.max
    static let noPattern = UInt32.max

    /// The raw key, followed by a space. Entry 0 is a sentinel that nothing matches.
    var key: UnsafePointer<UInt8>
    var keyCount: Int
    var id: UInt32
    /// The entry whose line followed this one's the last time.
    var next: UInt32 = 0
    var pattern: UInt32
    var database: UInt32
    var table: UInt32
    /// While unresolved: the index in `newSeries` of the batch with this serial number.
    var provisionalIndex: UInt32 = 0
    var provisionalBatch: UInt64 = 0
}

/// One field of a pattern. The name as written and its `=` are one needle.
struct PatternField {
    var needle: UnsafePointer<UInt8>
    var needleCount: Int
    /// The first eight bytes of the needle, and which of them count.
    var head: UInt64
    var headMask: UInt64
    /// The last eight bytes of a needle longer than eight.
    var tail: UInt64
    var type: FieldType
    var column: UInt32
}

struct Pattern {
    var fields: UnsafeMutablePointer<PatternField>
    var fieldCount: Int
    var shape: UInt32
    var hasStrings: Bool
    var longestNameCount: Int
    /// The pattern that a series with this one had in its next line, where that was another:
    /// Telegraf writes a series in several lines with different fields.
    var successor: UInt32
}

struct TableCache {
    let database: UInt32
    let name: String
    /// What the last line that took the slow path had: a guess for a new series.
    var lastPattern = SeriesEntry.noPattern
    /// The catalog's, once it has it: looking it up takes locks.
    var known: TableEntry?
}

/// A shape and how many rows its batches had, from which the next batch takes its capacity.
struct ShapeCache {
    let shape: RowShape
    /// The columns in order of their names.
    let sortedColumns: [Int]
    private(set) var expectedRowCount = 8
    var patternCount = 0

    /// The most of the last batches: a stream's differ in size, and a group that has to grow is copied.
    mutating func expect(rowCount: Int) {
        expectedRowCount = max(rowCount, expectedRowCount - expectedRowCount / 8)
    }
}

/// Caches of one event loop or thread, shared by its parsers: raw key bytes to series id with the
/// series expected next, and field names to columns. Not thread-safe. Bounded by
/// `IngestLimits.cacheBytesMax`; emptied when a table was dropped.
package final class LineContext {
    /// Orders of the same fields that are remembered; further ones take the slow path.
    static let patternsPerShapeMax = 8
    private static let epochs = Atomic<UInt64>(1)

    let catalog: Catalog
    let limits: IngestLimits
    private(set) var epoch: UInt64
    private var dropGeneration: UInt64
    private var batchSerial: UInt64 = 0

    private(set) var rawKeys = ByteKeyTable()
    private(set) var entries: UnsafeMutablePointer<SeriesEntry>
    private var entryCapacity = 64
    private var entryCount = 1
    /// Raw key number → entry, one apart because of the sentinel.
    static let entryOffset: UInt32 = 1

    private var tableKeys = ByteKeyTable()
    var tables: [TableCache] = []
    private var patternKeys = ByteKeyTable()
    private(set) var patterns: UnsafeMutablePointer<Pattern>
    private var patternCapacity = 16
    private var patternCount = 0
    private var patternBytes = 0
    private var shapeKeys = ByteKeyTable()
    var shapes: [ShapeCache] = []
    private var databases: [NameKey: UInt32] = [:]

    var tagParser = TagParser()
    var scratch = FieldScratch()

    /// Safe: entries and patterns are owned here; their counts never pass the capacities.
    package init(catalog: Catalog, limits: IngestLimits = IngestLimits()) {
        self.catalog = catalog
        self.limits = limits
        epoch = Self.epochs.add(1, ordering: .relaxed).newValue
        dropGeneration = catalog.dropGeneration
        entries = .allocate(capacity: entryCapacity)
        patterns = .allocate(capacity: patternCapacity)
        writeSentinel()
    }

    deinit {
        freePatterns()
        entries.deallocate()
        patterns.deallocate()
    }

    /// Bytes that the caches hold, estimated.
    package var cacheBytes: Int {
        rawKeys.byteCount + entryCapacity * MemoryLayout<SeriesEntry>.stride
            + tableKeys.byteCount + patternKeys.byteCount + shapeKeys.byteCount + patternBytes
            + shapes.count * 256 + tables.count * 64 + databases.count * 64
    }

    private func writeSentinel() {
        // Safe: the key is never read, since no line has keyCount bytes; it points into memory of
        // ours all the same.
        entries[0] = SeriesEntry(
            key: UnsafeRawPointer(entries).assumingMemoryBound(to: UInt8.self), keyCount: .max,
            id: SeriesEntry.unresolved, pattern: SeriesEntry.noPattern, database: .max, table: .max)
        entryCount = 1
    }

    private func freePatterns() {
        for index in 0..<patternCount { patterns[index].fields.deallocate() }
        patternCount = 0
    }

    /// Called before a batch begins. Returns the batch's serial number and the generation of drops
    /// that the cached ids belong to.
    func beginBatch() -> (serial: UInt64, dropGeneration: UInt64) {
        let generation = catalog.dropGeneration
        if generation != dropGeneration || cacheBytes > limits.cacheBytesMax {
            forgetAll()
            dropGeneration = generation
        }
        batchSerial += 1
        return (batchSerial, generation)
    }

    private func forgetAll() {
        epoch = Self.epochs.add(1, ordering: .relaxed).newValue
        rawKeys.removeAll()
        tableKeys.removeAll()
        patternKeys.removeAll()
        shapeKeys.removeAll()
        freePatterns()
        patternBytes = 0
        entries.deallocate()
        entryCapacity = 64
        entries = .allocate(capacity: entryCapacity)
        writeSentinel()
        tables.removeAll()
        shapes.removeAll()
        databases.removeAll()
    }

    func databaseNumber(_ name: String) -> UInt32 {
        if let number = databases[NameKey(name)] { return number }
        let number = UInt32(truncatingIfNeeded: databases.count)
        databases[NameKey(name)] = number
        return number
    }

    // MARK: Series

    @inline(__always)
    func findEntry(
        _ key: UnsafePointer<UInt8>, _ count: Int, database: UInt32
    ) -> UInt32? {
        let hash = ByteKeyTable.hash(key, count, space: database)
        guard let number = rawKeys.find(key, count, hash: hash) else { return nil }
        let entry = number &+ Self.entryOffset
        return entries[Int(entry)].database == database ? entry : nil
    }

    /// Remembers a raw key that `findEntry` didn't know.
    func insertEntry(
        _ key: UnsafePointer<UInt8>, _ count: Int, database: UInt32, table: UInt32
    ) -> UInt32 {
        if entryCount == entryCapacity {
            let wider = UnsafeMutablePointer<SeriesEntry>.allocate(capacity: entryCapacity * 2)
            wider.update(from: entries, count: entryCount)
            entries.deallocate()
            entries = wider
            entryCapacity *= 2
        }
        let hash = ByteKeyTable.hash(key, count, space: database)
        let number = Int(rawKeys.insert(key, count, hash: hash))
        // The sentinel keeps entries one ahead of the keys.
        entries[entryCount] = SeriesEntry(
            key: rawKeys.keys[number].bytes, keyCount: count, id: SeriesEntry.unresolved,
            pattern: SeriesEntry.noPattern, database: database, table: table)
        entryCount += 1
        return UInt32(truncatingIfNeeded: entryCount - 1)
    }

    /// The number of a table that has a series in the cache.
    func findTable(_ name: [UInt8], database: UInt32) -> UInt32? {
        name.withUnsafeBufferPointer { bytes -> UInt32? in
            guard let base = bytes.baseAddress else { return nil }
            let hash = ByteKeyTable.hash(base, bytes.count, space: database)
            guard let number = tableKeys.find(base, bytes.count, hash: hash),
                tables[Int(number)].database == database
            else { return nil }
            return number
        }
    }

    /// The number of a table, made if need be.
    func tableNumber(_ name: [UInt8], database: UInt32) -> UInt32 {
        name.withUnsafeBufferPointer { bytes -> UInt32 in
            guard let base = bytes.baseAddress else { preconditionFailure("BUG: no table name") }
            let hash = ByteKeyTable.hash(base, bytes.count, space: database)
            if let number = tableKeys.find(base, bytes.count, hash: hash),
                tables[Int(number)].database == database
            {
                return number
            }
            tables.append(
                TableCache(database: database, name: String(decoding: bytes, as: UTF8.self)))
            return tableKeys.insert(base, bytes.count, hash: hash)
        }
    }

    /// Takes over the ids that a commit gave to the batch's new series, so that the next lines of
    /// these series hit the cache. Batches of other contexts and of past epochs are ignored.
    func learn(from batch: WriteBatch) {
        guard batch.cacheEpoch == epoch, batch.dropGeneration == catalog.dropGeneration else {
            return
        }
        for series in batch.newSeries {
            guard let id = series.resolved, series.cacheHint > 0, series.cacheHint < entryCount
            else { continue }
            entries[Int(series.cacheHint)].id = id
        }
    }

    // MARK: Patterns and shapes

    func findPattern(_ key: [UInt8]) -> UInt32? {
        key.withUnsafeBufferPointer { bytes in
            bytes.baseAddress.flatMap {
                patternKeys.find(
                    $0, bytes.count, hash: ByteKeyTable.hash($0, bytes.count, space: 0))
            }
        }
    }

    /// The shape with these fields, made if need be. `key` is the fields' sorted form.
    func shapeNumber(_ key: [UInt8], make: () -> ShapeCache) -> UInt32 {
        key.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { preconditionFailure("BUG: no fields") }
            let hash = ByteKeyTable.hash(base, bytes.count, space: 0)
            if let number = shapeKeys.find(base, bytes.count, hash: hash) { return number }
            shapes.append(make())
            return shapeKeys.insert(base, bytes.count, hash: hash)
        }
    }

    /// Remembers an order of fields. `needles` are the names as written, each with its `=`.
    func insertPattern(
        _ key: [UInt8], shape: UInt32, needles: [UnsafeRawBufferPointer], types: [FieldType],
        columns: [Int]
    ) -> UInt32 {
        if patternCount == patternCapacity {
            let wider = UnsafeMutablePointer<Pattern>.allocate(capacity: patternCapacity * 2)
            wider.update(from: patterns, count: patternCount)
            patterns.deallocate()
            patterns = wider
            patternCapacity *= 2
        }
        let text = needles.reduce(0) { $0 + $1.count + 8 }
        let stride = MemoryLayout<PatternField>.stride
        // One block: the fields, then the needles with eight bytes of slack each.
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: needles.count * stride + text, alignment: 16)
        block.initializeMemory(as: UInt8.self, repeating: 0, count: needles.count * stride + text)
        let fields = block.bindMemory(to: PatternField.self, capacity: needles.count)
        var next = (block + needles.count * stride).assumingMemoryBound(to: UInt8.self)
        for (index, needle) in needles.enumerated() {
            for (offset, byte) in needle.enumerated() { next[offset] = byte }
            let count = needle.count
            fields[index] = PatternField(
                needle: UnsafePointer(next), needleCount: count, head: loadWord(next),
                headMask: count >= 8 ? .max : (1 &<< UInt64(count * 8)) &- 1,
                tail: count > 8 ? loadWord(next + (count - 8)) : 0, type: types[index],
                column: UInt32(truncatingIfNeeded: columns[index]))
            next += count + 8
        }
        patterns[patternCount] = Pattern(
            fields: fields, fieldCount: needles.count, shape: shape,
            hasStrings: types.contains(.string),
            longestNameCount: (needles.map(\.count).max() ?? 1) - 1,
            successor: UInt32(truncatingIfNeeded: patternCount))
        patternCount += 1
        patternBytes += needles.count * stride + text + 128
        shapes[Int(shape)].patternCount += 1
        return key.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { preconditionFailure("BUG: no fields") }
            return patternKeys.insert(
                base, bytes.count, hash: ByteKeyTable.hash(base, bytes.count, space: 0))
        }
    }
}
