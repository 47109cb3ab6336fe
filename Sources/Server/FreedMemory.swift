// Memory that was freed and that the allocator keeps for later. Glibc keeps it by arena, and gives
// each of many threads another arena: a large query, run again and again by one thread after the
// other, left its memory in all of them, many times what it needed at once.

internal import ApusKernels
internal import ApusStorage
internal import Dispatch

/// Gives freed memory back while a server runs, so that `--memory` bounds the process and not only
/// what it needs.
final class FreedMemory {
    private static let secondsBetween = 5

    private let timer: any DispatchSourceTimer

    /// - Parameter memoryBytesMax: The bound. Memory is given back when half of it is resident and a
    ///   sixteenth is free.
    init(memoryBytesMax: Int) {
        // One for each thread that can run, and so that none waits for another's.
        apus_share_freed_memory(Int32(clamping: max(2, Processors.count)))
        let timer = DispatchSource.makeTimerSource(
            queue: DispatchQueue(label: "apus-memory", qos: .utility))
        timer.schedule(
            deadline: .now() + .seconds(Self.secondsBetween),
            repeating: .seconds(Self.secondsBetween), leeway: .seconds(1))
        timer.setEventHandler {
            _ = apus_return_freed_memory(memoryBytesMax / 2, memoryBytesMax / 16)
        }
        timer.activate()
        self.timer = timer
    }

    deinit { timer.cancel() }

    /// Has the memory ready that opening a store takes for its series. Half of the time of opening a million
    /// of them were first touches of pages.
    static func expectCatalog(in dataDirectory: String) {
        guard let files = try? PosixFileSystem(root: dataDirectory, create: false),
            let names = try? files.list("catalog")
        else { return }
        let sizes = names.map { (try? files.open("catalog/" + $0, create: false).size) ?? 0 }
        // 20 bytes of a file are 80 of an index.
        apus_expect_allocations(sizes.reduce(0, +) * 4)
    }
}
