package import ApusStorage
internal import Glibc
internal import Synchronization

/// An in-memory file system that fails on demand and forgets what wasn't synced.
///
/// The volatile state is what a running process sees; the durable one is what a power cut leaves.
/// File contents become durable by `sync`, names by `syncDirectory` of their directory. Random
/// choices come from seeds, so that a failing run can be repeated. Safe from any thread.
package final class SimulatedFileSystem: FileSystem {
    package enum CallKind: Sendable, Hashable, CaseIterable {
        case open, create, size, read, write, sync, truncate, allocate
        case list, createDirectory, rename, remove, syncDirectory, map

        /// Whether the call changes or syncs anything.
        package var changes: Bool {
            switch self {
            case .open, .size, .read, .list, .map: false
            default: true
            }
        }
    }

    package struct Call: Sendable, Hashable {
        package var kind: CallKind
        package var path: String
        package var offset: Int
        package var count: Int
    }

    package enum Failure: Sendable {
        case noSpace, inputOutput
    }

    /// What survives a power cut.
    package enum PowerLoss: Sendable {
        case nothingUnsynced
        case everything
        /// Any subset of unsynced writes in sectors of 512 bytes, and of unsynced names.
        case randomSubset
    }

    package let root = "/simulated"
    private let state: Mutex<SimulatedState>

    package init() { state = Mutex(SimulatedState()) }

    private init(_ image: sending SimulatedState) { state = Mutex(image) }

    // MARK: Faults

    /// Calls so far, reads included.
    package var callCount: Int { state.withLock { $0.callCount } }
    /// Calls so far that change or sync something.
    package var changeCount: Int { state.withLock { $0.changeCount } }
    package var hasCrashed: Bool { state.withLock { $0.crashed } }

    /// Dies at the `number`-th call counted from now (1 is the next). With `changesOnly`, reads
    /// don't count. The call may do a part of its write; it and all later ones throw EIO.
    package func crash(atCall number: Int, changesOnly: Bool = false, seed: UInt64 = 1) {
        state.withLock { state in
            state.crashAtCall = changesOnly ? nil : state.callCount + number
            state.crashAtChange = changesOnly ? state.changeCount + number : nil
            state.random = SimulatedRandom(seed: seed)
        }
    }

    /// Lets the `number`-th call of a kind from now fail, and all after it if `forEver` is set.
    package func fail(
        _ kind: CallKind, number: Int = 1, with failure: Failure, forEver: Bool = false,
        pathContains: String = ""
    ) {
        state.withLock {
            $0.faults.append(
                SimulatedState.Fault(
                    kind: kind, remaining: number, failure: failure, forEver: forEver,
                    pathContains: pathContains))
        }
    }

    package func clearFaults() { state.withLock { $0.faults = [] } }

    /// Bytes that all files may have together; nil for no limit.
    package var bytesMax: Int? {
        get { state.withLock { $0.bytesMax } }
        set { state.withLock { $0.bytesMax = newValue } }
    }

    package var recordsCalls: Bool {
        get { state.withLock { $0.recordsCalls } }
        set { state.withLock { $0.recordsCalls = newValue } }
    }

    package var callLog: [Call] { state.withLock { $0.callLog } }

    /// The directory as the next process finds it when this one was killed: all that was written,
    /// still unsynced where it was.
    package func afterProcessKill() -> SimulatedFileSystem {
        SimulatedFileSystem(state.withLock { $0.copied() })
    }

    /// The directory after a power cut and a restart.
    package func afterPowerLoss(keeping: PowerLoss, seed: UInt64 = 1) -> SimulatedFileSystem {
        SimulatedFileSystem(state.withLock { $0.surviving(keeping, seed: seed) })
    }

    // MARK: Damage. These change volatile and durable bytes alike, and never fail.

    package func contents(_ path: String) -> [UInt8]? {
        state.withLock { $0.names[path]?.content }
    }

    package func setContents(_ path: String, _ bytes: [UInt8]) {
        state.withLock { state in
            let file = state.names[path] ?? SimulatedFile()
            file.content = bytes
            file.durable = bytes
            file.pending = []
            state.names[path] = file
            state.durableNames[path] = file
        }
    }

    package func flipBit(_ path: String, offset: Int, bit: Int = 0) {
        guard var bytes = contents(path), offset < bytes.count else { return }
        bytes[offset] ^= 1 << UInt8(bit & 7)
        setContents(path, bytes)
    }

    package func truncate(_ path: String, size: Int) {
        guard let bytes = contents(path) else { return }
        setContents(path, Array(bytes.prefix(size)))
    }

    /// Paths of all files.
    package var paths: [String] { state.withLock { $0.names.keys.sorted() } }

    // MARK: FileSystem

    package func open(_ path: String, create: Bool) throws(StorageError) -> any FileHandle {
        let file = try state.withLock { state throws(StorageError) -> UnsafeShared in
            let makes = create && state.names[path] == nil
            try state.begin(makes ? .create : .open, path)
            if let file = state.names[path] { return UnsafeShared(file: file) }
            guard makes, state.hasDirectory(SimulatedState.parent(path)),
                !state.directories.contains(path)
            else { throw .io(file: path, call: "open", errno: ENOENT) }
            let file = SimulatedFile()
            state.names[path] = file
            state.pendingNames.append(.link(path, file))
            return UnsafeShared(file: file)
        }
        return SimulatedHandle(fileSystem: self, path: path, file: file.file)
    }

    package func exists(_ path: String) -> Bool {
        state.withLock { $0.names[path] != nil || $0.hasDirectory(path) }
    }

    package func list(_ directory: String) throws(StorageError) -> [String] {
        try state.withLock { state throws(StorageError) in
            try state.begin(.list, directory)
            let files = state.names.keys.filter { SimulatedState.parent($0) == directory }
                .map { SimulatedState.name($0) }
            let directories = state.directories.filter { SimulatedState.parent($0) == directory }
                .map { SimulatedState.name($0) + "/" }
            return (files + directories).sorted()
        }
    }

    package func createDirectory(_ path: String) throws(StorageError) {
        try state.withLock { state throws(StorageError) in
            try state.begin(.createDirectory, path)
            var missing: [String] = []
            var next = path
            while !state.hasDirectory(next) {
                guard state.names[next] == nil else {
                    throw .io(file: path, call: "mkdir", errno: EEXIST)
                }
                missing.append(next)
                next = SimulatedState.parent(next)
            }
            for directory in missing.reversed() {
                state.directories.insert(directory)
                state.pendingNames.append(.makeDirectory(directory))
            }
        }
    }

    package func rename(_ from: String, to: String) throws(StorageError) {
        try state.withLock { state throws(StorageError) in
            try state.begin(.rename, from)
            guard let file = state.names[from], state.hasDirectory(SimulatedState.parent(to)) else {
                throw .io(file: from, call: "rename", errno: ENOENT)
            }
            state.names[from] = nil
            state.names[to] = file
            if SimulatedState.parent(from) == SimulatedState.parent(to) {
                state.pendingNames.append(.rename(from, to, file))
            } else {
                // Two directories, synced one by one.
                state.pendingNames.append(.link(to, file))
                state.pendingNames.append(.unlink(from))
            }
        }
    }

    package func remove(_ path: String) throws(StorageError) {
        try state.withLock { state throws(StorageError) in
            try state.begin(.remove, path)
            if state.names.removeValue(forKey: path) != nil {
                state.pendingNames.append(.unlink(path))
            } else if state.directories.contains(path) {
                let isEmpty =
                    !state.names.keys.contains { $0.hasPrefix(path + "/") }
                    && !state.directories.contains { $0.hasPrefix(path + "/") }
                guard isEmpty else { throw .io(file: path, call: "remove", errno: ENOTEMPTY) }
                state.directories.remove(path)
                state.pendingNames.append(.removeDirectory(path))
            }
        }
    }

    package func syncDirectory(_ path: String) throws(StorageError) {
        try state.withLock { state throws(StorageError) in
            try state.begin(.syncDirectory, path)
            guard state.hasDirectory(path) else {
                throw .io(file: path, call: "open", errno: ENOENT)
            }
            let all = state.pendingNames
            state.pendingNames = []
            for change in all {
                if change.directory == path {
                    state.applyDurably(change)
                } else {
                    state.pendingNames.append(change)
                }
            }
        }
    }

    package func map(_ path: String) throws(StorageError) -> MappedFile {
        let content = try state.withLock { state throws(StorageError) -> [UInt8] in
            try state.begin(.map, path)
            guard let file = state.names[path] else {
                throw .io(file: path, call: "open", errno: ENOENT)
            }
            return file.content
        }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count, alignment: 64)
        copy.copyBytes(from: content)
        return MappedFile(path: path, bytes: UnsafeRawBufferPointer(copy)) { $0.deallocate() }
    }

    package func freeBytes() -> Int? {
        state.withLock { state in state.bytesMax.map { max(0, $0 - state.usedBytes) } }
    }

    fileprivate func perform<Result: Sendable>(
        _ body: (inout SimulatedState) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        try state.withLock { state throws(StorageError) in try body(&state) }
    }
}

/// Safe: the file is touched only under its file system's lock.
private struct UnsafeShared: @unchecked Sendable {
    let file: SimulatedFile
}

private final class SimulatedHandle: FileHandle, @unchecked Sendable {
    private let fileSystem: SimulatedFileSystem
    private let path: String
    /// Safe: touched only under the file system's lock.
    private let file: SimulatedFile

    init(fileSystem: SimulatedFileSystem, path: String, file: SimulatedFile) {
        self.fileSystem = fileSystem
        self.path = path
        self.file = file
    }

    var size: Int {
        get throws(StorageError) {
            try fileSystem.perform { state throws(StorageError) in
                try state.begin(.size, path)
                return file.content.count
            }
        }
    }

    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(StorageError) -> Int {
        try fileSystem.perform { state throws(StorageError) in
            try state.begin(.read, path, offset: offset, count: buffer.count)
            guard offset < file.content.count else { return 0 }
            let end = min(file.content.count, offset + buffer.count)
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<(end - offset)])
                .copyBytes(from: file.content[offset..<end])
            return end - offset
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
        try fileSystem.perform { state throws(StorageError) in
            var failure: StorageError?
            var count = bytes.count
            do throws(StorageError) {
                try state.begin(.write, path, offset: offset, count: count)
            } catch {
                // The call that dies or fails may have written a part; one after a crash, none.
                failure = error
                count = state.takePartialWrite() ? state.random.below(count + 1) : 0
            }
            if failure == nil, let room = state.roomToGrow {
                let fits = max(0, file.content.count + room - offset)
                if fits < count {
                    failure = .diskFull(file: path)
                    count = fits
                }
            }
            if count > 0 {
                file.apply(.write(offset, Array(bytes.prefix(count))))
            }
            if let failure { throw failure }
        }
    }

    func sync() throws(StorageError) {
        try fileSystem.perform { state throws(StorageError) in
            do throws(StorageError) {
                try state.begin(.sync, path)
            } catch {
                // A part reached the device. After a failed sync the system takes the rest for
                // clean, and no later sync brings it; after a mere crash it is still dirty.
                if state.takePartialWrite() {
                    file.syncPart(&state.random, forgetting: !state.crashed)
                }
                throw error
            }
            file.syncAll()
        }
    }

    func truncate(to size: Int) throws(StorageError) {
        try fileSystem.perform { state throws(StorageError) in
            try state.begin(.truncate, path, offset: size)
            if let room = state.roomToGrow, size - file.content.count > room {
                throw .diskFull(file: path)
            }
            file.apply(.resize(size))
        }
    }

    func allocate(_ size: Int) throws(StorageError) {
        try fileSystem.perform { state throws(StorageError) in
            try state.begin(.allocate, path, count: size)
            guard size > file.content.count else { return }
            if let room = state.roomToGrow, size - file.content.count > room {
                throw .diskFull(file: path)
            }
            file.apply(.resize(size))
        }
    }

    func startWriteback(offset: Int, count: Int) {}
}
