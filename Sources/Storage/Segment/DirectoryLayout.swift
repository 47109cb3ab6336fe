// Where the blocks of a table lie: groups, their stretches, the pages of these.

internal import Glibc
internal import Synchronization

/// The head of a directory.
struct DirectoryLayout: Sendable {
    /// Blocks under one checksum.
    let pageBlockCount: Int
    /// The first block of each group, and the number of all.
    private(set) var groupFirstBlocks = [0]
    /// The first page of each group, and the number of all; the same in each stretch.
    private(set) var groupFirstPages = [0]
    /// File offsets of the stretches, `columnCount + 1` a group, and the end of the last.
    private(set) var stretchStarts: [Int]
    /// Bytes of each column's symbol table, `columnCount` a group; empty without any.
    private var tableByteCounts: [Int] = []

    var groupCount: Int { groupFirstBlocks.count - 1 }
    var pageCount: Int { groupFirstPages[groupCount] }
    var hasTables: Bool { !tableByteCounts.isEmpty }

    /// Reads what follows the directory's counts.
    init(
        _ reader: inout ByteReader, format: UInt32, blockCount: Int, columnCount: Int,
        data: Range<Int>
    ) throws(ByteReader.Malformed) {
        pageBlockCount = format == 1 ? 1 : SegmentLayout.pageBlockCount
        let count = try reader.readCount(limit: reader.remaining)
        var position = data.lowerBound
        stretchStarts = [position]
        for _ in 0..<count {
            let known = groupFirstBlocks[groupCount]
            let blocks = try reader.readCount(limit: blockCount - known)
            guard blocks > 0 else { throw .init(offset: reader.offset, reason: "an empty group") }
            groupFirstBlocks.append(known + blocks)
            groupFirstPages.append(pageCount(before: blocks))
            let first = stretchStarts.count
            for _ in 0...columnCount {
                position += try reader.readCount(limit: data.upperBound - position)
                stretchStarts.append(position)
            }
            guard format > 1 else { continue }
            for column in 0..<columnCount {
                let room = stretchStarts[first + column + 1] - stretchStarts[first + column]
                let size = try reader.readCount(limit: room)
                guard size == 0 || size > 4 else {
                    throw .init(offset: reader.offset, reason: "a symbol table of \(size) bytes")
                }
                tableByteCounts.append(size)
            }
        }
        if tableByteCounts.allSatisfy({ $0 == 0 }) { tableByteCounts = [] }
        guard groupFirstBlocks[groupCount] == blockCount,
            SegmentLayout.aligned(position) == data.upperBound
        else { throw .init(offset: reader.offset, reason: "stretches leave blocks or bytes over") }
    }

    private func pageCount(before blocks: Int) -> Int {
        groupFirstPages[groupFirstPages.count - 1] + (blocks + pageBlockCount - 1) / pageBlockCount
    }

    func group(of block: Int) -> Int {
        var (low, high) = (0, groupFirstBlocks.count - 1)
        while high - low > 1 {
            let middle = (low + high) / 2
            if groupFirstBlocks[middle] <= block { low = middle } else { high = middle }
        }
        return low
    }

    func tableByteCount(group: Int, stretch: Int, columnCount: Int) -> Int {
        stretch > 0 && hasTables ? tableByteCounts[group * columnCount + stretch - 1] : 0
    }
}

/// A bit for each of some pages, set once.
///
/// Safe: owns its words, which are only ever changed atomically; a mark is below `count`. Memory that
/// nobody has touched is the system's zeros, so that what a file claims costs nothing; without any,
/// nothing is ever marked.
final class PageMarks: @unchecked Sendable {
    private let words: UnsafeMutablePointer<Atomic<UInt64>>?

    init(count: Int) {
        words = calloc(count / 64 + 1, 8)?.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    deinit { free(words) }

    func has(_ mark: Int) -> Bool {
        guard let words else { return false }
        return words[mark >> 6].load(ordering: .relaxed) >> UInt64(mark & 63) & 1 != 0
    }

    func set(_ mark: Int) {
        guard let words else { return }
        _ = words[mark >> 6].bitwiseOr(1 << UInt64(mark & 63), ordering: .relaxed)
    }
}

/// Keeps the decoders of all directories from becoming too many: the one made first goes first.
final class KeptDecoders: Sendable {
    static let shared = KeptDecoders()

    /// 18 KiB each.
    static let countMax = 1_024

    private struct Place {
        weak var storage: DirectoryStorage?
        var index: Int
    }

    private let places = Mutex<(ring: [Place], next: Int)>(([], 0))

    func keep(_ storage: DirectoryStorage, _ index: Int) {
        let evicted: Place? = places.withLock { state in
            let place = Place(storage: storage, index: index)
            guard state.ring.count == Self.countMax else {
                state.ring.append(place)
                return nil
            }
            let old = state.ring[state.next]
            state.ring[state.next] = place
            state.next = (state.next + 1) % Self.countMax
            return old
        }
        if let evicted { evicted.storage?.forget(decoder: evicted.index) }
    }
}
