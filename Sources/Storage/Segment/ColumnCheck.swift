// Verifies the blocks of a column: checksums, encoding, statistics.
//
// Most blocks are found to be sound from their encoded bytes (PayloadStatistics.swift). All others,
// damaged ones among them, are decoded, and only that says what is wrong.

/// What a thread needs to check blocks.
final class CheckScratch {
    let block = BlockScratch(rowsMax: SegmentLayout.blockRowsLimit)
    let narrow = NarrowScratch()
    let window = DirectoryWindow()
    fileprivate var strings: [UInt8] = []
    fileprivate var symbols = SymbolCache()
}

/// What a directory's arrays say of some blocks of one column, widened in one pass each.
///
/// Safe: the memory is owned here, freed once, and has room for `blockCountMax` of each array;
/// blocks outside of the window are a bug and stop.
final class DirectoryWindow {
    /// As many as leave a core's first cache to the payloads.
    static let blockCountMax = 128

    // Behind the arrays over a column's blocks.
    private static let rowCounts = DirectoryArray.pageEnd
    private let memory = UnsafeMutablePointer<UInt64>.allocate(
        capacity: (DirectoryArray.pageEnd + 1) * blockCountMax)
    private var blocks = 0..<0

    deinit { memory.deallocate() }

    func load(_ directory: BlockDirectory, column: Int, _ blocks: Range<Int>) {
        precondition(blocks.count <= Self.blockCountMax, "BUG: a window of too many blocks")
        for which in 0..<DirectoryArray.pageEnd {
            directory.array(column, which).copy(blocks, into: memory + which * Self.blockCountMax)
        }
        directory.storage.arrays[DirectoryArray.rowCount].copy(
            blocks, into: memory + Self.rowCounts * Self.blockCountMax)
        self.blocks = blocks
    }

    @inline(__always)
    func value(_ which: Int, _ block: Int) -> UInt64 {
        precondition(blocks.contains(block), "BUG: no such block in the window")
        return memory[which &* Self.blockCountMax &+ (block &- blocks.lowerBound)]
    }

    @inline(__always)
    func rowCount(_ block: Int) -> Int {
        Int(truncatingIfNeeded: value(Self.rowCounts, block))
    }
}

extension SegmentReader {
    func checkColumn(
        _ directory: BlockDirectory, _ column: Int, _ blocks: Range<Int>, _ scratch: CheckScratch,
        _ findings: inout [Finding]
    ) {
        let window = scratch.window
        var (next, loadedEnd) = (blocks.lowerBound, blocks.lowerBound)
        while next < blocks.upperBound {
            let page: DirectoryPage
            do throws(StorageError) {
                page = try directory.storage.page(stretch: column + 1, of: next)
            } catch {
                note(error, at: directory.storage.stretchStarts[0], &findings)
                next = directory.storage.endOfPage(of: next)
                continue
            }
            let end = min(blocks.upperBound, directory.storage.endOfPage(of: next))
            if end > loadedEnd {
                loadedEnd = min(blocks.upperBound, next + DirectoryWindow.blockCountMax)
                window.load(directory, column: column, next..<loadedEnd)
            }
            checkPage(page, next..<end, directory, column, scratch, &findings)
            next = end
        }
    }

    private func checkPage(
        _ page: DirectoryPage, _ blocks: Range<Int>, _ directory: BlockDirectory, _ column: Int,
        _ scratch: CheckScratch, _ findings: inout [Finding]
    ) {
        // In format 1 a block without values has the checksum of the one before.
        guard page.bytes.isEmpty || UInt64(CRC32C.checksum(page.bytes)) == page.checksum else {
            let which =
                blocks.count == 1
                ? "block \(blocks.lowerBound)"
                : "blocks \(blocks.lowerBound)–\(blocks.upperBound - 1)"
            findings.append(
                (
                    UInt64(page.fileOffset),
                    "the checksum of column \(column), \(which), does not match"
                ))
            return
        }
        let type = directory.columnType(column)
        let isWhole = directory.storage.pageBlockCount == 1
        var start = 0
        for block in blocks {
            let stated = scratch.window.value(DirectoryArray.byteCount, block)
            let left = page.bytes.count - start
            let count = isWhole ? left : Int(min(stated, UInt64(left)))
            // Safe: `start` and `count` were just kept inside of the page.
            let payload = UnsafeRawBufferPointer(rebasing: page.bytes[start..<(start + count)])
            if !isWhole && stated > UInt64(left)
                || !isSound(
                    block, type, payload, offset: page.fileOffset + start, scratch.window,
                    scratch.narrow)
            {
                checkByDecoding(directory, column, block, scratch, &findings)
            }
            start += count
        }
        if start != page.bytes.count {
            findings.append(
                (
                    UInt64(page.fileOffset + start),
                    "column \(column): payloads do not fill the page of block \(blocks.lowerBound)"
                ))
        }
    }

    /// Whether the block's bytes are found to be what was written; if not, decoding has to tell.
    @inline(__always)
    private func isSound(
        _ block: Int, _ type: FieldType, _ payload: UnsafeRawBufferPointer, offset: Int,
        _ window: DirectoryWindow, _ scratch: NarrowScratch
    ) -> Bool {
        let rowCount = window.rowCount(block)
        if window.value(DirectoryArray.absentCount, block) >= UInt64(rowCount) {
            return payload.isEmpty
        }
        // Safe: so much may be read behind a payload.
        guard offset + payload.count <= file.bytes.count - NarrowFrame.slack else { return false }
        let code = window.value(DirectoryArray.encoding, block)
        guard
            let actual = ColumnCodec.statistics(
                of: Encoding(rawValue: UInt8(truncatingIfNeeded: code)), payload, type: type,
                count: rowCount, scratch: scratch)
        else { return false }
        let stated = BlockDirectory.statistics(rowCount: rowCount) { window.value($0, block) }
        return Self.agree(stated, actual, type: type)
    }

    private func checkByDecoding(
        _ directory: BlockDirectory, _ column: Int, _ block: Int, _ scratch: CheckScratch,
        _ findings: inout [Finding]
    ) {
        let type = directory.columnType(column)
        let (values, validity) = (scratch.block.values, scratch.block.validity)
        scratch.strings.removeAll(keepingCapacity: true)
        do throws(StorageError) {
            let present = try directory.decodeColumn(
                column, block: block, values: values, validity: validity,
                strings: &scratch.strings, symbols: &scratch.symbols
            ).presentCount
            guard present > 0 else { return }
            let rows = directory.rowCount(block)
            // Safe: `scratch` has room for the largest block, `decodeColumn` has checked that
            // slots of strings lie in `strings`, and the slice doesn't leave the closure.
            let actual = scratch.strings.withUnsafeBufferPointer { bytes in
                ColumnCodec.statistics(
                    of: ColumnSlice(
                        type: type, count: rows, values: values,
                        validity: present < rows ? validity : nil,
                        stringBytes: bytes.baseAddress))
            }
            let stated = directory.statistics(column: column, block: block)
            if !Self.agree(stated, actual, type: type) {
                let place = try directory.payload(stretch: column + 1, block).fileOffset
                findings.append(
                    (UInt64(place), "column \(column), block \(block): the statistics are wrong"))
            }
        } catch { note(error, at: directory.storage.stretchStarts[0], &findings) }
    }

    /// Whether two statistics say the same, float sums but for the order of addition.
    @inline(__always)
    private static func agree(
        _ stated: ColumnStatistics, _ actual: ColumnStatistics, type: FieldType
    ) -> Bool {
        guard stated.presentCount == actual.presentCount, stated.nanCount == actual.nanCount,
            stated.hasRange == actual.hasRange
        else { return false }
        if type != .string {
            guard stated.first == actual.first, stated.last == actual.last else { return false }
        }
        if stated.hasRange {
            guard stated.minimum == actual.minimum, stated.maximum == actual.maximum else {
                return false
            }
        }
        guard case .float(let left) = stated.sum, case .float(let right) = actual.sum else {
            return stated.sum == actual.sum
        }
        // Infinities and overflow depend on the order; what is finite on both sides is compared.
        guard left.isFinite, right.isFinite else { return true }
        let largest = max(
            abs(Double(bitPattern: stated.minimum)), abs(Double(bitPattern: stated.maximum)))
        return abs(left - right) <= largest * Double(stated.presentCount) * 1e-9
    }
}
