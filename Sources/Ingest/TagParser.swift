// Measurement and tags of a line, and their canonical form.
//
//     cpu,host=a\ b,az=1          as written: the raw key, remembered byte for byte
//     cpu                         table
//     2 az 1 1 4 host 3 "a b"     canonical: sorted by key, unescaped (see SeriesKey)
//
// A backslash escapes `,` and space in a measurement, `,` `=` and space in tags; before any other
// byte it is itself.

internal import ApusStorage
internal import Glibc

/// Parses raw keys; holds scratch memory that is reused from key to key.
struct TagParser {
    private struct Tag {
        var key: Range<Int>
        var value: Range<Int>
        var position: UnsafePointer<UInt8>
    }

    /// The table's name after `parse`.
    private(set) var table: [UInt8] = []
    /// The canonical series key after `parse`.
    private(set) var key: [UInt8] = []
    private var text: [UInt8] = []
    private var tags: [Tag] = []

    /// Parses `measurement[,tag=value]…` without the space behind it.
    mutating func parse(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ limits: IngestLimits
    ) throws(LineFault) {
        table.removeAll(keepingCapacity: true)
        key.removeAll(keepingCapacity: true)
        text.removeAll(keepingCapacity: true)
        tags.removeAll(keepingCapacity: true)
        guard end - start <= limits.seriesKeyBytesMax else {
            throw LineFault("max key length exceeded", at: start, kind: .limit)
        }
        var position = start
        readMeasurement(&position, end)
        guard !table.isEmpty else { throw LineFault("missing measurement", at: start) }
        try checkName(table, start, position, "invalid measurement")
        while position < end {
            position += 1  // the comma
            try readTag(&position, end)
            guard tags.count <= limits.tagsPerLineMax else {
                throw LineFault("too many tags", at: position, kind: .limit)
            }
        }
        try encode(limits)
    }

    private mutating func readMeasurement(
        _ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) {
        while position < end {
            let byte = position.pointee
            if byte == UInt8(ascii: ",") { return }
            if byte == UInt8(ascii: "\\"), position + 1 < end {
                let next = position[1]
                if next == UInt8(ascii: ",") || next == UInt8(ascii: " ") {
                    table.append(next)
                    position += 2
                    continue
                }
            }
            table.append(byte)
            position += 1
        }
    }

    private mutating func readTag(
        _ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) throws(LineFault) {
        let keyStart = position
        let key = readText(&position, end)
        guard !key.isEmpty else { throw LineFault("missing tag key", at: keyStart) }
        guard position < end, position.pointee == UInt8(ascii: "=") else {
            throw LineFault("missing tag value", at: position)
        }
        let isName = text.withUnsafeBufferPointer { all in
            all.baseAddress.map { LineScanner.isName($0 + key.lowerBound, key.count) } ?? false
        }
        guard isName else {
            throw LineFault("invalid tag key", at: keyStart, quoted: position - keyStart)
        }
        position += 1
        let valueStart = position
        let value = readText(&position, end)
        guard !value.isEmpty else { throw LineFault("missing tag value", at: valueStart) }
        guard position == end || position.pointee == UInt8(ascii: ",") else {
            throw LineFault("invalid tag format", at: position)
        }
        let isUTF8 = text.withUnsafeBufferPointer { all in
            all.baseAddress.map { LineScanner.isUTF8($0 + value.lowerBound, value.count) } ?? false
        }
        guard isUTF8 else {
            throw LineFault("invalid UTF-8 in tag value", at: valueStart)
        }
        tags.append(Tag(key: key, value: value, position: keyStart))
    }

    /// Unescapes up to an unescaped comma or equals sign.
    private mutating func readText(
        _ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> Range<Int> {
        let start = text.count
        while position < end {
            // Safe: a run of plain bytes between position and end.
            let run = position
            while position < end, position.pointee != UInt8(ascii: ","),
                position.pointee != UInt8(ascii: "="), position.pointee != UInt8(ascii: "\\")
            {
                position += 1
            }
            text.append(contentsOf: UnsafeBufferPointer(start: run, count: position - run))
            guard position < end, position.pointee == UInt8(ascii: "\\") else { break }
            if position + 1 < end,
                position[1] == UInt8(ascii: ",") || position[1] == UInt8(ascii: "=")
                    || position[1] == UInt8(ascii: " ")
            {
                position += 1
            }
            text.append(position.pointee)
            position += 1
        }
        return start..<text.count
    }

    private func checkName(
        _ name: [UInt8], _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>,
        _ reason: String
    ) throws(LineFault) {
        let isName = name.withUnsafeBufferPointer { all in
            all.baseAddress.map { LineScanner.isName($0, all.count) } ?? false
        }
        guard isName else { throw LineFault(reason, at: start, quoted: end - start) }
    }

    /// Sorts the tags, refuses a key that is there twice and writes the canonical key.
    private mutating func encode(_ limits: IngestLimits) throws(LineFault) {
        var isSorted = true
        for index in tags.indices.dropFirst() where order(index - 1, index) >= 0 {
            isSorted = false
        }
        if !isSorted {
            var sorted = Array(tags.indices)
            sorted.sort { left, right in
                let order = order(left, right)
                return order < 0 || (order == 0 && left < right)
            }
            for index in sorted.indices.dropFirst()
            where order(sorted[index - 1], sorted[index]) == 0 {
                throw LineFault("duplicate tags", at: tags[sorted[index]].position)
            }
            tags = sorted.map { tags[$0] }
        }
        for tag in tags {
            append(tag.key)
            append(tag.value)
        }
        guard key.count <= SeriesKey.byteCountMax else {
            throw LineFault("max key length exceeded", at: tags[0].position, kind: .limit)
        }
    }

    /// Bytewise order of two tags' keys: below, equal to or above zero. Safe: ranges of `text`.
    private func order(_ left: Int, _ right: Int) -> Int {
        let left = tags[left].key
        let right = tags[right].key
        return text.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return 0 }
            let order = memcmp(
                base + left.lowerBound, base + right.lowerBound, min(left.count, right.count))
            return order != 0 ? Int(order) : left.count - right.count
        }
    }

    /// The same as `SeriesKey.appendText`, without an array for each text.
    private mutating func append(_ range: Range<Int>) {
        var rest = UInt(range.count)
        while rest >= 0x80 {
            key.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        key.append(UInt8(truncatingIfNeeded: rest))
        key.append(contentsOf: text[range])
    }
}
