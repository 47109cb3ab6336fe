// Times of a block's rows, nanoseconds. A series block ascends; a packed block, which holds many
// short series, restarts at each of them.
//
//     regularTimes     start varint, step varint (both zig-zag); no bytes at all for no rows
//     deltaTimes       unit 1, first varint, frame of deltas (see IntegerFrame, order delta)
//     deltaOfDelta     unit 1, first varint, delta varint, frame of differences of deltas, whose
//                      numbers 0 and 1 are ignored
//     linearTimes      unit 1, slope varint, frame of (time i − slope × i)
//     repeatedTimes    period varint (1 ... count), encoding 1, payload of the first `period`
//                      times, which go on repeating
//     dictionaryTimes  distinct varint (1 ... count), size varint, encoding 1, payload of the
//                      distinct times in order (`size` bytes), nested frame of an index a row
//
// `unit` is the power of ten that all times of the payload were divided by: 0, 3, 6 or 9. A nested
// payload is of one of the first four encodings.

/// Encodes and decodes times.
package enum TimestampCodec {
    private static let units: [(exponent: UInt8, factor: Int64)] = [
        (9, 1_000_000_000), (6, 1_000_000), (3, 1000),
    ]

    /// Appends the payload of the smallest encoding. Any times come back, in any order. Costs
    /// nothing worth counting for regular times, else 5–20 ns a row.
    package static func encode(
        _ times: UnsafeBufferPointer<Int64>, into writer: inout ByteWriter
    ) -> Encoding {
        // Safe: the buffer has `count` times, and Int64 and UInt64 are laid out alike.
        guard let base = times.baseAddress, times.count > 0 else { return .regularTimes }
        return base.withMemoryRebound(to: UInt64.self, capacity: times.count) { numbers in
            encode(numbers, count: times.count, into: &writer)
        }
    }

    private static func encode(
        _ times: UnsafePointer<UInt64>, count: Int, into writer: inout ByteWriter
    ) -> Encoding {
        if writeRegular(times, count: count, into: &writer) { return .regularTimes }
        var restart = 1
        while restart < count,
            Int64(bitPattern: times[restart]) > Int64(bitPattern: times[restart &- 1])
        {
            restart = restart &+ 1
        }
        guard restart < count else { return encodeAscending(times, count: count, into: &writer) }
        var same = restart
        while same < count, times[same] == times[same &- restart] { same = same &+ 1 }
        if same == count {
            writer.appendVarint(UInt64(restart))
            var inner = ByteWriter()
            let encoding = encodeAscending(times, count: restart, into: &inner)
            writer.append(encoding.rawValue)
            writer.append(inner.bytes)
            return .repeatedTimes
        }
        var deltas = ByteWriter()
        let encoding = encodeAscending(times, count: count, into: &deltas)
        if let dictionary = encodeDictionary(times, count: count), dictionary.count < deltas.count {
            writer.append(dictionary.bytes)
            return .dictionaryTimes
        }
        writer.append(deltas.bytes)
        return encoding
    }

    /// Start and step, if the times have one.
    private static func writeRegular(
        _ times: UnsafePointer<UInt64>, count: Int, into writer: inout ByteWriter
    ) -> Bool {
        let step = count > 1 ? times[1] &- times[0] : 0
        var same: UInt64 = 0
        for index in 1..<max(1, count) { same |= (times[index] &- times[index &- 1]) ^ step }
        guard same == 0 else { return false }
        writer.appendSignedVarint(Int64(bitPattern: times[0]))
        writer.appendSignedVarint(Int64(bitPattern: step))
        return true
    }

    /// One of the four encodings that don't nest.
    private static func encodeAscending(
        _ times: UnsafePointer<UInt64>, count: Int, into writer: inout ByteWriter
    ) -> Encoding {
        if writeRegular(times, count: count, into: &writer) { return .regularTimes }
        let scaled = Scratch(count: count)
        let deltas = Scratch(count: count)
        let second = Scratch(count: count)
        let residuals = Scratch(count: count)
        let unit = scale(times, count: count, into: scaled.pointer)
        let numbers = scaled.pointer
        deltas.pointer[0] = 0
        for index in 1..<count { deltas.pointer[index] = numbers[index] &- numbers[index &- 1] }
        let slope = self.slope(numbers, count: count)
        var line: UInt64 = 0
        for index in 0..<count {
            residuals.pointer[index] = numbers[index] &- line
            line = line &+ slope
        }
        for index in 2..<max(2, count) {
            second.pointer[index] = deltas.pointer[index] &- deltas.pointer[index &- 1]
        }
        let deltaPlan = FramePlan.choose(deltas.pointer + 1, count: count &- 1)
        let secondPlan = FramePlan.choose(second.pointer + 2, count: max(0, count &- 2))
        let linearPlan = FramePlan.choose(residuals.pointer, count: count)
        // A line's residuals can be added up in parallel and deltas once only, so ties go to them.
        writer.append(unit)
        if linearPlan.bits <= deltaPlan.bits, linearPlan.bits <= secondPlan.bits {
            writer.appendSignedVarint(Int64(bitPattern: slope))
            IntegerFrame.write(
                residuals.pointer, count: count, plan: linearPlan, scratch: scaled.pointer,
                into: &writer)
            return .linearTimes
        }
        writer.appendSignedVarint(Int64(bitPattern: numbers[0]))
        if deltaPlan.bits <= secondPlan.bits {
            deltas.pointer[0] = deltaPlan.base
            IntegerFrame.write(
                deltas.pointer, count: count, plan: deltaPlan, scratch: scaled.pointer,
                into: &writer)
            return .deltaTimes
        }
        writer.appendSignedVarint(Int64(bitPattern: deltas.pointer[1]))
        second.pointer[0] = secondPlan.base
        second.pointer[1] = secondPlan.base
        IntegerFrame.write(
            second.pointer, count: count, plan: secondPlan, scratch: scaled.pointer, into: &writer)
        return .deltaOfDelta
    }

    /// Divides by the largest unit that leaves no rest.
    private static func scale(
        _ times: UnsafePointer<UInt64>, count: Int, into out: UnsafeMutablePointer<UInt64>
    ) -> UInt8 {
        for unit in units {
            var index = 0
            while index < count {
                let (quotient, rest) = Int64(bitPattern: times[index])
                    .quotientAndRemainder(dividingBy: unit.factor)
                guard rest == 0 else { break }
                out[index] = UInt64(bitPattern: quotient)
                index = index &+ 1
            }
            if index == count { return unit.exponent }
        }
        out.update(from: times, count: count)
        return 0
    }

    /// The step of a line through first and last; 0 where their distance passes 63 bits.
    private static func slope(_ numbers: UnsafePointer<UInt64>, count: Int) -> UInt64 {
        let (distance, overflow) = Int64(bitPattern: numbers[count &- 1])
            .subtractingReportingOverflow(Int64(bitPattern: numbers[0]))
        return overflow || count < 2 ? 0 : UInt64(bitPattern: distance / Int64(count &- 1))
    }

    private static func encodeDictionary(
        _ times: UnsafePointer<UInt64>, count: Int
    ) -> ByteWriter? {
        var sorted = UnsafeBufferPointer(start: times, count: count).map { Int64(bitPattern: $0) }
        sorted.sort()
        var distinct: [UInt64] = []
        for time in sorted where distinct.last != UInt64(bitPattern: time) {
            distinct.append(UInt64(bitPattern: time))
        }
        guard distinct.count <= count / 2 else { return nil }
        let codes = Scratch(count: count)
        var code = 0
        for index in 0..<count {
            // Rows mostly go on to the next time; a restart is searched for.
            if code &+ 1 < distinct.count, distinct[code &+ 1] == times[index] {
                code = code &+ 1
            } else if distinct[code] != times[index] {
                code = search(distinct, Int64(bitPattern: times[index]))
            }
            codes.pointer[index] = UInt64(code)
        }
        var inner = ByteWriter()
        let encoding = encodeAscending(distinct, count: distinct.count, into: &inner)
        var writer = ByteWriter(capacity: inner.count &+ count)
        writer.appendVarint(UInt64(distinct.count))
        writer.appendVarint(UInt64(inner.count))
        writer.append(encoding.rawValue)
        writer.append(inner.bytes)
        IntegerFrame.writeNested(codes.pointer, count: count, into: &writer)
        return writer
    }

    private static func search(_ sorted: [UInt64], _ time: Int64) -> Int {
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low &+ high) / 2
            if Int64(bitPattern: sorted[middle]) < time { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    // MARK: Decoding

    /// Decodes a payload of `count` times, which has to be exactly `bytes`.
    ///
    /// Safe: `into` has room for `count`, and no more is written.
    /// - Throws: `CodecError` for anything that `encode` cannot have written in that length.
    package static func decode(
        _ encoding: Encoding, _ bytes: UnsafeRawBufferPointer, count: Int,
        into out: UnsafeMutablePointer<Int64>
    ) throws(CodecError) {
        guard (64...69).contains(encoding.rawValue) else { throw CodecError.unknown(encoding) }
        guard count > 0 else {
            if count == 0, encoding == .regularTimes, bytes.isEmpty { return }
            throw CodecError(reason: "a payload for no rows")
        }
        // Safe: Int64 and UInt64 are laid out alike; the memory is used as UInt64 in here only.
        let numbers = UnsafeMutableRawPointer(out).assumingMemoryBound(to: UInt64.self)
        var reader = ByteReader(bytes)
        do throws(ByteReader.Malformed) {
            try decode(encoding, &reader, count: count, into: numbers, nested: false)
            guard reader.isAtEnd else {
                throw ByteReader.Malformed(offset: reader.offset, reason: "bytes left over")
            }
        } catch {
            throw CodecError(error)
        }
    }

    private static func decode(
        _ encoding: Encoding, _ reader: inout ByteReader, count: Int,
        into out: UnsafeMutablePointer<UInt64>, nested: Bool
    ) throws(ByteReader.Malformed) {
        switch encoding {
        case .regularTimes:
            var time = UInt64(bitPattern: try reader.readSignedVarint())
            let step = UInt64(bitPattern: try reader.readSignedVarint())
            for index in 0..<count {
                out[index] = time
                time = time &+ step
            }
        case .deltaTimes:
            let factor = try readUnit(&reader)
            try IntegerFrame.read(&reader, order: .delta, count: count, into: out)
            multiply(out, count: count, by: factor)
        case .deltaOfDelta:
            let factor = try readUnit(&reader)
            try readSecondOrder(&reader, count: count, into: out)
            multiply(out, count: count, by: factor)
        case .linearTimes:
            let factor = try readUnit(&reader)
            let slope = UInt64(bitPattern: try reader.readSignedVarint())
            try IntegerFrame.readPlain(&reader, count: count, into: out)
            var line: UInt64 = 0
            for index in 0..<count {
                out[index] = (out[index] &+ line) &* factor
                line = line &+ slope
            }
        case .repeatedTimes where !nested:
            try readRepeated(&reader, count: count, into: out)
        case .dictionaryTimes where !nested:
            try readDictionary(&reader, count: count, into: out)
        default:
            throw ByteReader.Malformed(offset: reader.offset, reason: "times nested too deep")
        }
    }

    private static func readUnit(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> UInt64
    {
        let start = reader.offset
        switch try reader.read(UInt8.self) {
        case 0: return 1
        case 3: return 1000
        case 6: return 1_000_000
        case 9: return 1_000_000_000
        default: throw ByteReader.Malformed(offset: start, reason: "an unknown unit of time")
        }
    }

    private static func multiply(
        _ numbers: UnsafeMutablePointer<UInt64>, count: Int, by factor: UInt64
    ) {
        guard factor != 1 else { return }
        for index in 0..<count { numbers[index] = numbers[index] &* factor }
    }

    private static func readSecondOrder(
        _ reader: inout ByteReader, count: Int, into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        var time = UInt64(bitPattern: try reader.readSignedVarint())
        var delta = UInt64(bitPattern: try reader.readSignedVarint())
        try IntegerFrame.readPlain(&reader, count: count, into: out)
        out[0] = time
        guard count > 1 else { return }
        time = time &+ delta
        out[1] = time
        for index in 2..<max(2, count) {
            delta = delta &+ out[index]
            time = time &+ delta
            out[index] = time
        }
    }

    private static func readRepeated(
        _ reader: inout ByteReader, count: Int, into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        let start = reader.offset
        let period = try reader.readCount(limit: count)
        guard period > 0 else {
            throw ByteReader.Malformed(offset: start, reason: "a period of no times")
        }
        let encoding = Encoding(rawValue: try reader.read(UInt8.self))
        try decode(encoding, &reader, count: period, into: out, nested: true)
        for index in period..<max(period, count) { out[index] = out[index &- period] }
    }

    private static func readDictionary(
        _ reader: inout ByteReader, count: Int, into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        let start = reader.offset
        let distinct = try reader.readCount(limit: count)
        let size = try reader.readCount(limit: reader.remaining)
        let encoding = Encoding(rawValue: try reader.read(UInt8.self))
        guard distinct > 0 else {
            throw ByteReader.Malformed(offset: start, reason: "a dictionary of no times")
        }
        var inner = ByteReader(try reader.readBytes(size))
        let times = Scratch(count: distinct)
        try decode(encoding, &inner, count: distinct, into: times.pointer, nested: true)
        try IntegerFrame.readNested(&reader, count: count, into: out)
        var largest: UInt64 = 0
        for index in 0..<count { largest = max(largest, out[index]) }
        guard inner.isAtEnd, largest < UInt64(distinct) else {
            throw ByteReader.Malformed(
                offset: start, reason: "a dictionary of times that doesn't fit")
        }
        for index in 0..<count { out[index] = times.pointer[Int(out[index])] }
    }
}
