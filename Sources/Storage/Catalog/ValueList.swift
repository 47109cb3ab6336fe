// The values of a tag by number, in chunks. See TagValues.

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

    /// A full chunk of values without bytes, for all that have been dropped.
    static let ofNothing: ValueChunk = {
        let chunk = ValueChunk(valueCapacity: valuesMax, byteCapacity: 0)
        chunk.ends.update(repeating: 0, count: valuesMax)
        return chunk
    }()

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

    mutating func append(_ value: UnsafeRawBufferPointer) {
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

    /// Values that nobody has, up to a code.
    mutating func skip(to code: Int) {
        while count < code {
            if count % ValueChunk.valuesMax == 0, code - count >= ValueChunk.valuesMax {
                use(.ofNothing, at: chunks.count)
                count += ValueChunk.valuesMax
            } else {
                append(UnsafeRawBufferPointer(start: nil, count: 0))
            }
        }
    }

    /// Gives back the bytes of values that are not alive, where a full chunk has many, and chunks without
    /// any other.
    mutating func sweep(_ isAlive: (Int) -> Bool) {
        for index in chunks.indices where chunks[index] !== ValueChunk.ofNothing {
            let first = index * ValueChunk.valuesMax
            let codes = first..<(first + ValueChunk.valuesMax)
            guard codes.upperBound <= count else { return }
            let living = codes.count(where: isAlive)
            if living == 0 {
                use(.ofNothing, at: index)
            } else if living <= ValueChunk.valuesMax / 4 * 3 {
                use(thinned(codes, isAlive), at: index)
            }
        }
    }

    /// A chunk's values, those that are not alive without bytes.
    private func thinned(_ codes: Range<Int>, _ isAlive: (Int) -> Bool) -> ValueChunk {
        let byteCount = codes.reduce(0) { $0 + (isAlive($1) ? self[$1].count : 0) }
        let chunk = ValueChunk(valueCapacity: codes.count, byteCapacity: byteCount)
        var end = 0
        for code in codes {
            let value = self[code]
            // Safe: there is room for all that are alive.
            if isAlive(code), let source = value.baseAddress {
                memcpy(chunk.bytes + end, source, value.count)
                end += value.count
            }
            chunk.ends[code - codes.lowerBound] = UInt32(truncatingIfNeeded: end)
        }
        return chunk
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
        chunk === ValueChunk.ofNothing ? 24 : chunk.valueCapacity * 4 + chunk.byteCapacity + 80
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
