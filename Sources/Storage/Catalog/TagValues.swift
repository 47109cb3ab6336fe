// One tag of a table: its distinct values, numbered in order of first appearance, and of each series
// which it has.
//
//     values    code → bytes        chunks of 1,024 values
//     slots     value → code        HashSlots
//     codes     series → 1 + code   stretches of 65,536 series, 1, 2 or 4 bytes each; 0: none
//
// Values and codes are only ever appended. A reader copies the lists of chunks under the table's lock
// and reads without it: what was there when it copied stays where it is. A chunk that has to grow, or
// to hold wider codes, is replaced by a copy; readers keep the one they have.

internal import ApusKernels
internal import Glibc

/// Safe: bytes below the ends that a reader knows are never written again; one thread appends.
private final class ValueChunk: @unchecked Sendable {
    static let valuesMax = 1_024

    let valueCapacity: Int
    let byteCapacity: Int
    /// Ends of the values in `bytes`.
    let ends: UnsafeMutablePointer<UInt32>
    let bytes: UnsafeMutablePointer<UInt8>

    init(valueCapacity: Int, byteCapacity: Int) {
        self.valueCapacity = valueCapacity
        self.byteCapacity = byteCapacity
        ends = .allocate(capacity: valueCapacity)
        bytes = .allocate(capacity: max(1, byteCapacity))
    }

    deinit {
        ends.deallocate()
        bytes.deallocate()
    }

    func copy(count: Int, valueCapacity: Int, byteCapacity: Int) -> ValueChunk {
        let copy = ValueChunk(valueCapacity: valueCapacity, byteCapacity: byteCapacity)
        copy.ends.update(from: ends, count: count)
        copy.bytes.update(from: bytes, count: count == 0 ? 0 : Int(ends[count - 1]))
        return copy
    }
}

/// Byte strings by number.
///
/// Safe: the places point into the chunks, which live as long as the list. A look through them counts no
/// references: threads that do so on one chunk take the count's line of memory from each other.
package struct ValueList: @unchecked Sendable {
    private typealias Place = (
        ends: UnsafeMutablePointer<UInt32>, bytes: UnsafeMutablePointer<UInt8>
    )

    private var chunks: [ValueChunk] = []
    private var places: [Place] = []
    package private(set) var count = 0
    private(set) var byteCount = 0

    package var indices: Range<Int> { 0..<count }

    /// Safe: the bytes live as long as the list does, or a copy of it.
    @inline(__always)
    package subscript(_ code: Int) -> UnsafeRawBufferPointer {
        let place = places[code / ValueChunk.valuesMax]
        let index = code % ValueChunk.valuesMax
        let start = index == 0 ? 0 : Int(place.ends[index &- 1])
        return UnsafeRawBufferPointer(
            start: place.bytes + start, count: Int(place.ends[index]) &- start)
    }

    /// Hands over the values from a code on, up to 1,024 that lie one behind the other at a time.
    /// Safe: the run's bytes live as long as the list does, or a copy of it.
    package func forEachRun<Failure: Error>(
        from code: Int, _ body: (ValueRun) throws(Failure) -> Void
    ) throws(Failure) {
        var code = code
        while code < count {
            let place = places[code / ValueChunk.valuesMax]
            let first = code % ValueChunk.valuesMax
            let end = min(ValueChunk.valuesMax, count - code + first)
            try body(
                ValueRun(
                    firstCode: code, first: first, count: end - first,
                    ends: UnsafePointer(place.ends), bytes: UnsafePointer(place.bytes)))
            code += end - first
        }
    }

    fileprivate mutating func append(_ value: UnsafeRawBufferPointer) {
        let index = count % ValueChunk.valuesMax
        if index == 0 { use(ValueChunk(valueCapacity: 4, byteCapacity: 64), at: chunks.count) }
        let last = chunks.count - 1
        let used = index == 0 ? 0 : Int(places[last].ends[index - 1])
        let end = used + value.count
        if index == chunks[last].valueCapacity || end > chunks[last].byteCapacity {
            let wider = chunks[last].copy(
                count: index,
                valueCapacity: min(ValueChunk.valuesMax, max(4, index * 2)),
                byteCapacity: max(end, chunks[last].byteCapacity * 2))
            use(wider, at: last)
        }
        // Safe: there is room for the value and its end.
        if let source = value.baseAddress { memcpy(places[last].bytes + used, source, value.count) }
        places[last].ends[index] = UInt32(truncatingIfNeeded: end)
        count += 1
        if index == ValueChunk.valuesMax - 1 {
            let full = chunks[last].copy(
                count: ValueChunk.valuesMax, valueCapacity: ValueChunk.valuesMax, byteCapacity: end)
            use(full, at: last)
        }
    }

    private mutating func use(_ chunk: ValueChunk, at index: Int) {
        if index < chunks.count {
            byteCount -= bytes(of: chunks[index])
            chunks[index] = chunk
            places[index] = (chunk.ends, chunk.bytes)
        } else {
            chunks.append(chunk)
            places.append((chunk.ends, chunk.bytes))
        }
        byteCount += bytes(of: chunk)
    }

    private func bytes(of chunk: ValueChunk) -> Int {
        chunk.valueCapacity * 4 + chunk.byteCapacity + 80
    }
}

/// Some values that lie one behind the other, with neighbouring codes.
///
/// Safe: good while the list lives that lent it.
package struct ValueRun {
    package let firstCode: Int
    fileprivate let first: Int
    package let count: Int
    fileprivate let ends: UnsafePointer<UInt32>
    fileprivate let bytes: UnsafePointer<UInt8>

    @inline(__always)
    private func start(_ index: Int) -> Int {
        first &+ index == 0 ? 0 : Int(ends[first &+ index &- 1])
    }

    /// Safe: as the run.
    @inline(__always)
    package subscript(_ index: Int) -> UnsafeRawBufferPointer {
        let start = start(index)
        return UnsafeRawBufferPointer(
            start: bytes + start, count: Int(ends[first &+ index]) &- start)
    }

    /// Sets `found` to 1 for each value that contains the needle, which isn't empty. 0.1–0.3 ns a
    /// byte of the values.
    ///
    /// - Precondition: `found` has `count` elements.
    package func markContaining(
        _ needle: [UInt8], in found: UnsafeMutableBufferPointer<UInt8>
    ) {
        precondition(found.count >= count, "BUG: a flag for every value")
        guard let flags = found.baseAddress, !needle.isEmpty, count > 0 else { return }
        // Safe: the kernel reads the run's values and the needle, and writes `count` flags at most.
        needle.withUnsafeBufferPointer { needle in
            apus_find_in_values(
                bytes, ends, first, count, needle.baseAddress, needle.count, flags)
        }
    }
}

/// Codes of `width` bytes.
private struct PackedCodes {
    let width: Int
    let memory: UnsafeMutableRawPointer

    // Safe: who owns the memory keeps indices below its capacity.
    @inline(__always)
    subscript(_ index: Int) -> UInt32 {
        get {
            switch width {
            case 1: UInt32(memory.load(fromByteOffset: index, as: UInt8.self))
            case 2: UInt32(memory.load(fromByteOffset: index &* 2, as: UInt16.self))
            default: memory.load(fromByteOffset: index &* 4, as: UInt32.self)
            }
        }
        nonmutating set {
            switch width {
            case 1:
                memory.storeBytes(
                    of: UInt8(truncatingIfNeeded: newValue), toByteOffset: index, as: UInt8.self)
            case 2:
                memory.storeBytes(
                    of: UInt16(truncatingIfNeeded: newValue), toByteOffset: index &* 2,
                    as: UInt16.self)
            default: memory.storeBytes(of: newValue, toByteOffset: index &* 4, as: UInt32.self)
            }
        }
    }
}

/// Safe: as a chunk of values.
private final class CodeChunk: @unchecked Sendable {
    let codes: PackedCodes
    let capacity: Int

    init(width: Int, capacity: Int) {
        self.capacity = capacity
        // Kernels read whole vectors.
        let byteCount = width * capacity + 64
        codes = PackedCodes(
            width: width, memory: .allocate(byteCount: byteCount, alignment: 16))
        memset(codes.memory, 0, byteCount)
    }

    deinit { codes.memory.deallocate() }

    func copy(count: Int, width: Int, capacity: Int) -> CodeChunk {
        let copy = CodeChunk(width: width, capacity: capacity)
        if width == codes.width {
            memcpy(copy.codes.memory, codes.memory, count * width)
        } else {
            for index in 0..<count { copy.codes[index] = codes[index] }
        }
        return copy
    }
}

/// Of each series, from 0 on, 1 + the code of its value, 0 where it has none. May end early.
///
/// Safe: as the list of values.
package struct CodeColumn: @unchecked Sendable {
    static let stretchSeries = 1 << 16

    private struct Stretch {
        var chunk: CodeChunk
        var codes: PackedCodes
        /// The smallest and the largest code: codes of tags that identify a series rise with the
        /// series, so that few stretches can hold a given one.
        var low = UInt32.max
        var high: UInt32 = 0
    }

    private var stretches: [Stretch] = []
    package private(set) var count = 0

    package init() {}

    var byteCount: Int { stretches.reduce(0) { $0 + $1.chunk.capacity * $1.codes.width + 128 } }

    @inline(__always)
    package subscript(_ series: Int) -> UInt32 {
        series < count
            ? stretches[series / Self.stretchSeries].codes[series % Self.stretchSeries] : 0
    }

    /// The codes of series 0 ..< count; 0.2–0.5 ns each.
    package func all(_ wanted: Int) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: wanted) { buffer, initialized in
            buffer.initialize(repeating: 0)
            forEachStretch(below: wanted) { first, codes, known, _, _ in
                // Safe: a stretch has `known` codes of its width.
                switch codes.width {
                case 1:
                    let source = codes.memory.assumingMemoryBound(to: UInt8.self)
                    for index in 0..<known { buffer[first &+ index] = UInt32(source[index]) }
                case 2:
                    let source = codes.memory.assumingMemoryBound(to: UInt16.self)
                    for index in 0..<known { buffer[first &+ index] = UInt32(source[index]) }
                default:
                    let source = codes.memory.assumingMemoryBound(to: UInt32.self)
                    for index in 0..<known { buffer[first &+ index] = source[index] }
                }
            }
            initialized = wanted
        }
    }

    /// The highest code of the series below one.
    func highest(below series: Int) -> Int {
        var highest: UInt32 = 0
        for (index, stretch) in stretches.enumerated() {
            let first = index * Self.stretchSeries
            let known = min(count, series) - first
            guard known > 0 else { break }
            if known >= Self.stretchSeries {
                highest = max(highest, stretch.high)
            } else {
                for place in 0..<known { highest = max(highest, stretch.codes[place]) }
            }
        }
        return Int(highest)
    }

    /// - Parameter series: One behind all that have a code.
    fileprivate mutating func set(_ series: Int, _ code: UInt32) {
        while count < series { append(0) }
        append(code)
    }

    /// Adds the codes of neighbouring series.
    fileprivate mutating func append(_ codes: [UInt64], from series: Int) {
        while count < series { append(0) }
        var next = 0
        while next < codes.count {
            // The first of a stretch makes it.
            append(UInt32(truncatingIfNeeded: codes[next]))
            next += 1
            let index = count % Self.stretchSeries
            let end = min(codes.count, next + (index == 0 ? 0 : Self.stretchSeries - index))
            guard next < end else { continue }
            let last = stretches.count - 1
            var (low, high) = (UInt64.max, UInt64.zero)
            for code in codes[next..<end] { (low, high) = (min(low, code), max(high, code)) }
            makeRoom(last, index + end - next - 1, UInt32(truncatingIfNeeded: high))
            note(last, UInt32(truncatingIfNeeded: low))
            note(last, UInt32(truncatingIfNeeded: high))
            let packed = stretches[last].codes
            // Safe: `makeRoom` saw to it that the chunk has these places, and that the codes fit.
            for place in next..<end {
                packed[index &+ place &- next] = UInt32(truncatingIfNeeded: codes[place])
            }
            count += end - next
            next = end
        }
    }

    private mutating func append(_ code: UInt32) {
        let index = count % Self.stretchSeries
        if index == 0 {
            let isFirst = stretches.isEmpty
            let chunk = CodeChunk(width: 1, capacity: isFirst ? 16 : Self.stretchSeries)
            stretches.append(Stretch(chunk: chunk, codes: chunk.codes))
        }
        let last = stretches.count - 1
        makeRoom(last, index, code)
        note(last, code)
        // Safe: `makeRoom` saw to it that the chunk has this place, and that the code fits.
        stretches[last].codes[index] = code
        count += 1
    }

    private mutating func note(_ stretch: Int, _ code: UInt32) {
        stretches[stretch].low = min(stretches[stretch].low, code)
        stretches[stretch].high = max(stretches[stretch].high, code)
    }

    private mutating func makeRoom(_ stretch: Int, _ index: Int, _ code: UInt32) {
        let chunk = stretches[stretch].chunk
        let width = max(chunk.codes.width, code < 1 << 8 ? 1 : code < 1 << 16 ? 2 : 4)
        guard width > chunk.codes.width || index >= chunk.capacity else { return }
        var capacity = chunk.capacity
        while capacity <= index { capacity *= 2 }
        let wider = chunk.copy(
            count: min(index, count - stretch * Self.stretchSeries), width: width,
            capacity: capacity)
        stretches[stretch].chunk = wider
        stretches[stretch].codes = wider.codes
    }

    /// Adds the series with a code, which isn't 0, to a set. 0.03–0.1 ns a series.
    fileprivate func select(_ code: UInt32, into result: inout SeriesSet) {
        forEachStretch(below: result.capacity) { first, codes, count, low, high in
            guard low <= code, code <= high else { return }
            result.withWords(from: first) { words in
                // Safe: stretches begin at whole words, and the set has a bit for each series.
                apus_match_codes(
                    codes.memory, UInt32(truncatingIfNeeded: codes.width), count, code, words)
            }
        }
    }

    /// Adds the series from one on whose code is accepted. 0.3–1 ns a series.
    fileprivate func select(_ accepted: CodeSet, from: Int, into result: inout SeriesSet) {
        accepted.words.withUnsafeBufferPointer { set in
            forEachStretch(below: result.capacity) { first, codes, known, _, _ in
                // From the beginning of a word on: what it says of series before is the same again.
                let start = max(0, (from - first) & ~63)
                guard start < known else { return }
                result.withWords(from: first + start) { words in
                    // Safe: stretches begin at whole words, the set of series has a bit for each, and
                    // that of codes a word for each code up to its count.
                    apus_select_codes(
                        codes.memory + start * codes.width, UInt32(truncatingIfNeeded: codes.width),
                        known - start, set.baseAddress,
                        UInt32(truncatingIfNeeded: accepted.count), words)
                }
            }
        }
        if accepted.contains(0) {
            let absent = max(count, from)
            result.insert(ids: absent..<max(absent, result.capacity))
        }
    }

    private func forEachStretch(
        below end: Int,
        _ body: (
            _ firstSeries: Int, _ codes: PackedCodes, _ count: Int, _ low: UInt32, _ high: UInt32
        ) -> Void
    ) {
        for (index, stretch) in stretches.enumerated() {
            let first = index * Self.stretchSeries
            let known = min(Self.stretchSeries, min(count, end) - first)
            guard known > 0 else { return }
            body(first, stretch.codes, known, stretch.low, stretch.high)
        }
    }
}

/// What readers see of a tag.
package struct TagColumnValues: Sendable {
    package fileprivate(set) var values = ValueList()
    package fileprivate(set) var codes = CodeColumn()

    /// The value of a series, or nil if it lacks the tag.
    package func value(of series: UInt32) -> UnsafeRawBufferPointer? {
        let code = codes[Int(series)]
        return code == 0 ? nil : values[Int(code) - 1]
    }
}

struct TagValues: Sendable {
    private(set) var column = TagColumnValues()
    let slots = HashSlots()

    var byteCount: Int {
        column.values.byteCount + column.codes.byteCount + slots.byteCount
    }

    /// The code of a value, or nil if no series ever had it.
    func code(of value: UnsafeRawBufferPointer) -> UInt32? {
        code(of: value, KeyHash.hash(value))
    }

    private func code(of value: UnsafeRawBufferPointer, _ hash: UInt64) -> UInt32? {
        slots.find(hash) { code in
            let known = column.values[Int(code)]
            guard known.count == value.count, let left = known.baseAddress,
                let right = value.baseAddress
            else { return false }
            // Safe: both have so many bytes.
            return memcmp(left, right, value.count) == 0
        }
    }

    mutating func findOrAdd(_ value: UnsafeRawBufferPointer) -> UInt32 {
        let hash = KeyHash.hash(value)
        if let code = code(of: value, hash) { return code }
        let code = UInt32(truncatingIfNeeded: column.values.count)
        column.values.append(value)
        slots.insert(hash, code)
        return code
    }

    mutating func set(_ series: Int, code: UInt32) { column.codes.set(series, code &+ 1) }

    /// Adds values that are new, and the codes of series from one on.
    mutating func append(_ section: SeriesSection.Tag, firstSeries: Int) {
        let first = column.values.count
        var hashes: [UInt64] = []
        hashes.reserveCapacity(section.values.count)
        section.strings.withUnsafeBytes { strings in
            for value in section.values {
                let slot = StringSlot(rawValue: value)
                // Safe: slots that were read lie within the strings.
                let bytes = UnsafeRawBufferPointer(
                    rebasing: strings[slot.offset..<(slot.offset + slot.length)])
                hashes.append(KeyHash.hash(bytes))
                column.values.append(bytes)
            }
        }
        slots.add(hashes, from: first)
        column.codes.append(section.codes, from: firstSeries)
    }
}

extension TagColumnValues {
    /// The series with one of some codes.
    package func select(codes wanted: [UInt32], capacity: Int) -> SeriesSet {
        var result = SeriesSet(capacity: capacity)
        if wanted.count <= 4 {
            for code in wanted { codes.select(code &+ 1, into: &result) }
        } else {
            var accepted = CodeSet(count: values.count + 1)
            for code in wanted { accepted.insert(Int(code) + 1) }
            codes.select(accepted, from: 0, into: &result)
        }
        return result
    }

    /// Adds the series from one on whose value is accepted. Those with values that have not been decided
    /// are not: they came after the question.
    package func select(_ accepted: CodeSet, from series: Int, into result: inout SeriesSet) {
        codes.select(accepted, from: series, into: &result)
    }
}
