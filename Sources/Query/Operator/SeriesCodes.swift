// Series → a number for its part of a grouping's key.
//
// Series with the same values of the tags that the key reads have the same part: it is worked out once
// for each combination of their codes, not for each series. Of tags that have very many combinations the
// series itself stands for its own.

internal import ApusStorage

/// One thread's. Codes are 1 + the number; 0 says that it isn't known yet.
struct SeriesCodes {
    private static let combinationsMax = 1 << 26

    private let seriesCount: Int
    private var tags: [(reader: CodeReader, radix: Int)] = []
    private let isBySeries: Bool
    private var codes: SparseCodes

    /// - Parameter tagIndices: The tags that the key reads.
    init(_ tagIndices: [Int], _ snapshot: SeriesSnapshot) {
        seriesCount = snapshot.count
        var combinations = 1
        for tag in tagIndices {
            let column = snapshot.tag(tag)
            let (count, overflow) = combinations.multipliedReportingOverflow(
                by: column.values.count + 1)
            combinations = overflow ? .max : count
            tags.append((CodeReader(column.codes), column.values.count + 1))
        }
        isBySeries = combinations > min(Self.combinationsMax, max(seriesCount, 1 << 16))
        codes = SparseCodes(count: isBySeries ? seriesCount : combinations)
    }

    var byteCount: Int { codes.byteCount }

    /// Where the code of a series is kept; nil if it was born after the snapshot.
    @inline(__always)
    mutating func place(of series: UInt32) -> Int? {
        let series = Int(series)
        guard series < seriesCount else { return nil }
        if isBySeries { return series }
        var place = 0
        for index in tags.indices {
            place =
                place &* tags[index].radix
                &+ Int(tags[index].reader.code(of: series))
        }
        return place
    }

    @inline(__always)
    subscript(place: Int) -> UInt32 {
        get { codes[place] }
        set { codes[place] = newValue }
    }
}

/// Numbers by index, of which few differ from 0: pages come into being as they are written.
struct SparseCodes {
    private static let pageSize = 1 << 10

    /// By page: 0, or 1 + which of those written it is.
    private var pages: [UInt32]
    private var codes: [UInt32] = []

    init(count: Int) {
        pages = [UInt32](repeating: 0, count: (count + Self.pageSize - 1) / Self.pageSize)
    }

    var byteCount: Int { (pages.count + codes.capacity) * 4 }

    @inline(__always)
    subscript(index: Int) -> UInt32 {
        get {
            let page = Int(pages[index / Self.pageSize])
            return page == 0 ? 0 : codes[(page &- 1) &* Self.pageSize &+ index % Self.pageSize]
        }
        set {
            if pages[index / Self.pageSize] == 0 {
                codes.append(contentsOf: repeatElement(0, count: Self.pageSize))
                pages[index / Self.pageSize] = UInt32(
                    truncatingIfNeeded: codes.count / Self.pageSize)
            }
            let page = Int(pages[index / Self.pageSize])
            codes[(page &- 1) &* Self.pageSize &+ index % Self.pageSize] = newValue
        }
    }
}
