// String functions. Positions and lengths count Unicode code points, from 1.

internal import ApusStorage

/// The value of a string function for each row; NULL where an argument is NULL (but concat).
func stringFunction(
    _ function: ScalarFunction, _ arguments: [Vector], _ type: ResultType
) -> Vector {
    let isConstant = arguments.allSatisfy { $0.isConstant }
    let rows = arguments.first?.count ?? 0
    let slots = isConstant ? min(1, rows) : rows
    var builder = VectorBuilder(type, capacity: slots)
    for row in 0..<slots {
        if function == .concat {
            var text: [UInt8] = []
            for argument in arguments where argument.isValid(row) {
                argument.withBytes(row) { text.append(contentsOf: $0) }
            }
            builder.append(text: text)
        } else if arguments.allSatisfy({ $0.isValid(row) }) {
            appendString(function, arguments, row, &builder)
        } else {
            builder.appendNull()
        }
    }
    var result = builder.finish()
    if isConstant, rows > 0 {
        result.isConstant = true
        result.count = rows
    }
    return result
}

private func appendString(
    _ function: ScalarFunction, _ arguments: [Vector], _ row: Int, _ out: inout VectorBuilder
) {
    let text = arguments[0].byteArray(row)
    func integer(_ index: Int) -> Int { Int(Int64(bitPattern: arguments[index].slot(row))) }
    func bytes(_ index: Int) -> [UInt8] { arguments[index].byteArray(row) }
    switch function {
    case .length: out.append(UInt64(codePointCount(text)))
    case .octetLength: out.append(UInt64(text.count))
    case .lower, .upper: out.append(text: changeCase(text, up: function == .upper))
    case .concatOperator: out.append(text: text + bytes(1))
    case .startsWith: out.append(text.starts(with: bytes(1)) ? 1 : 0)
    case .strpos:
        let found = firstIndex(of: bytes(1), in: text, from: 0)
        out.append(UInt64(found.map { codePointCount(text[..<$0]) + 1 } ?? 0))
    case .substr:
        let start = integer(1)
        let count = arguments.count > 2 ? integer(2) : .max
        guard count >= 0 else { return out.appendNull() }
        let end = start.addingReportingOverflow(count)
        out.append(text: codePoints(text, start, end.overflow ? .max : end.partialValue))
    case .left, .right:
        let total = codePointCount(text)
        let wanted = integer(1)
        let kept = wanted < 0 ? max(0, total &+ wanted) : min(wanted, total)
        out.append(
            text: function == .left
                ? codePoints(text, 1, kept + 1) : codePoints(text, total - kept + 1, total + 1))
    case .trim, .ltrim, .rtrim:
        let set =
            arguments.count > 1
            ? Set(String(decoding: bytes(1), as: UTF8.self).unicodeScalars) : [" "]
        out.append(text: trimmed(text, set, left: function != .rtrim, right: function != .ltrim))
    case .replace: out.append(text: replacing(text, bytes(1), bytes(2)))
    case .reverse:
        var view = String.UnicodeScalarView()
        view.append(contentsOf: String(decoding: text, as: UTF8.self).unicodeScalars.reversed())
        out.append(text: Array(String(view).utf8))
    case .splitPart: out.append(text: part(text, bytes(1), integer(2)))
    default: out.append(text: text)
    }
}

private func codePointCount<S: Sequence>(_ text: S) -> Int where S.Element == UInt8 {
    text.reduce(0) { $0 + ($1 & 0xC0 != 0x80 ? 1 : 0) }
}

/// Code points `start ..< end`, counted from 1, cut to what there is.
private func codePoints(_ text: [UInt8], _ start: Int, _ end: Int) -> ArraySlice<UInt8> {
    var number = 0
    var from = text.count
    var to = text.count
    for (index, byte) in text.enumerated() where byte & 0xC0 != 0x80 {
        number += 1
        if number >= start, from == text.count { from = index }
        if number >= end {
            to = index
            break
        }
    }
    return from < to ? text[from..<to] : []
}

private func changeCase(_ text: [UInt8], up: Bool) -> [UInt8] {
    if text.allSatisfy({ $0 < 0x80 }) {
        return up
            ? text.map { 97...122 ~= $0 ? $0 & 0xDF : $0 }
            : text.map { 65...90 ~= $0 ? $0 | 0x20 : $0 }
    }
    let string = String(decoding: text, as: UTF8.self)
    return Array((up ? string.uppercased() : string.lowercased()).utf8)
}

private func firstIndex(of needle: [UInt8], in text: [UInt8], from start: Int) -> Int? {
    guard text.count - start >= needle.count else { return nil }
    return (start...(text.count - needle.count)).first { text[$0...].starts(with: needle) }
}

private func replacing(_ text: [UInt8], _ old: [UInt8], _ new: [UInt8]) -> [UInt8] {
    guard !old.isEmpty else { return text }
    var result: [UInt8] = []
    var position = 0
    while let found = firstIndex(of: old, in: text, from: position) {
        result += text[position..<found]
        result += new
        position = found + old.count
    }
    return result + text[position...]
}

private func trimmed(
    _ text: [UInt8], _ set: Set<Unicode.Scalar>, left: Bool, right: Bool
) -> [UInt8] {
    var scalars = Substring.UnicodeScalarView(
        String(decoding: text, as: UTF8.self).unicodeScalars[...])
    while left, let first = scalars.first, set.contains(first) { scalars.removeFirst() }
    while right, let last = scalars.last, set.contains(last) { scalars.removeLast() }
    return Array(String(scalars).utf8)
}

private func part(_ text: [UInt8], _ separator: [UInt8], _ number: Int) -> [UInt8] {
    guard !separator.isEmpty else { return number == 1 || number == -1 ? text : [] }
    var parts: [[UInt8]] = []
    var position = 0
    while let found = firstIndex(of: separator, in: text, from: position) {
        parts.append(Array(text[position..<found]))
        position = found + separator.count
    }
    parts.append(Array(text[position...]))
    let index = number > 0 ? number - 1 : parts.count &+ number
    return number != 0 && parts.indices.contains(index) ? parts[index] : []
}
