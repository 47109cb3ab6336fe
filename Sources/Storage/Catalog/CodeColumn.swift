// Of each series the code of its value, in stretches. See TagValues.

internal import ApusKernels
internal import Glibc

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

    /// Zeros, for all stretches whose series have been dropped.
    static let ofNothing = CodeChunk(width: 1, capacity: CodeColumn.stretchSeries)

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

    var byteCount: Int {
        stretches.reduce(0) {
            $0 + ($1.chunk === CodeChunk.ofNothing ? 0 : $1.chunk.capacity * $1.codes.width) + 128
        }
    }

    @inline(__always)
    package subscript(_ series: Int) -> UInt32 {
        series < count
            ? stretches[series / Self.stretchSeries].codes[series % Self.stretchSeries] : 0
    }

    fileprivate func stretch(_ index: Int) -> PackedCodes? {
        index < stretches.count ? stretches[index].codes : nil
    }

    /// The codes of neighbouring series; 0.2–0.5 ns each.
    package func codes(of range: Range<Int>) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: range.count) { buffer, initialized in
            let known = max(range.lowerBound, min(range.upperBound, count))
            for index in (known - range.lowerBound)..<range.count { buffer[index] = 0 }
            forEachStretch(in: range.lowerBound..<known) { first, codes, part in
                let target = UnsafeMutableBufferPointer(
                    rebasing: buffer[(first - range.lowerBound)...])
                // Safe: a stretch has codes of its width in `part`, and the buffer room for them.
                switch codes.width {
                case 1:
                    let source = codes.memory.assumingMemoryBound(to: UInt8.self)
                    for index in part { target[index &- part.lowerBound] = UInt32(source[index]) }
                case 2:
                    let source = codes.memory.assumingMemoryBound(to: UInt16.self)
                    for index in part { target[index &- part.lowerBound] = UInt32(source[index]) }
                default:
                    let source = codes.memory.assumingMemoryBound(to: UInt32.self)
                    for index in part { target[index &- part.lowerBound] = source[index] }
                }
            }
            initialized = range.count
        }
    }

    /// - Parameter body: Is told the first series, its stretch's codes, and which of them are the range's.
    private func forEachStretch(
        in range: Range<Int>, _ body: (_ series: Int, _ codes: PackedCodes, Range<Int>) -> Void
    ) {
        var series = range.lowerBound
        while series < range.upperBound {
            let place = series % Self.stretchSeries
            let taken = min(Self.stretchSeries - place, range.upperBound - series)
            body(series, stretches[series / Self.stretchSeries].codes, place..<(place + taken))
            series += taken
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
    mutating func set(_ series: Int, _ code: UInt32) {
        skip(to: series)
        append(code)
    }

    /// Series without the tag, up to one.
    private mutating func skip(to series: Int) {
        while count < series {
            if count % Self.stretchSeries == 0, series - count >= Self.stretchSeries {
                stretches.append(Self.nothing)
                count += Self.stretchSeries
            } else {
                append(0)
            }
        }
    }

    private static var nothing: Stretch {
        Stretch(chunk: .ofNothing, codes: CodeChunk.ofNothing.codes, low: 0, high: 0)
    }

    /// Gives back full stretches whose series have all been dropped.
    mutating func sweep(_ dropped: SeriesSet) {
        for index in stretches.indices where stretches[index].chunk !== CodeChunk.ofNothing {
            let first = index * Self.stretchSeries
            let end = first + Self.stretchSeries
            guard end <= count, dropped.covers(first..<end) else { continue }
            // What the codes were counts on: `highest` goes by it.
            stretches[index].chunk = .ofNothing
            stretches[index].codes = CodeChunk.ofNothing.codes
        }
    }

    /// Adds the codes of neighbouring series.
    mutating func append(_ codes: [UInt64], from series: Int) {
        skip(to: series)
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
    func select(_ code: UInt32, into result: inout SeriesSet) {
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
    func select(_ accepted: CodeSet, from: Int, into result: inout SeriesSet) {
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

/// Reads the codes of series one by one, which is quick if they rise: a stretch is looked up once.
///
/// Safe: the column keeps the memory of its stretches.
package struct CodeReader {
    private let column: CodeColumn
    private var stretch = -1
    private var codes: PackedCodes?

    package init(_ column: CodeColumn) { self.column = column }

    /// 1 + the code of a series' value, 0 where it has none.
    @inline(__always)
    package mutating func code(of series: Int) -> UInt32 {
        if series / CodeColumn.stretchSeries != stretch {
            stretch = series / CodeColumn.stretchSeries
            codes = column.stretch(stretch)
        }
        guard series < column.count, let codes else { return 0 }
        return codes[series % CodeColumn.stretchSeries]
    }
}
