import ApusStorage
import Synchronization

/// Files in memory, enough for segments.
final class MemoryFileSystem: FileSystem {
    let files = Mutex<[String: [UInt8]]>([:])
    var root: String { "memory" }

    func contents(_ path: String) -> [UInt8]? { files.withLock { $0[path] } }
    func set(_ path: String, _ bytes: [UInt8]) { files.withLock { $0[path] = bytes } }

    func open(_ path: String, create: Bool) throws(StorageError) -> any FileHandle {
        let exists = files.withLock { files in
            if files[path] == nil, create { files[path] = [] }
            return files[path] != nil
        }
        guard exists else { throw .io(file: path, call: "open", errno: 2) }
        return MemoryFile(self, path)
    }
    func exists(_ path: String) -> Bool { contents(path) != nil }
    func list(_ directory: String) throws(StorageError) -> [String] { [] }
    func createDirectory(_ path: String) throws(StorageError) {}
    func rename(_ from: String, to: String) throws(StorageError) {
        files.withLock { $0[to] = $0.removeValue(forKey: from) }
    }
    func remove(_ path: String) throws(StorageError) {
        files.withLock { $0[path] = nil }
    }
    func syncDirectory(_ path: String) throws(StorageError) {}
    func map(_ path: String) throws(StorageError) -> MappedFile {
        guard let bytes = contents(path) else { throw .io(file: path, call: "open", errno: 2) }
        // Exactly as long as the file, so that a tool can see reads past its end.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        memory.copyBytes(from: bytes)
        return MappedFile(path: path, bytes: UnsafeRawBufferPointer(memory)) { $0.deallocate() }
    }
    func freeBytes() -> Int? { nil }
}

final class MemoryFile: FileHandle {
    let fileSystem: MemoryFileSystem
    let path: String

    init(_ fileSystem: MemoryFileSystem, _ path: String) {
        self.fileSystem = fileSystem
        self.path = path
    }

    var size: Int { get throws(StorageError) { fileSystem.contents(path)?.count ?? 0 } }
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageError)
        -> Int
    { 0 }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
        let copy = Array(bytes)
        fileSystem.files.withLock { files in
            files[path, default: []].replaceSubrange(offset..., with: copy)
        }
    }
    func sync() throws(StorageError) {}
    func truncate(to size: Int) throws(StorageError) {}
    func allocate(_ size: Int) throws(StorageError) {}
    func startWriteback(offset: Int, count: Int) {}
}
