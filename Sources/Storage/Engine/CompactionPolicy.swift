/// Chooses segments of one partition to merge. Inputs are always adjacent in sequence order, so
/// that "the later write wins" needs no more than the order of segments.
enum CompactionPolicy {
    /// The first run of at least `fanIn` adjacent segments of like size, or nil.
    ///
    /// Like sizes (each at most four times the smallest of the run) keep the write amplification
    /// at about the logarithm of the partition's size to the base of `fanIn`.
    static func choose(_ segments: [LoadedSegment], fanIn: Int) -> [LoadedSegment]? {
        for partition in partitions(segments, databaseID: nil) {
            var start = 0
            while start < partition.count {
                var smallest = partition[start].entry.byteCount
                var largest = smallest
                var end = start + 1
                while end < partition.count {
                    let size = partition[end].entry.byteCount
                    guard max(largest, size) <= 4 * max(min(smallest, size), 64 << 10) else {
                        break
                    }
                    smallest = min(smallest, size)
                    largest = max(largest, size)
                    end += 1
                }
                if end - start >= max(2, fanIn) { return Array(partition[start..<end]) }
                start += 1
            }
        }
        return nil
    }

    /// All segments of some partition that has more than one, or one that isn't cold; or nil.
    static func everything(
        _ segments: [LoadedSegment], databaseID: UInt32?, but isDone: (Manifest.Segment) -> Bool
    ) -> [LoadedSegment]? {
        partitions(segments, databaseID: databaseID).first {
            ($0.count > 1 || !isCold($0[0])) && !isDone($0[0].entry)
        }
    }

    /// Segments of a partition that gets no more rows, and that are not cold yet: the first run of
    /// adjacent ones, or nil. Those that are cold already stay as they are, so that a few late rows
    /// don't rewrite a day.
    static func coolable(
        _ segments: [LoadedSegment], isQuiet: (Manifest.Segment) -> Bool
    ) -> [LoadedSegment]? {
        for partition in partitions(segments, databaseID: nil) where isQuiet(partition[0].entry) {
            guard let start = partition.firstIndex(where: { !isCold($0) }) else { continue }
            return Array(partition[start...].prefix { !isCold($0) })
        }
        return nil
    }

    /// How a merge of segments is to be encoded: what is merged for good stays what it is.
    static func level(merging segments: [LoadedSegment]) -> EncodeOptions.Level {
        segments.allSatisfy(isCold) ? .cold : .hot
    }

    private static func isCold(_ segment: LoadedSegment) -> Bool {
        segment.reader?.identity.level == .cold
    }

    /// Runs of sound segments by partition: a damaged one is never merged and splits its run.
    private static func partitions(_ segments: [LoadedSegment], databaseID: UInt32?)
        -> [[LoadedSegment]]
    {
        struct Key: Hashable { var database: UInt32; var start: Int64; var run: Int }
        var runs: [Key: [LoadedSegment]] = [:]
        var order: [Key] = []
        var breaks: [Key: Int] = [:]
        for segment in segments where databaseID == nil || segment.entry.databaseID == databaseID {
            let place = Key(
                database: segment.entry.databaseID, start: segment.entry.partitionStart, run: 0)
            guard segment.damage == nil else {
                breaks[place, default: 0] += 1
                continue
            }
            let key = Key(database: place.database, start: place.start, run: breaks[place] ?? 0)
            if runs[key] == nil { order.append(key) }
            runs[key, default: []].append(segment)
        }
        return order.compactMap { runs[$0] }
    }
}
