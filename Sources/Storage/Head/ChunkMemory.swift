// Memory of chunks. A head fills and gives back hundreds of megabytes every few seconds, by the hands
// of three threads: what one gives back the next takes, instead of fresh pages, whose first touch costs
// more than filling them, and instead of an allocator's arenas, which belong to threads.

internal import Glibc
internal import Synchronization

/// Safe: a block belongs to whoever took it, until it is given back; the lists are behind the mutex.
package final class ChunkMemory: @unchecked Sendable {
    /// Smaller blocks come from the allocator.
    private static let blockBytesMin = 1 << 20
    /// What nobody took for so long goes back to the system.
    private static let idleNanoseconds: Int64 = 10_000_000_000

    private struct State {
        /// Blocks that nobody uses, by size.
        var free: [Int: [UnsafeMutableRawPointer]] = [:]
        var freeBytes = 0
        var takenBytes = 0
        /// The least there was of them since `since`.
        var unusedBytes = 0
        var since = monotonicNanoseconds()
    }

    private let keptBytesMax: Int
    private let bytesMax: Int
    private let state = Mutex(Box())

    /// Safe: touched with the mutex held only.
    private final class Box: @unchecked Sendable { var value = State() }

    /// - Parameters:
    ///   - keptBytesMax: What is kept for the next chunks; beyond it memory goes back.
    ///   - bytesMax: What is kept and what chunks have, together. Chunks get what they need: what is
    ///     kept becomes less.
    package init(keptBytesMax: Int, bytesMax: Int) {
        self.keptBytesMax = keptBytesMax
        self.bytesMax = bytesMax
    }

    deinit { state.withLock { Self.release(.max, of: &$0.value) } }

    package var freeBytes: Int { state.withLock { $0.value.freeBytes } }

    /// Memory with any content. 100 ns, or what fresh pages cost.
    func take(_ byteCount: Int) -> UnsafeMutableRawPointer {
        guard byteCount >= Self.blockBytesMin else { return Self.allocate(byteCount) }
        let known: UnsafeMutableRawPointer? = state.withLock { box in
            box.value.takenBytes += byteCount
            if let block = box.value.free[byteCount]?.popLast() {
                box.value.freeBytes -= byteCount
                box.value.unusedBytes = min(box.value.unusedBytes, box.value.freeBytes)
                return block
            }
            let bytes = box.value.takenBytes + box.value.freeBytes
            Self.release(bytes - bytesMax, of: &box.value)
            return nil
        }
        return known ?? Self.map(byteCount)
    }

    /// Gives back what `take` gave for so many bytes.
    func give(_ block: UnsafeMutableRawPointer, _ byteCount: Int) {
        guard byteCount >= Self.blockBytesMin else { return block.deallocate() }
        let isKept = state.withLock { box in
            box.value.takenBytes -= byteCount
            guard box.value.freeBytes + byteCount <= keptBytesMax else { return false }
            box.value.free[byteCount, default: []].append(block)
            box.value.freeBytes += byteCount
            return true
        }
        if !isKept { munmap(block, byteCount) }
    }

    /// Gives back to the system what was not needed for a while. Called now and then.
    package func trim() {
        let now = monotonicNanoseconds()
        state.withLock { box in
            guard now &- box.value.since >= Self.idleNanoseconds else { return }
            Self.release(box.value.unusedBytes, of: &box.value)
            box.value.unusedBytes = box.value.freeBytes
            box.value.since = now
        }
    }

    private static func release(_ byteCount: Int, of state: inout State) {
        var left = byteCount
        for (size, blocks) in state.free where left > 0 {
            var blocks = blocks
            while left > 0, let block = blocks.popLast() {
                munmap(block, size)
                state.freeBytes -= size
                left -= size
            }
            state.free[size] = blocks.isEmpty ? nil : blocks
        }
        state.unusedBytes = min(state.unusedBytes, state.freeBytes)
    }

    private static func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        .allocate(byteCount: max(byteCount, 1), alignment: 16)
    }

    private static func map(_ byteCount: Int) -> UnsafeMutableRawPointer {
        let block = mmap(
            nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let block, block != MAP_FAILED else {
            preconditionFailure("no memory for a chunk of \(byteCount) bytes")
        }
        return block
    }
}
