// A file system whose next write into a folder waits until it is told to go on: what others do
// while the log thread, or the maintenance thread, is busy then happens at a known moment.

import ApusStorage
import ApusTestKit
import Dispatch
import Synchronization

final class PausingFileSystem: FileSystem {
    private let base: any FileSystem
    private let folder: String
    private let isArmed = Atomic(false)
    private let reached = DispatchSemaphore(value: 0)
    private let released = DispatchSemaphore(value: 0)

    init(_ base: any FileSystem, folder: String = "log/") {
        self.base = base
        self.folder = folder
    }

    /// The next write into the folder waits for `release`; in the log, the next one of records.
    func arm() { isArmed.store(true, ordering: .sequentiallyConsistent) }
    func waitUntilPaused() { reached.wait() }
    func release() { released.signal() }

    fileprivate func pauseIfArmed() {
        guard isArmed.exchange(false, ordering: .sequentiallyConsistent) else { return }
        reached.signal()
        released.wait()
    }

    var root: String { base.root }
    func open(_ path: String, create: Bool) throws(StorageError) -> any FileHandle {
        let file = try base.open(path, create: create)
        return path.hasPrefix(folder)
            ? PausingFile(file, self, isLog: path.hasPrefix("log/")) : file
    }
    func exists(_ path: String) -> Bool { base.exists(path) }
    func list(_ directory: String) throws(StorageError) -> [String] { try base.list(directory) }
    func createDirectory(_ path: String) throws(StorageError) { try base.createDirectory(path) }
    func rename(_ from: String, to: String) throws(StorageError) { try base.rename(from, to: to) }
    func remove(_ path: String) throws(StorageError) { try base.remove(path) }
    func syncDirectory(_ path: String) throws(StorageError) { try base.syncDirectory(path) }
    func map(_ path: String) throws(StorageError) -> MappedFile { try base.map(path) }
    func freeBytes() -> Int? { base.freeBytes() }
}

private final class PausingFile: FileHandle {
    private let base: any FileHandle
    private let owner: PausingFileSystem

    private let isLog: Bool

    init(_ base: any FileHandle, _ owner: PausingFileSystem, isLog: Bool) {
        self.base = base
        self.owner = owner
        self.isLog = isLog
    }

    var size: Int { get throws(StorageError) { try base.size } }
    // Safe: the buffers are the callers', handed on as they are.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(StorageError) -> Int { try base.read(into: buffer, at: offset) }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
        // Below lies the header; a spare file is filled with zeros, by another thread.
        let isRecords =
            offset >= LogFileHeader.pageBytes && bytes.prefix(32).contains(where: { $0 != 0 })
        if isRecords || !isLog { owner.pauseIfArmed() }
        try base.write(bytes, at: offset)
    }
    func sync() throws(StorageError) { try base.sync() }
    func truncate(to size: Int) throws(StorageError) { try base.truncate(to: size) }
    func allocate(_ size: Int) throws(StorageError) { try base.allocate(size) }
    func startWriteback(offset: Int, count: Int) {
        base.startWriteback(offset: offset, count: count)
    }
}
