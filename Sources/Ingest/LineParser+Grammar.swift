// Fields and time of a line, byte by byte. Safe: no position passes `end`.

internal import ApusStorage

extension LineParser {
    func skipSpaces(_ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) {
        while position < end, position.pointee == 0x20 { position += 1 }
    }

    /// The first space that no backslash precedes.
    func endOfKey(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8> {
        var position = start
        while position < end {
            if position.pointee == 0x20, position == start || position[-1] != UInt8(ascii: "\\") {
                return position
            }
            position += 1
        }
        return end
    }

    /// Parses `name=value[,name=value]…` into the scratch.
    func parseFields(
        _ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, keyCount: Int,
        _ batch: WriteBatch
    ) throws(LineFault) {
        context.scratch.removeAll()
        while true {
            let nameStart = position
            let name = try parseFieldName(&position, end)
            let needle = UnsafeRawBufferPointer(start: nameStart, count: position - nameStart)
            guard keyCount + name.count <= context.limits.seriesKeyBytesMax,
                keyCount + needle.count - 1 <= context.limits.seriesKeyBytesMax
            else { throw LineFault("max key length exceeded", at: nameStart, kind: .limit) }
            let value = try parseValue(&position, end, batch)
            context.scratch.fields.append(
                .init(needle: needle, name: name, type: value.type, slot: value.slot))
            guard context.scratch.fields.count <= context.limits.fieldsPerLineMax else {
                throw LineFault("too many fields", at: nameStart, kind: .limit)
            }
            guard position < end, position.pointee == UInt8(ascii: ",") else { return }
            position += 1
        }
    }

    /// Steps over a field's name and the `=` behind it.
    private func parseFieldName(
        _ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) throws(LineFault) -> Range<Int> {
        let start = position
        let nameStart = context.scratch.names.count
        scan: while position < end {
            var byte = position.pointee
            switch byte {
            case UInt8(ascii: "="), UInt8(ascii: ","), UInt8(ascii: " "): break scan
            case UInt8(ascii: "\\") where position + 1 < end:
                let next = position[1]
                if next == UInt8(ascii: ",") || next == UInt8(ascii: "=") || next == 0x20 {
                    byte = next
                    position += 1
                }
            default: break
            }
            context.scratch.names.append(byte)
            position += 1
        }
        let name = nameStart..<context.scratch.names.count
        guard !name.isEmpty else { throw LineFault("missing field key", at: start) }
        guard position < end, position.pointee == UInt8(ascii: "=") else {
            throw LineFault("invalid field format", at: start, quoted: position - start)
        }
        let isName = context.scratch.names.withUnsafeBufferPointer { all in
            all.baseAddress.map { LineScanner.isName($0 + nameStart, name.count) } ?? false
        }
        guard isName else {
            throw LineFault("invalid field key", at: start, quoted: position - start)
        }
        position += 1
        return name
    }

    private func parseValue(
        _ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ batch: WriteBatch
    ) throws(LineFault) -> (type: FieldType, slot: UInt64) {
        if position < end, position.pointee == UInt8(ascii: "\"") {
            position += 1
            try FieldValueParser.string(
                &position, end, into: &context.scratch.string,
                bytesMax: context.limits.stringBytesMax)
            guard
                position == end || position.pointee == UInt8(ascii: ",")
                    || position.pointee == 0x20
            else { throw LineFault("text after a string", at: position) }
            let slot = context.scratch.string.withUnsafeBytes { batch.appendString($0) }
            return (.string, slot.rawValue)
        }
        let start = position
        while position < end, position.pointee != UInt8(ascii: ","), position.pointee != 0x20 {
            position += 1
        }
        return try FieldValueParser.parse(start, position)
    }

    /// Parses what follows the fields: nothing, or a time and spaces.
    func parseTime(
        _ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) throws(LineFault) -> Int64 {
        skipSpaces(&position, end)
        guard position < end else {
            if requiresTime { throw LineFault("missing timestamp", at: position) }
            return precision.truncate(arrivalNanoseconds)
        }
        let start = position
        while position < end, position.pointee != 0x20 { position += 1 }
        guard let number = FieldValueParser.signed(start, position) else {
            throw LineFault("bad timestamp", at: start, quoted: position - start)
        }
        guard let written = number.value, let time = precision.scale(written) else {
            throw LineFault("time outside range", at: start, quoted: position - start)
        }
        skipSpaces(&position, end)
        guard position == end else {
            throw LineFault("text after the timestamp", at: position, quoted: end - position)
        }
        return time
    }
}
