// The scan of one table over everything its rows lie in: segments and head chunks, merged.
//
// Queries, flush and compaction all read through here. Inputs may overlap in series and time, and
// may hold the same (series, time) several times; what comes out does not: each row once, its
// fields resolved one by one, the latest input that has the field first.
//
//   plan      SourceScan         what of each input can matter, conversions    this file, …Input
//   pieces    SourceScanPiece    ranges of series of about equal work          …Pieces
//   run       ScanRun            series by series, slices into groups          …Run
//     cut     HiddenTimes        slices without what tombstones hide           …Hidden
//     where   Segment-, ChunkCursor   the next series and its slices           …Cursor
//     groups  lone slices decode straight into the output; overlapping ones of chunks are put in
//             order of time where no two rows share one, all others merge   …Interleave, …Merge
//
// Order: a piece goes through its series in ascending order, each series by ascending time. With
// `latestOnly` there is one row a series. Summaries take their place in that order.

/// Where rows of one table lie.
///
/// Later inputs win: `priority` orders them (segments by sequence, then frozen heads, then the
/// active head). Chunks of one head share a priority, and their rows' `order` decides among them.
/// An input is wholly older or newer than a tombstone, but for segments that it was applied to.
package struct ScanInput: Sendable {
    package enum Source: Sendable {
        case segment(SegmentTable)
        case chunk(ChunkView)
    }

    package var source: Source
    package var priority: Int
    /// What hides some of the rows.
    let hidden: [Tombstone]

    /// - Parameter tombstones: The table's.
    package init(source: Source, priority: Int, tombstones: [Tombstone] = []) {
        self.source = source
        self.priority = priority
        hidden = Self.hiding(tombstones, in: source)
    }
}

/// An independent part of a scan: all rows of a range of series.
package struct SourceScanPiece: Sendable {
    package var series: ClosedRange<UInt32>
    package var estimatedRows: Int
}

/// A scan of one table. Immutable; pieces may run on any threads at the same time.
package struct SourceScan: Sendable {
    let plan: ScanPlan

    /// - Parameter fieldTypes: The types of `request.fields` that are wanted, in the same order;
    ///   what is stored with a narrower numeric type is converted.
    /// - Throws: `corrupt` if a directory is damaged or holds a field with a type that cannot
    ///   become the table's; `limit` if the inputs know a wider numeric type than `fieldTypes`, which
    ///   a newer schema has.
    /// - Complexity: O(inputs and blocks that may matter).
    package init(
        inputs: [ScanInput], request: ScanRequest, fieldTypes: [FieldType]
    ) throws(StorageError) {
        precondition(request.fields.count == fieldTypes.count, "BUG: a type for every field")
        plan = try ScanPlan(inputs: inputs, request: request, fieldTypes: fieldTypes)
    }

    /// Independent pieces by series range, each of about `rowsPerMorsel` rows, by ascending series;
    /// none when nothing can match. `Int.max` gives at most one piece.
    package func pieces(rowsPerMorsel: Int) -> [SourceScanPiece] {
        plan.pieces(rowsPerMorsel: max(1, rowsPerMorsel))
    }

    /// Hands a piece's rows to the consumer, until it is done.
    /// - Parameter range: Rows of other times are left out.
    /// - Throws: `corrupt`, `unsupportedFormat`, or what the consumer throws.
    package func run<Consumer: ScanConsumer>(
        _ piece: SourceScanPiece, within range: TimeRange = .all, into consumer: inout Consumer,
        counters: inout ScanCounters
    ) throws(StorageError) {
        // Without a span there are no inputs either.
        guard let span = TimeSpan(plan.request.timeRange.intersection(range)) else { return }
        var run = try ScanRun(plan: plan, piece: piece, span: span, counters: &counters)
        try run.scan(into: &consumer, counters: &counters)
        // Statistics are read where they are mapped, and may have skipped what they should not.
        for segment in plan.segments { try segment.directory.storage.file.checkReadable() }
    }

    /// Rows that the scan will look at, guessed from directories and counts.
    package var estimatedRows: Int { plan.estimatedRows }
}
