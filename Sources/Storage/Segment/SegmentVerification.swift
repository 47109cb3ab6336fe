// Reads a whole segment and names everything that is wrong with it, for `apus check`.
//
// The work is cut into parts that can be done apart, on any thread; `assemble` puts what they found
// into the order of the file, so that it doesn't depend on how many threads there were.

/// A part of a segment's verification: blocks `blocks` of one stretch of one table.
struct SegmentPart: Sendable {
    var table: Int
    /// Nil for runs and times.
    var column: Int?
    var blocks: Range<Int>
}

/// What a part found.
struct SegmentPartResult: Sendable {
    var findings: [SegmentReader.Finding] = []
    /// The series of a part's runs; nil if some block could not be read.
    var seriesIDs: [UInt32]? = []
}

extension SegmentReader {
    /// A violation: where in the file, and what.
    package typealias Finding = (offset: UInt64, what: String)

    /// Checks every checksum, decodes every block, compares statistics, order and paddings.
    /// - Returns: Findings in file order by table, at most one a column block; empty if all is well.
    /// - Complexity: as long as decoding everything.
    package func verify() -> [Finding] {
        let scratch = CheckScratch()
        let parts = verificationParts(rowsMax: .max)
        return assemble(parts, parts.map { verify($0, scratch) })
    }

    /// The parts in file order. A table whose directory can't be read has none.
    /// - Parameter rowsMax: A part ends after so many rows.
    func verificationParts(rowsMax: Int) -> [SegmentPart] {
        var parts: [SegmentPart] = []
        for (index, table) in tables.enumerated() {
            guard let directory = try? table.directory() else { continue }
            var ranges: [Range<Int>] = []
            var (first, rows) = (0, 0)
            for block in 0..<directory.blockCount {
                rows += directory.rowCount(block)
                let endsPage = directory.storage.endOfPage(of: block) == block + 1
                guard rows >= rowsMax && endsPage || block == directory.blockCount - 1 else {
                    continue
                }
                ranges.append(first..<(block + 1))
                (first, rows) = (block + 1, 0)
            }
            for column in [nil] + (0..<directory.columnCount).map({ Optional($0) }) {
                for range in ranges {
                    parts.append(SegmentPart(table: index, column: column, blocks: range))
                }
            }
        }
        return parts
    }

    func verify(_ part: SegmentPart, _ scratch: CheckScratch) -> SegmentPartResult {
        var result = SegmentPartResult()
        // A directory that could be read once can be read again; `assemble` tells of the others.
        guard let directory = try? tables[part.table].directory() else { return result }
        if let column = part.column {
            checkColumn(directory, column, part.blocks, scratch, &result.findings)
        } else {
            result.seriesIDs = checkRows(directory, part.blocks, scratch, &result.findings)
        }
        return result
    }

    /// All findings of the segment, those of the parts among them.
    func assemble(_ parts: [SegmentPart], _ results: [SegmentPartResult]) -> [Finding] {
        var findings: [Finding] = []
        var next = 0
        for (index, table) in tables.enumerated() {
            var seriesIDs: [UInt32]? = []
            var partFindings: [Finding] = []
            while next < parts.count, parts[next].table == index {
                partFindings += results[next].findings
                if parts[next].column == nil {
                    if let more = results[next].seriesIDs {
                        // A series may go on in the next part.
                        let isSplit = seriesIDs?.last == more.first
                        seriesIDs?.append(contentsOf: more.dropFirst(isSplit ? 1 : 0))
                    } else {
                        seriesIDs = nil
                    }
                }
                next += 1
            }
            verify(table, partFindings, seriesIDs, &findings)
        }
        let lastEnd = tables.last?.entry.end ?? SegmentLayout.headerByteCount
        checkZeros(lastEnd..<footer.lowerBound, &findings)
        checkZeros(footer.upperBound..<(byteCount - SegmentLayout.trailerByteCount), &findings)
        if let failure = file.failure { note(failure, at: 0, &findings) }
        return findings
    }

    private func checkZeros(_ range: Range<Int>, _ findings: inout [Finding]) {
        for offset in range where file.bytes[offset] != 0 {
            findings.append((UInt64(offset), "padding is not zero"))
            return
        }
    }

    func note(_ error: StorageError, at offset: Int, _ findings: inout [Finding]) {
        if case .corrupt(_, let place, let reason) = error {
            findings.append((place, reason))
        } else {
            findings.append((UInt64(offset), error.description))
        }
    }

    private func verify(
        _ table: SegmentTable, _ partFindings: [Finding], _ seriesIDs: [UInt32]?,
        _ findings: inout [Finding]
    ) {
        do throws(StorageError) {
            let directory = try table.directory()
            let dataEnd = directory.storage.stretchStarts.last ?? table.entry.dataOffset
            checkZeros(dataEnd..<table.entry.directoryOffset, &findings)
            checkStretches(directory, &findings)
            findings += partFindings
            checkKeys(table, seriesIDs, &findings)
        } catch {
            note(error, at: table.entry.directoryOffset, &findings)
            do throws(StorageError) { try table.forEachSeriesKey { _, _ in } } catch {
                note(error, at: table.entry.keysOffset, &findings)
            }
        }
    }

    /// Pages of a group fill their stretches to the last byte, and symbol tables are whole.
    private func checkStretches(_ directory: BlockDirectory, _ findings: inout [Finding]) {
        let storage = directory.storage
        for group in 0..<storage.layout.groupCount {
            let lastBlock = storage.groupFirstBlocks[group + 1] - 1
            for stretch in 0...directory.columnCount {
                let index = group * (directory.columnCount + 1) + stretch
                let start = storage.stretchStarts[index]
                do throws(StorageError) {
                    let page = try storage.page(stretch: stretch, of: lastBlock)
                    if page.fileOffset + page.bytes.count != storage.stretchStarts[index + 1] {
                        findings.append((UInt64(start), "a stretch is not filled"))
                    }
                    guard stretch > 0,
                        let table = storage.tableBytes(group: group, column: stretch - 1)
                    else { continue }
                    _ = try DirectoryStorage.readTable(table, in: storage, stretch - 1, group)
                } catch { note(error, at: start, &findings) }
            }
        }
    }

    /// - Returns: The series of these blocks, nil if some block could not be read.
    private func checkRows(
        _ directory: BlockDirectory, _ blocks: Range<Int>, _ scratch: CheckScratch,
        _ findings: inout [Finding]
    ) -> [UInt32]? {
        var seriesIDs: [UInt32] = []
        var isComplete = true
        var runs: [SegmentRun] = []
        for block in blocks {
            let start = directory.storage.stretchStarts[0]
            do throws(StorageError) {
                let (bytes, offset) = try directory.runsAndTimes(block)
                let page = try directory.storage.page(stretch: 0, of: block)
                let isLast = directory.storage.endOfPage(of: block) == block + 1
                if isLast, offset + bytes.count != page.fileOffset + page.bytes.count {
                    findings.append(
                        (UInt64(offset), "rows of block \(block) do not fill their page"))
                }
                try directory.decodeRuns(block, into: &runs)
                let reason: String?
                if let step = directory.regularStep(block) {
                    reason = Self.disorder(directory, block, step: step)
                } else {
                    try directory.decodeTimes(block, into: scratch.block.times)
                    reason = Self.disorder(directory, block, runs, scratch.block.times)
                }
                if let reason {
                    findings.append((UInt64(offset), "times of block \(block): \(reason)"))
                }
                for run in runs where seriesIDs.last != run.series { seriesIDs.append(run.series) }
            } catch {
                isComplete = false
                note(error, at: start, &findings)
            }
        }
        return isComplete ? seriesIDs : nil
    }

    private static func disorder(
        _ directory: BlockDirectory, _ block: Int, _ runs: [SegmentRun],
        _ times: UnsafePointer<Int64>
    ) -> String? {
        var (lowest, highest) = (Int64.max, Int64.min)
        for run in runs {
            let end = run.rowStart + run.rowCount
            var rises = true
            // Safe: runs of a block cover its rows and no more, as `decodeRuns` has checked.
            for row in (run.rowStart + 1)..<end {
                rises = rises && times[row] > times[row - 1]
            }
            guard rises else { return "they do not rise" }
            lowest = min(lowest, times[run.rowStart])
            highest = max(highest, times[end - 1])
        }
        return lowest == directory.minTime(block) && highest == directory.maxTime(block)
            ? nil : outOfBounds
    }

    private static let outOfBounds = "they pass the directory's bounds"

    /// The same for one series at regular times, which have no bytes: arithmetic tells.
    private static func disorder(
        _ directory: BlockDirectory, _ block: Int, step: Int64
    ) -> String? {
        let rows = directory.rowCount(block)
        if rows > 1, step == 0 { return "they do not rise" }
        let last = directory.minTime(block) &+ Int64(rows - 1) &* step
        return last == directory.maxTime(block) ? nil : outOfBounds
    }

    private func checkKeys(
        _ table: SegmentTable, _ seriesIDs: [UInt32]?, _ findings: inout [Finding]
    ) {
        var keyIDs: [UInt32] = []
        var malformedID: UInt32?
        do throws(StorageError) {
            try table.forEachSeriesKey { id, key in
                keyIDs.append(id)
                if let key, SeriesKey.decode(key) == nil, malformedID == nil { malformedID = id }
            }
        } catch {
            note(error, at: table.entry.keysOffset, &findings)
            return
        }
        if let malformedID {
            findings.append(
                (
                    UInt64(table.entry.keysOffset), "the key of series \(malformedID) is no key"
                ))
        }
        if let seriesIDs, seriesIDs != keyIDs {
            findings.append(
                (
                    UInt64(table.entry.keysOffset), "keys are not those of the series in the blocks"
                ))
        }
    }
}
