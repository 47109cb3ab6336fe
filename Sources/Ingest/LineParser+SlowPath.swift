// The whole grammar, for one line whose end is known. Everything that is new goes through here:
// series, field names, other types, escapes; and everything that is wrong.

internal import ApusStorage
internal import Glibc

/// The fields of one line, as written and unescaped. Reused from line to line.
struct FieldScratch {
    struct Field {
        /// The name as written, `=` included.
        var needle: UnsafeRawBufferPointer
        /// The name in `names`.
        var name: Range<Int>
        var type: FieldType
        var slot: UInt64
    }

    var fields: [Field] = []
    var names: [UInt8] = []
    var string: [UInt8] = []
    /// Indices into `fields`, by name; of equal names only the last one written.
    var order: [Int] = []
    var hasDuplicates = false

    mutating func removeAll() {
        fields.removeAll(keepingCapacity: true)
        names.removeAll(keepingCapacity: true)
    }

    /// Fills `order`.
    mutating func sort() {
        let fields = fields
        let names = names
        var all = Array(fields.indices)
        all.sort { left, right in
            let leftName = names[fields[left].name]
            let rightName = names[fields[right].name]
            if leftName.lexicographicallyPrecedes(rightName) { return true }
            return left < right && leftName.elementsEqual(rightName)
        }
        order.removeAll(keepingCapacity: true)
        hasDuplicates = false
        for index in all {
            if let before = order.last,
                names[fields[before].name].elementsEqual(names[fields[index].name])
            {
                order[order.count - 1] = index
                hasDuplicates = true
            } else {
                order.append(index)
            }
        }
    }

    /// Table, types and names as written: what a pattern is found by.
    func patternKey(table: UInt32) -> [UInt8] {
        var key: [UInt8] = []
        Self.append(table, to: &key)
        for field in fields {
            key.append(field.type.rawValue)
            Self.append(UInt32(field.needle.count), to: &key)
            key.append(contentsOf: field.needle)
        }
        return key
    }

    /// Table, types and names by name: what a shape is found by.
    func shapeKey(table: UInt32) -> [UInt8] {
        var key: [UInt8] = []
        Self.append(table, to: &key)
        for index in order {
            key.append(fields[index].type.rawValue)
            Self.append(UInt32(fields[index].name.count), to: &key)
            key.append(contentsOf: names[fields[index].name])
        }
        return key
    }

    private static func append(_ number: UInt32, to key: inout [UInt8]) {
        for shift in stride(from: 0, to: 32, by: 8) {
            key.append(UInt8(truncatingIfNeeded: number >> UInt32(shift)))
        }
    }
}

extension LineParser {
    /// Stores or refuses the line at `start` and returns the start of the next one, or nil if the
    /// line doesn't end before `cut`.
    @inline(never)
    func parseLineCarefully(
        _ start: UnsafePointer<UInt8>, _ cut: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8>? {
        batch?.truncateStrings(to: finishedStringCount)
        let windowBytes = context.limits.lineBytesMax + 1
        let window = cut - start > windowBytes ? start + windowBytes : cut
        // Without a quote there is no string, and the first newline is the end.
        if let newline = Self.newline(start, window),
            memchr(start, Int32(UInt8(ascii: "\"")), newline - start) == nil
        {
            parseCarefully(start, newline)
            return newline + 1
        }
        var splitter = LineSplitter()
        if let newline = splitter.advance(start, window) {
            parseCarefully(start, newline)
            return newline + 1
        }
        guard window - start == windowBytes else { return nil }
        refuseLongLine()
        if let newline = Self.newline(window, cut) { return newline + 1 }
        isSkipping = true
        return cut
    }

    /// Stores or refuses the line from `start` to its newline.
    func parseCarefully(_ start: UnsafePointer<UInt8>, _ newline: UnsafePointer<UInt8>) {
        lineCount += 1
        guard let batch else { return }
        batch.truncateStrings(to: finishedStringCount)
        let hasReturn = newline > start && newline[-1] == 0x0D
        do throws(LineFault) {
            try storeLine(start, hasReturn ? newline - 1 : newline, batch)
        } catch {
            batch.truncateStrings(to: finishedStringCount)
            let isKept = batch.rejections.count < WriteBatch.rejectionsKeptMax
            batch.reject(
                LineRejection(
                    line: lineCount, column: error.position - start + 1, kind: error.kind,
                    reason: isKept ? error.message : ""))
        }
    }

    private func storeLine(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ batch: WriteBatch
    ) throws(LineFault) {
        var position = start
        skipSpaces(&position, end)
        guard position < end, position.pointee != UInt8(ascii: "#") else { return }
        let key = position
        let keyEnd = endOfKey(key, end)
        var entry = context.findEntry(key, keyEnd - key, database: databaseNumber)
        let isNew = entry == nil
        if isNew { try context.tagParser.parse(key, keyEnd, context.limits) }
        position = keyEnd
        skipSpaces(&position, end)
        guard position < end else { throw LineFault("missing fields", at: position) }
        var row = isNew ? scanLikeTable(&position, end, keyCount: keyEnd - key, batch) : nil
        if row == nil { try parseFields(&position, end, keyCount: keyEnd - key, batch) }
        let time = try parseTime(&position, end)

        // The line is good; only limits can still refuse it.
        if isNew {
            let table = context.tableNumber(context.tagParser.table, database: databaseNumber)
            entry = context.insertEntry(
                key, keyEnd - key, database: databaseNumber, table: table)
        }
        guard let entry else { return }
        if row == nil { row = writeFields(table: context.entries[Int(entry)].table) }
        guard let row else {
            throw LineFault(
                "too many different sets of fields in one request", at: key, kind: .limit)
        }
        // Last, so that no refused line leaves a series behind.
        guard let id = resolve(entry, isParsed: isNew) else {
            throw LineFault("too many new series in one request", at: key, kind: .limit)
        }
        // Safe: the group has room for one more row.
        let group = groups + row.group
        let index = group.pointee.rowCount
        group.pointee.series[index] = id
        group.pointee.times[index] = time
        group.pointee.lines[index] = UInt32(truncatingIfNeeded: lineCount)
        group.pointee.rowCount = index + 1
        finishedStringCount = batch.stringCount
        pendingRows += 1
        remember(entry, row.pattern)
    }

    /// Parses the fields of a new series as the last new line of its table had them; nil if they
    /// are others. Safe: 64 readable bytes follow every line's newline (see `parseLines`).
    private func scanLikeTable(
        _ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, keyCount: Int,
        _ batch: WriteBatch
    ) -> (group: Int, pattern: UInt32?)? {
        guard
            let table = context.findTable(context.tagParser.table, database: databaseNumber)
        else { return nil }
        let pattern = context.tables[Int(table)].lastPattern
        guard pattern != SeriesEntry.noPattern,
            context.patterns[Int(pattern)].longestNameCount + keyCount
                <= context.limits.seriesKeyBytesMax,
            let group = groupIndex(shape: context.patterns[Int(pattern)].shape)
        else { return nil }
        if groups[group].rowCount == groups[group].capacity { growGroup(group) }
        var next = position
        guard
            scanFields(
                &next, end, end + Self.slackBytes, context.patterns + Int(pattern), groups + group,
                PowersOfTen.shared, batch)
        else {
            batch.truncateStrings(to: finishedStringCount)
            return nil
        }
        position = next
        return (group, pattern)
    }

    /// Writes the fields in the scratch into the row behind their group's last. nil if the batch
    /// may have no more groups.
    private func writeFields(table: UInt32) -> (group: Int, pattern: UInt32?)? {
        let written = pattern(table: table)
        guard let index = groupIndex(shape: written.shape) else { return nil }
        if groups[index].rowCount == groups[index].capacity { growGroup(index) }
        // Safe: the group has room for one more row and a column for each field of its shape.
        let group = groups[index]
        let cells = group.columns + group.rowCount
        if let pattern = written.pattern {
            let fields = context.patterns[Int(pattern)].fields
            for (number, field) in context.scratch.fields.enumerated() {
                cells[Int(fields[number].column) * group.capacity] = field.slot
            }
        } else {
            let columns = context.shapes[Int(written.shape)].sortedColumns
            for (number, field) in context.scratch.order.enumerated() {
                cells[columns[number] * group.capacity] = context.scratch.fields[field].slot
            }
        }
        return (index, written.pattern)
    }

    /// Makes the next line of the series, and the line after this one, predictable.
    private func remember(_ entry: UInt32, _ pattern: UInt32?) {
        if last != 0 { context.entries[Int(last)].next = entry }
        last = entry
        guard let pattern else { return }
        let before = context.entries[Int(entry)].pattern
        if before != SeriesEntry.noPattern {
            context.patterns[Int(before)].successor = pattern
        }
        context.entries[Int(entry)].pattern = pattern
        context.tables[Int(context.entries[Int(entry)].table)].lastPattern = pattern
    }

    /// The shape of the fields in the scratch, and the pattern if their order may be remembered.
    private func pattern(table: UInt32) -> (shape: UInt32, pattern: UInt32?) {
        let key = context.scratch.patternKey(table: table)
        // Fields with duplicates never become a pattern.
        if let known = context.findPattern(key) {
            return (context.patterns[Int(known)].shape, known)
        }
        context.scratch.sort()
        let scratch = context.scratch
        let hasDuplicates = scratch.hasDuplicates
        let shape = context.shapeNumber(scratch.shapeKey(table: table)) {
            // Columns stand in the order written.
            let columns = scratch.order.sorted()
            let shape = RowShape(
                table: Array(context.tables[Int(table)].name.utf8),
                fieldNames: columns.map { Array(scratch.names[scratch.fields[$0].name]) },
                types: columns.map { scratch.fields[$0].type })
            var columnOfField = [Int](repeating: 0, count: scratch.fields.count)
            for (column, field) in columns.enumerated() { columnOfField[field] = column }
            return ShapeCache(
                shape: shape, sortedColumns: scratch.order.map { columnOfField[$0] })
        }
        guard !hasDuplicates,
            context.shapes[Int(shape)].patternCount < LineContext.patternsPerShapeMax
        else { return (shape, nil) }
        var columns = [Int](repeating: 0, count: scratch.fields.count)
        for (position, field) in scratch.order.enumerated() {
            columns[field] = context.shapes[Int(shape)].sortedColumns[position]
        }
        let pattern = context.insertPattern(
            key, shape: shape, needles: scratch.fields.map(\.needle),
            types: scratch.fields.map(\.type), columns: columns)
        return (shape, pattern)
    }

    /// The id of a series: the catalog's, or a provisional one of this batch. nil if the batch may
    /// have no more new series. `isParsed` says that the tag parser just parsed its key.
    @inline(never)
    func resolve(_ entryIndex: UInt32, isParsed: Bool = false) -> UInt32? {
        let entry = context.entries + Int(entryIndex)
        if entry.pointee.id != SeriesEntry.unresolved { return entry.pointee.id }
        if entry.pointee.provisionalBatch == batchSerial {
            return WriteBatch.provisional | entry.pointee.provisionalIndex
        }
        guard let batch else { return nil }
        // A raw key in the cache was parsed before, so this cannot fail.
        do throws(LineFault) {
            if !isParsed {
                try context.tagParser.parse(
                    entry.pointee.key, entry.pointee.key + entry.pointee.keyCount, context.limits)
            }
        } catch {
            return nil
        }
        let key = context.tagParser.key
        let table = context.tagParser.table
        let known = knownTable(Int(entry.pointee.table))
        if let known, let id = key.withUnsafeBytes({ known.seriesID(forKey: $0) }) {
            entry.pointee.id = id
            return id
        }
        guard let index = provisionalIndex(table, key, batch, hint: entryIndex) else { return nil }
        entry.pointee.provisionalIndex = index
        entry.pointee.provisionalBatch = batchSerial
        return WriteBatch.provisional | index
    }

    private func knownTable(_ number: Int) -> TableEntry? {
        if let known = context.tables[number].known { return known }
        let found = context.catalog.database(named: database)?.table(
            named: context.tables[number].name)
        context.tables[number].known = found
        return found
    }

    private func provisionalIndex(
        _ table: [UInt8], _ key: [UInt8], _ batch: WriteBatch, hint: UInt32
    ) -> UInt32? {
        let known = provisional ?? ProvisionalSeries()
        provisional = known
        let name = table + [0] + key
        return name.withUnsafeBufferPointer { bytes -> UInt32? in
            guard let base = bytes.baseAddress else { return nil }
            let hash = ByteKeyTable.hash(base, bytes.count, space: 0)
            if let index = known.keys.find(base, bytes.count, hash: hash) { return index }
            guard batch.newSeries.count < context.limits.newSeriesPerBatchMax else { return nil }
            batch.newSeries.append(.init(table: table, key: key, cacheHint: hint))
            return known.keys.insert(base, bytes.count, hash: hash)
        }
    }
}
