// Many series of one table at once, as columns: what catalog files hold instead of a key a series.
//
//     field        size     meaning
//     ───────────  ───────  ───────────────────────────────────────────────────────────────────
//     table        varint
//     firstSeries  varint   all before it are defined already
//     count        varint   1 ... 65,536
//     tagCount     varint
//     for each tag, by rising index:
//       index      varint
//       firstValue varint   the number of its first value; those left out before it nobody has any more
//       valueCount varint   new ones
//       values     column   strings; one without bytes nobody has any more; nothing at all if there is none
//       codes      column   uint64 a series: 0 without the tag, else 1 + the number of its value
//
//     column       encoding u8, byteCount varint, payload (see ColumnCodec)
//
// Values are numbered in the order in which series brought them, as in memory (see TagValues): so reading
// is copying, and a tag that tells series apart takes its values' bytes and next to nothing for codes.

/// Neighbouring series of a table.
package struct SeriesSection: Equatable, Sendable {
    package struct Tag: Equatable, Sendable {
        package var index: Int
        package var firstValue: Int
        /// Slots point into `strings`.
        package var values: [UInt64]
        package var strings: [UInt8]
        /// Of each series, 0 or 1 + code.
        package var codes: [UInt64]

        package init(
            index: Int, firstValue: Int, values: [UInt64], strings: [UInt8], codes: [UInt64]
        ) {
            self.index = index
            self.firstValue = firstValue
            self.values = values
            self.strings = strings
            self.codes = codes
        }
    }

    package var tableID: UInt32
    package var firstSeries: Int
    package var count: Int
    package var tags: [Tag]

    package init(tableID: UInt32, firstSeries: Int, count: Int, tags: [Tag]) {
        self.tableID = tableID
        self.firstSeries = firstSeries
        self.count = count
        self.tags = tags
    }

    static let countMax = 1 << 16
    private static let valueCountMax = 1 << 24
    /// Sections are cut at this many series, or bytes of new values.
    private static let wantedCount = 1 << 14
    private static let wantedBytes = 4 << 20

    // MARK: Making

    /// What of a table's values and series is left, and which values earlier sections had.
    private struct Writing {
        let series: SeriesSnapshot
        /// By tag the codes that living series have; nil where no series was dropped.
        let living: [CodeSet]?
        var known: [Int]

        init(_ series: SeriesSnapshot, behind known: [Int]) {
            self.series = series
            self.known =
                known + repeatElement(0, count: max(0, series.tagIndices.count - known.count))
            guard let dropped = series.dropped else {
                living = nil
                return
            }
            living = series.tagIndices.map { series.tag($0).living(dropped, series.count) }
        }

        func isDropped(_ id: Int) -> Bool {
            series.dropped?.contains(UInt32(truncatingIfNeeded: id)) ?? false
        }

        /// 0 or 1 + code, as a section says it.
        func code(_ tag: Int, _ id: Int) -> UInt32 {
            isDropped(id) ? 0 : series.tag(tag).codes[id]
        }
    }

    /// The series from one up to another, in sections, and what is dropped of them as entries.
    ///
    /// - Parameter valueCounts: By tag the values that have been written before; afterwards with these.
    package static func forEach(
        _ series: SeriesSnapshot, of tableID: UInt32, _ range: Range<Int>,
        _ valueCounts: inout [Int], _ body: (CatalogEntry) -> Void
    ) {
        var writing = Writing(series, behind: valueCounts)
        defer { valueCounts = writing.known }
        var start = range.lowerBound
        while start < range.upperBound {
            var first = start
            while first < range.upperBound, writing.isDropped(first) { first += 1 }
            // A short gap takes less as series without tags.
            if first - start >= wantedCount || first == range.upperBound {
                body(.dropSeries(tableID: tableID, [start..<first]))
                start = first
                continue
            }
            let end = end(writing, start, range.upperBound)
            let tags = series.tagIndices.compactMap { tag($0, start..<end, &writing) }
            body(
                .section(
                    SeriesSection(
                        tableID: tableID, firstSeries: start, count: end - start, tags: tags)))
            start = end
        }
        guard var dropped = series.dropped else { return }
        dropped.resize(to: range.upperBound)
        dropped.remove(below: range.lowerBound)
        for drop in CatalogEntry.drops(of: dropped, tableID: tableID) { body(drop) }
    }

    private static func end(_ writing: Writing, _ start: Int, _ last: Int) -> Int {
        let series = writing.series
        var known = writing.known
        var byteCount = 0
        var end = start
        while end < last, end - start < wantedCount, byteCount < wantedBytes {
            for index in series.tagIndices {
                let code = Int(writing.code(index, end))
                guard code > known[index] else { continue }
                known[index] = code
                byteCount += series.tag(index).values[code - 1].count
            }
            end += 1
        }
        return end
    }

    private static func tag(_ index: Int, _ range: Range<Int>, _ writing: inout Writing) -> Tag? {
        let column = writing.series.tag(index)
        let known = writing.known[index]
        var codes: [UInt64] = []
        codes.reserveCapacity(range.count)
        var highest = known
        for series in range {
            let code = writing.code(index, series)
            codes.append(UInt64(code))
            highest = max(highest, Int(code))
        }
        guard codes.contains(where: { $0 != 0 }) else { return nil }
        func isLiving(_ value: Int) -> Bool { writing.living?[index].contains(value + 1) ?? true }
        let first = (known..<highest).first(where: isLiving) ?? highest
        var tag = Tag(index: index, firstValue: first, values: [], strings: [], codes: codes)
        for number in first..<highest {
            let value = isLiving(number) ? column.values[number] : .init(start: nil, count: 0)
            tag.values.append(
                StringSlot(offset: tag.strings.count, length: value.count).rawValue)
            tag.strings.append(contentsOf: value)
        }
        writing.known[index] = highest
        return tag
    }

    // MARK: Writing

    func append(to writer: inout ByteWriter) {
        writer.appendVarint(UInt64(tableID))
        writer.appendVarint(UInt64(firstSeries))
        writer.appendVarint(UInt64(count))
        writer.appendVarint(UInt64(tags.count))
        for tag in tags {
            writer.appendVarint(UInt64(tag.index))
            writer.appendVarint(UInt64(tag.firstValue))
            writer.appendVarint(UInt64(tag.values.count))
            if !tag.values.isEmpty {
                Self.append(.string, tag.values, tag.strings, to: &writer)
            }
            Self.append(.uint64, tag.codes, [], to: &writer)
        }
    }

    private static func append(
        _ type: FieldType, _ values: [UInt64], _ strings: [UInt8], to writer: inout ByteWriter
    ) {
        var payload = ByteWriter()
        let encoding = values.withUnsafeBufferPointer { values in
            strings.withUnsafeBufferPointer { strings -> Encoding in
                guard let base = values.baseAddress else { return .constant }
                // Safe: the slice is used while both arrays are lent.
                return ColumnCodec.encode(
                    ColumnSlice(
                        type: type, count: values.count, values: base, validity: nil,
                        stringBytes: strings.baseAddress),
                    options: EncodeOptions(level: .cold), into: &payload)
            }
        }
        writer.append(encoding.rawValue)
        writer.appendVarint(UInt64(payload.count))
        writer.append(payload.bytes)
    }

    // MARK: Reading

    static func read(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> SeriesSection {
        let start = reader.offset
        let table = UInt32(try reader.readCount(limit: Int(UInt32.max >> 1)))
        let first = try reader.readCount(limit: Int(WriteBatch.provisional) - 1)
        let count = try reader.readCount(limit: countMax)
        guard count > 0 else { throw .init(offset: start, reason: "a section of no series") }
        let tagCount = try reader.readCount(limit: 65_535)
        var tags: [Tag] = []
        for _ in 0..<tagCount {
            let start = reader.offset
            let tag = try readTag(&reader, count)
            guard tag.index > tags.last?.index ?? -1 else {
                throw .init(offset: start, reason: "tags of a section out of order")
            }
            tags.append(tag)
        }
        return SeriesSection(tableID: table, firstSeries: first, count: count, tags: tags)
    }

    private static func readTag(
        _ reader: inout ByteReader, _ count: Int
    ) throws(ByteReader.Malformed) -> Tag {
        let index = try reader.readCount(limit: 65_535)
        let firstValue = try reader.readCount(limit: Int(WriteBatch.provisional) - 1)
        let start = reader.offset
        // A series brings one value at most, and dropped ones may have brought more.
        let valueCount = try reader.readCount(limit: valueCountMax)
        var tag = Tag(index: index, firstValue: firstValue, values: [], strings: [], codes: [])
        if valueCount > 0 {
            tag.values = try readColumn(.string, valueCount, &reader, &tag.strings)
            for value in tag.values {
                let length = StringSlot(rawValue: value).length
                guard length <= CatalogEntry.nameBytesMax else {
                    throw .init(offset: start, reason: "a tag's value of \(length) bytes")
                }
            }
        }
        var none: [UInt8] = []
        tag.codes = try readColumn(.uint64, count, &reader, &none)
        let end = UInt64(firstValue + valueCount)
        guard tag.codes.allSatisfy({ $0 <= end }) else {
            throw .init(offset: start, reason: "a code past the tag's values")
        }
        return tag
    }

    private static func readColumn(
        _ type: FieldType, _ count: Int, _ reader: inout ByteReader, _ strings: inout [UInt8]
    ) throws(ByteReader.Malformed) -> [UInt64] {
        let start = reader.offset
        let encoding = Encoding(rawValue: try reader.read())
        let payload = try reader.readBytes(try reader.readCount(limit: reader.remaining))
        let slots = Scratch(count: count)
        let validity = UnsafeMutablePointer<UInt8>.allocate(capacity: count + 64)
        defer { validity.deallocate() }
        // Safe: both have room for the values and what codecs write past them.
        let present: Int
        do throws(CodecError) {
            present = try ColumnCodec.decode(
                encoding, payload, type: type, count: count, values: slots.pointer,
                validity: validity, strings: &strings)
        } catch {
            throw ByteReader.Malformed(offset: start, reason: error.reason)
        }
        guard present == count else { throw .init(offset: start, reason: "a column with gaps") }
        return Array(UnsafeBufferPointer(start: slots.pointer, count: count))
    }
}
