internal import Synchronization

// What a scan keeps of each input: where its wanted fields lie, and how their values convert.

/// How a stored slot becomes one of the type wanted.
enum SlotConversion: UInt8, Sendable {
    case none
    case signedToFloat
    case unsignedToFloat
    /// int64 and uint64 are the same bits.
    case reinterpret

    init?(from stored: FieldType, to current: FieldType) {
        switch (stored, current) {
        case _ where stored == current: self = .none
        case (.int64, .float64): self = .signedToFloat
        case (.uint64, .float64): self = .unsignedToFloat
        case (.int64, .uint64), (.uint64, .int64): self = .reinterpret
        default: return nil
        }
    }

    /// The field was widened after the caller had read the schema, and before it took the inputs.
    static func outdated(_ field: UInt32, _ stored: FieldType) -> StorageError {
        .limit("field \(field) became \(stored.name) while the scan was planned: plan it again")
    }
}

/// Where an input has a wanted field.
struct ScanField: Sendable {
    /// -1 if the input doesn't have it.
    var column: Int
    var stored: FieldType
    var conversion: SlotConversion
}

/// A closed range of times.
struct TimeSpan: Sendable {
    var first: Int64
    var last: Int64

    init(first: Int64, last: Int64) {
        self.first = first
        self.last = last
    }

    /// Nil if the range holds no instant.
    init?(_ range: TimeRange) {
        guard range.upper != .min else { return nil }
        first = range.lower
        last = range.upper == .max ? .max : range.upper - 1
        guard first <= last else { return nil }
    }

    func covers(_ otherFirst: Int64, _ otherLast: Int64) -> Bool {
        first <= otherFirst && otherLast <= last
    }

    @inline(__always)
    func overlaps(_ otherFirst: Int64, _ otherLast: Int64) -> Bool {
        otherFirst <= last && otherLast >= first
    }
}

final class SegmentInput: Sendable {
    let directory: BlockDirectory
    let fields: [ScanField]
    let priority: Int
    // Copies of the directory's arrays, which a cursor reads without touching a reference count;
    // `directory` keeps the memory.
    let firstSeries: PackedArray
    let lastSeries: PackedArray
    let minTimes: PackedArray
    let maxTimes: PackedArray
    let rowCounts: PackedArray
    let runCounts: PackedArray

    init(
        _ directory: BlockDirectory, request: ScanRequest, fieldTypes: [FieldType], priority: Int
    ) throws(StorageError) {
        self.directory = directory
        self.priority = priority
        firstSeries = directory.firstSeriesIDs
        lastSeries = directory.lastSeriesIDs
        minTimes = directory.minTimes
        maxTimes = directory.maxTimes
        rowCounts = directory.storage.arrays[DirectoryArray.rowCount]
        runCounts = directory.storage.arrays[DirectoryArray.runCount]
        var fields: [ScanField] = []
        for (index, id) in request.fields.enumerated() {
            guard let column = directory.columnIndex(id) else {
                fields.append(ScanField(column: -1, stored: fieldTypes[index], conversion: .none))
                continue
            }
            let stored = directory.columnType(column)
            guard let conversion = SlotConversion(from: stored, to: fieldTypes[index]) else {
                guard !stored.isNumeric || !fieldTypes[index].isNumeric else {
                    throw SlotConversion.outdated(id, stored)
                }
                throw .corrupt(
                    file: directory.storage.path,
                    offset: UInt64(directory.storage.stretchStarts[0]),
                    reason:
                        "field \(id) is \(stored.name), the table's is \(fieldTypes[index].name)")
            }
            fields.append(ScanField(column: column, stored: stored, conversion: conversion))
        }
        self.fields = fields
    }

    /// The first block from `start` on whose last series is `series` or later.
    func firstBlock(reaching series: UInt32, from start: Int) -> Int {
        let wanted = UInt64(series)
        var (low, high) = (start, lastSeries.count)
        // Mostly it is one of the next.
        if low < high, lastSeries[low] >= wanted { return low }
        while low < high {
            let middle = (low + high) / 2
            if lastSeries[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

final class ChunkInput: Sendable {
    let view: ChunkView
    let fields: [ScanField]
    let priority: Int
    /// Nil if there are strings among the fields.
    let columns: ChunkColumns?
    private let sorted: Mutex<SortedRows?>

    init(
        _ view: ChunkView, request: ScanRequest, fieldTypes: [FieldType], priority: Int
    ) throws(StorageError) {
        self.view = view
        self.priority = priority
        sorted = Mutex(view.sortedRows)
        var fields: [ScanField] = []
        for (index, id) in request.fields.enumerated() {
            guard let column = view.shape.ids.firstIndex(of: id) else {
                fields.append(ScanField(column: -1, stored: fieldTypes[index], conversion: .none))
                continue
            }
            let stored = view.shape.types[column]
            guard let conversion = SlotConversion(from: stored, to: fieldTypes[index]) else {
                throw SlotConversion.outdated(id, stored)
            }
            fields.append(ScanField(column: column, stored: stored, conversion: conversion))
        }
        self.fields = fields
        columns = ChunkColumns(view.storage, fields, priority: priority)
    }

    deinit { columns?.deallocate() }

    /// The chunk's rows in order; sorted at the first call, which others wait for, as they need the
    /// same.
    func sortedRows(_ request: ScanRequest) -> SortedRows {
        sorted.withLock { known in
            if let known { return known }
            let rows = ChunkSort.sort(view, only: request.series, in: request.timeRange)
            known = rows
            return rows
        }
    }
}

extension ScanInput {
    fileprivate var lastTime: Int64 {
        switch source {
        case .segment(let table): table.maxTime
        case .chunk(let view): view.lastTime
        }
    }
}

/// The shared part of a scan.
final class ScanPlan: Sendable {
    let request: ScanRequest
    let fieldTypes: [FieldType]
    /// Nil: the range is empty, and there are no inputs.
    let span: TimeSpan?
    let segments: [SegmentInput]
    let chunks: [ChunkInput]
    let segmentEstimates: [Int]
    let chunkEstimates: [Int]
    /// What is hidden of each input, segments first; empty if nothing is.
    let hidden: [[Tombstone]]
    /// Series outside cannot be in the answer.
    let seriesRange: ClosedRange<UInt32>
    let estimatedRows: Int

    init(
        inputs: [ScanInput], request: ScanRequest, fieldTypes: [FieldType]
    ) throws(StorageError) {
        self.request = request
        self.fieldTypes = fieldTypes
        span = TimeSpan(request.timeRange)
        let seriesRange = Self.seriesRange(request.series)
        var segments: [SegmentInput] = []
        var chunks: [ChunkInput] = []
        var segmentEstimates: [Int] = []
        var chunkEstimates: [Int] = []
        var hidden: (segments: [[Tombstone]], chunks: [[Tombstone]]) = ([], [])
        if let span, let seriesRange {
            for input in request.latestOnly
                ? inputs.sorted(by: { $0.lastTime > $1.lastTime }) : inputs
            {
                switch input.source {
                case .segment(let table):
                    guard table.rowCount > 0, span.overlaps(table.minTime, table.maxTime) else {
                        continue
                    }
                    let segment = try SegmentInput(
                        try table.directory(), request: request, fieldTypes: fieldTypes,
                        priority: input.priority)
                    let rows = Self.estimate(segment, request.series, span, seriesRange)
                    guard rows > 0 else { continue }
                    segments.append(segment)
                    hidden.segments.append(input.hidden)
                    segmentEstimates.append(rows)
                case .chunk(let view):
                    guard view.rowCount > 0, span.overlaps(view.firstTime, view.lastTime) else {
                        continue
                    }
                    let chunk = try ChunkInput(
                        view, request: request, fieldTypes: fieldTypes, priority: input.priority)
                    let rows = Self.estimate(view, request.series, span, seriesRange)
                    guard rows > 0 else { continue }
                    chunks.append(chunk)
                    hidden.chunks.append(input.hidden)
                    chunkEstimates.append(rows)
                }
            }
        }
        self.segments = segments
        self.chunks = chunks
        self.segmentEstimates = segmentEstimates
        self.chunkEstimates = chunkEstimates
        let all = hidden.segments + hidden.chunks
        self.hidden = all.contains { !$0.isEmpty } ? all : []
        self.seriesRange = seriesRange ?? 0...0
        estimatedRows = segmentEstimates.reduce(0, +) + chunkEstimates.reduce(0, +)
    }

    private static func seriesRange(_ set: SeriesSet?) -> ClosedRange<UInt32>? {
        guard let set else { return 0...UInt32.max }
        guard let first = set.next(from: 0),
            let word = set.words.lastIndex(where: { $0 != 0 })
        else { return nil }
        let last = UInt32(truncatingIfNeeded: word * 64 + 63 - set.words[word].leadingZeroBitCount)
        return first...max(first, last)
    }
}
