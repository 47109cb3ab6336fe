// The hot loop: a line whose series was seen before and whose fields are those of its last line.
//
// Every byte sequence that it accepts has the meaning that the slow path gives it; at anything
// else it leaves the row uncommitted and hands the line over.
//
// Bounds. `cut` is behind a newline and at least 64 bytes before `end`. Keys, names, numbers and
// times contain no newline, so nothing but a string can run past the newline before `cut`, and
// strings are bounded by `cut`; words are loaded up to 24 bytes ahead.
//
// Safe: by these bounds. Entries and patterns are the context's, which moves them only in the slow
// path: their pointers are taken anew after each call of it. A group has room for its next row
// before a pattern leads there.

internal import ApusStorage
internal import Glibc

extension LineParser {
    /// Parses the complete lines before `cut` and returns where it stopped: `cut`, or the start of
    /// a line that has no end before it (a string goes on).
    func parseLines(
        _ start: UnsafePointer<UInt8>, _ cut: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8> {
        guard let batch else { return start }
        let context = context
        let powers = PowersOfTen.shared
        let lineBytesMax = context.limits.lineBytesMax
        let precision = precision
        let missingTime = precision.truncate(arrivalNanoseconds)
        let mayLackTime = !requiresTime
        var entries = context.entries
        var patterns = context.patterns
        var previous = last
        var lineNumber = lineCount
        var rows = 0
        var position = start
        defer {
            last = previous
            lineCount = lineNumber
            pendingRows &+= rows
        }
        while position < cut {
            let lineStart = position
            fast: do {
                guard
                    let entryIndex = scanSeries(&position, cut, end, after: previous, entries)
                else { break fast }
                let entry = entries + entryIndex
                guard
                    let (group, patternIndex) = scanPredicted(
                        &position, cut, end, entry, patterns, powers, batch)
                else { break fast }

                // Time
                var time = missingTime
                var hasTime = mayLackTime
                if position.pointee == 0x20 {
                    guard let written = scanTime(&position, powers.integers) else { break fast }
                    if let written {
                        guard let scaled = precision.scale(written) else { break fast }
                        time = scaled
                        hasTime = true
                    }
                }
                guard hasTime else { break fast }
                if position.pointee == 0x0D { position += 1 }
                guard position.pointee == 0x0A else { break fast }
                position += 1
                guard position - lineStart <= lineBytesMax &+ 1 else { break fast }

                // Row
                var id = entry.pointee.id
                if id == SeriesEntry.unresolved {
                    guard let resolved = resolve(UInt32(truncatingIfNeeded: entryIndex)) else {
                        break fast
                    }
                    id = resolved
                }
                entry.pointee.pattern = patternIndex
                lineNumber &+= 1
                let row = group.pointee.rowCount
                group.pointee.series[row] = id
                group.pointee.times[row] = time
                group.pointee.lines[row] = UInt32(truncatingIfNeeded: lineNumber)
                group.pointee.rowCount = row &+ 1
                if patterns[Int(patternIndex)].hasStrings {
                    finishedStringCount = batch.stringCount
                }
                rows &+= 1
                previous = UInt32(truncatingIfNeeded: entryIndex)
                continue
            }
            last = previous
            lineCount = lineNumber
            let next = parseLineCarefully(lineStart, cut)
            previous = last
            lineNumber = lineCount
            guard let next else { return lineStart }
            position = next
            if isSkipping { return cut }
            entries = context.entries
            patterns = context.patterns
        }
        return position
    }

    /// Steps over a known series and the spaces behind it, and returns its entry: the one that is
    /// expected after `previous`, else the one that the hash finds.
    @inline(__always)
    private func scanSeries(
        _ position: inout UnsafePointer<UInt8>, _ cut: UnsafePointer<UInt8>,
        _ end: UnsafePointer<UInt8>, after previous: UInt32,
        _ entries: UnsafeMutablePointer<SeriesEntry>
    ) -> Int? {
        var entryIndex = Int(entries[Int(previous)].next)
        let keyCount = entries[entryIndex].keyCount
        if end - position > keyCount,
            memcmp(position, entries[entryIndex].key, keyCount &+ 1) == 0
        {
            position += keyCount
        } else {
            let keyEnd = LineScanner.keyEnd(position, cut)
            guard keyEnd > position, keyEnd.pointee == 0x20,
                let found = context.findEntry(
                    position, keyEnd - position, database: databaseNumber)
            else { return nil }
            entryIndex = Int(found)
            if previous != 0 { entries[Int(previous)].next = found }
            position = keyEnd
        }
        repeat { position += 1 } while position.pointee == 0x20
        return entryIndex
    }

    /// Parses the fields as the series had them in its last line, or in the line that followed
    /// such a line before. Returns the group, whose next row holds them, and the pattern.
    @inline(__always)
    private func scanPredicted(
        _ position: inout UnsafePointer<UInt8>, _ cut: UnsafePointer<UInt8>,
        _ end: UnsafePointer<UInt8>, _ entry: UnsafePointer<SeriesEntry>,
        _ patterns: UnsafePointer<Pattern>, _ powers: PowersOfTen, _ batch: WriteBatch
    ) -> (group: UnsafeMutablePointer<GroupSlot>, pattern: UInt32)? {
        var patternIndex = entry.pointee.pattern
        guard patternIndex != SeriesEntry.noPattern else { return nil }
        let start = position
        var isSuccessor = false
        while true {
            let pattern = patterns + Int(patternIndex)
            // The slow path has seen the series with its own pattern, but not with a successor.
            if isSuccessor,
                pattern.pointee.longestNameCount &+ entry.pointee.keyCount
                    > context.limits.seriesKeyBytesMax
            {
                return nil
            }
            guard let index = groupIndex(shape: pattern.pointee.shape) else { return nil }
            if groups[index].rowCount == groups[index].capacity { growGroup(index) }
            let group = groups + index
            position = start
            if scanFields(&position, cut, end, pattern, group, powers, batch) {
                return (group, patternIndex)
            }
            let successor = pattern.pointee.successor
            if isSuccessor || successor == patternIndex { return nil }
            batch.truncateStrings(to: finishedStringCount)
            patternIndex = successor
            isSuccessor = true
        }
    }

    /// Whether the bytes are a field's name and `=`.
    @inline(__always)
    private func matches(
        _ position: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>,
        _ field: UnsafePointer<PatternField>
    ) -> Bool {
        let count = field.pointee.needleCount
        guard loadWord(position) & field.pointee.headMask == field.pointee.head else {
            return false
        }
        if count <= 8 { return true }
        guard end - position >= count &+ 32,
            loadWord(position + (count &- 8)) == field.pointee.tail
        else { return false }
        return count <= 16 || memcmp(position + 8, field.pointee.needle + 8, count &- 16) == 0
    }

    /// Parses the fields of a pattern into the row behind the group's last and stops at the space
    /// or line end behind them. Nothing is committed.
    @inline(__always)
    func scanFields(
        _ position: inout UnsafePointer<UInt8>, _ cut: UnsafePointer<UInt8>,
        _ end: UnsafePointer<UInt8>, _ pattern: UnsafePointer<Pattern>,
        _ group: UnsafePointer<GroupSlot>, _ powers: PowersOfTen, _ batch: WriteBatch
    ) -> Bool {
        var field = UnsafePointer(pattern.pointee.fields)
        let fieldsEnd = field + pattern.pointee.fieldCount
        let capacity = group.pointee.capacity
        let cells = group.pointee.columns + group.pointee.rowCount
        while true {
            guard matches(position, end, field) else { return false }
            position += field.pointee.needleCount
            let slot: UInt64
            switch field.pointee.type {
            case .int64:
                let isNegative = position.pointee == UInt8(ascii: "-")
                if isNegative { position += 1 }
                let (value, count) = NumberParser.scanDigits(&position, powers.integers)
                // 18 digits always fit; the slow path knows about 19.
                guard count &- 1 < 18, count > 0, position.pointee == UInt8(ascii: "i") else {
                    return false
                }
                position += 1
                slot = isNegative ? 0 &- value : value
            case .float64:
                guard let value = NumberParser.scanFloat(&position, powers) else { return false }
                slot = value.bitPattern
            case .uint64:
                let (value, count) = NumberParser.scanDigits(&position, powers.integers)
                guard count > 0, count < 20, position.pointee == UInt8(ascii: "u") else {
                    return false
                }
                position += 1
                slot = value
            case .bool:
                guard let flag = FieldValueParser.scanBool(&position, cut) else { return false }
                slot = flag ? 1 : 0
            case .string:
                guard position.pointee == UInt8(ascii: "\""),
                    let string = scanString(&position, cut, batch)
                else { return false }
                slot = string.rawValue
            }
            cells[Int(truncatingIfNeeded: field.pointee.column) &* capacity] = slot
            field += 1
            let delimiter = position.pointee
            if field == fieldsEnd {
                return delimiter == 0x20 || delimiter == 0x0A || delimiter == 0x0D
            }
            guard delimiter == UInt8(ascii: ",") else { return false }
            position += 1
        }
    }

    /// A string from its opening quote on. nil hands the line over.
    @inline(never)
    private func scanString(
        _ position: inout UnsafePointer<UInt8>, _ cut: UnsafePointer<UInt8>, _ batch: WriteBatch
    ) -> StringSlot? {
        let start = position + 1
        let close = LineScanner.plainStringEnd(start, cut)
        guard close < cut else { return nil }
        if close.pointee == UInt8(ascii: "\"") {
            let count = close - start
            guard count <= context.limits.stringBytesMax else { return nil }
            position = close + 1
            return batch.appendString(UnsafeRawBufferPointer(start: start, count: count))
        }
        var careful = start
        do throws(LineFault) {
            try FieldValueParser.string(
                &careful, cut, into: &context.scratch.string,
                bytesMax: context.limits.stringBytesMax)
        } catch {
            return nil
        }
        position = careful
        return context.scratch.string.withUnsafeBytes { batch.appendString($0) }
    }

    /// Spaces, then perhaps a timestamp and more spaces. The outer nil hands the line over, the
    /// inner one stands for no timestamp.
    @inline(__always)
    private func scanTime(
        _ position: inout UnsafePointer<UInt8>, _ powers: UnsafePointer<UInt64>
    ) -> Int64?? {
        repeat { position += 1 } while position.pointee == 0x20
        let isNegative = position.pointee == UInt8(ascii: "-")
        if isNegative { position += 1 }
        let (value, count) = NumberParser.scanDigits(&position, powers)
        if count == 0 {
            let next = position.pointee
            return !isNegative && (next == 0x0A || next == 0x0D) ? .some(nil) : nil
        }
        guard count < 20, value <= UInt64(Int64.max) else { return nil }
        while position.pointee == 0x20 { position += 1 }
        let time = Int64(truncatingIfNeeded: value)
        return isNegative ? 0 &- time : time
    }
}
