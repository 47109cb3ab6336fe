// Which rows of a block hold a value. Every column payload begins with it.
//
//     field     size                present   meaning
//     ────────  ──────────────────  ────────  ─────────────────────────────────────────────
//     kind      1                   always    0 all, 1 none, 2 bitmap, 3 runs
//     bits      ceil(count / 8)     kind 2    bit i % 8 of byte i / 8 is set where row i is
//                                             present; unused bits are zero
//     runCount  varint              kind 3    1 ... count + 1
//     runs      varints             kind 3    lengths of absent, present, absent … runs; the first
//                                             may be 0, their sum is count
//
// The writer never gives kind 2 or 3 with all or no rows present. A reader takes it.

enum Presence {
    enum Kind: UInt8 {
        case everyRow = 0
        case noRow = 1
        case bitmap = 2
        case runs = 3
    }

    /// Writes the presence of a slice and returns how many rows are present.
    static func write(
        _ validity: UnsafePointer<UInt8>?, count: Int, into writer: inout ByteWriter
    ) -> Int {
        var present = count
        var runs = 1
        if let validity {
            present = 0
            var before: UInt8 = 0
            for index in 0..<count {
                let valid = validity[index] & 1
                present = present &+ Int(valid)
                runs = runs &+ Int(valid ^ before)
                before = valid
            }
        }
        guard let validity, present != count else {
            writer.append(Kind.everyRow.rawValue)
            return count
        }
        guard present > 0 else {
            writer.append(Kind.noRow.rawValue)
            return 0
        }
        // Runs mostly take a byte each, two from 128 rows on.
        if runs &* 2 < (count &+ 7) / 8 {
            writeRuns(validity, count: count, runs: runs, into: &writer)
        } else {
            writeBitmap(validity, count: count, into: &writer)
        }
        return present
    }

    private static func writeRuns(
        _ validity: UnsafePointer<UInt8>, count: Int, runs: Int, into writer: inout ByteWriter
    ) {
        writer.append(Kind.runs.rawValue)
        writer.appendVarint(UInt64(runs))
        var current: UInt8 = 0
        var start = 0
        for index in 0..<count where validity[index] & 1 != current {
            writer.appendVarint(UInt64(index &- start))
            start = index
            current ^= 1
        }
        writer.appendVarint(UInt64(count &- start))
    }

    private static func writeBitmap(
        _ validity: UnsafePointer<UInt8>, count: Int, into writer: inout ByteWriter
    ) {
        writer.append(Kind.bitmap.rawValue)
        let size = (count &+ 7) / 8
        writer.append(capacityMax: size) { buffer in
            for index in 0..<count where validity[index] & 1 != 0 {
                buffer[index &>> 3] |= 1 &<< UInt8(index & 7)
            }
            return size
        }
    }

    /// Reads what `write` wrote. `validity` gets `count` bytes of 0 and 1, but is left alone when
    /// all rows are present.
    ///
    /// Safe: `validity` has room for count + 64 bytes.
    static func read(
        _ reader: inout ByteReader, count: Int, validity: UnsafeMutablePointer<UInt8>
    ) throws(ByteReader.Malformed) -> Int {
        let start = reader.offset
        switch Kind(rawValue: try reader.read(UInt8.self)) {
        case .everyRow:
            return count
        case .noRow:
            validity.update(repeating: 0, count: count)
            return 0
        case .bitmap:
            return try readBitmap(&reader, count: count, validity: validity)
        case .runs:
            return try readRuns(&reader, count: count, validity: validity)
        case nil:
            throw ByteReader.Malformed(offset: start, reason: "an unknown kind of presence")
        }
    }

    private static func readBitmap(
        _ reader: inout ByteReader, count: Int, validity: UnsafeMutablePointer<UInt8>
    ) throws(ByteReader.Malformed) -> Int {
        let start = reader.offset
        let bits = try reader.readBytes((count &+ 7) / 8)
        var present = 0
        for index in 0..<count {
            let bit = (bits[index &>> 3] &>> UInt8(index & 7)) & 1
            validity[index] = bit
            present = present &+ Int(bit)
        }
        if count & 7 != 0, bits[count &>> 3] &>> UInt8(count & 7) != 0 {
            throw ByteReader.Malformed(offset: start, reason: "unused presence bits are set")
        }
        return present
    }

    private static func readRuns(
        _ reader: inout ByteReader, count: Int, validity: UnsafeMutablePointer<UInt8>
    ) throws(ByteReader.Malformed) -> Int {
        let start = reader.offset
        let runs = try reader.readCount(limit: count &+ 1)
        var position = 0
        var present = 0
        for run in 0..<runs {
            let length = try reader.readCount(limit: count &- position)
            (validity + position).update(repeating: UInt8(run & 1), count: length)
            position = position &+ length
            present = present &+ (run & 1 == 1 ? length : 0)
        }
        guard position == count else {
            throw ByteReader.Malformed(offset: start, reason: "presence runs end early")
        }
        return present
    }

    /// Moves the first `present` slots to the rows that are present; absent rows become 0.
    static func spread(
        _ values: UnsafeMutablePointer<UInt64>, validity: UnsafePointer<UInt8>, count: Int,
        present: Int
    ) {
        var from = present
        for row in stride(from: count &- 1, through: 0, by: -1) {
            if validity[row] != 0 {
                // Safe: `present` counts the set bytes, so that `from` ends at 0 and is ≤ row.
                from = from &- 1
                values[row] = values[from]
            } else {
                values[row] = 0
            }
        }
    }

    /// The reverse: copies the present slots into `dense`.
    static func gather(_ slice: ColumnSlice, into dense: UnsafeMutablePointer<UInt64>) {
        guard let validity = slice.validity else { return }
        var next = 0
        for row in 0..<slice.count where validity[row] & 1 != 0 {
            dense[next] = slice.values[row]
            next = next &+ 1
        }
    }
}
