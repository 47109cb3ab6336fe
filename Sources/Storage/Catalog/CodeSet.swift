/// A set of codes of one tag: 0 stands for series without the tag, n + 1 for those with its value n.
///
/// A million codes are a megabit.
package struct CodeSet: Sendable, Equatable {
    /// There is a word for `count` too, whose bit is 0.
    private(set) var words: [UInt64] = [0]
    /// Codes from here on have not been decided, and are no members.
    package private(set) var count = 0

    package init() {}

    package var byteCount: Int { words.count * 8 }

    package init(count: Int) {
        grow(to: count)
    }

    /// Decides for more codes that they are no members.
    package mutating func grow(to wider: Int) {
        guard wider > count else { return }
        count = wider
        let missing = wider / 64 + 1 - words.count
        if missing > 0 { words.append(contentsOf: repeatElement(0, count: missing)) }
    }

    package mutating func insert(_ code: Int) {
        guard code >= 0, code < count else { return }
        words[code / 64] |= 1 &<< UInt64(code % 64)
    }

    package mutating func insert(_ codes: Range<Int>) {
        var code = max(0, codes.lowerBound)
        let end = min(count, codes.upperBound)
        while code < end {
            if code % 64 == 0, code + 64 <= end {
                words[code / 64] = .max
                code += 64
            } else {
                words[code / 64] |= 1 &<< UInt64(code % 64)
                code += 1
            }
        }
    }

    package mutating func remove(_ code: Int) {
        guard code >= 0, code < count else { return }
        words[code / 64] &= ~(1 &<< UInt64(code % 64))
    }

    package var memberCount: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

    package func contains(_ code: Int) -> Bool {
        code >= 0 && code < count && words[code / 64] &>> UInt64(code % 64) & 1 == 1
    }
}
