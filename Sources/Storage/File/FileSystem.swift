/// The seam between the engine and the machine's files.
///
/// The engine touches files only through this protocol, so that tests can replace the machine by
/// one that tears writes, drops what was not synced and runs out of space (`SimulatedFileSystem`).
/// Paths are the store's: relative to its directory, `/` between names, no `.` or `..`.
/// All calls are blocking and safe from any thread; calls on one file are ordered by their caller.
package protocol FileSystem: Sendable {
    /// The directory the paths are relative to, for messages.
    var root: String { get }

    /// Opens for reading and writing; with `create`, makes an empty file if there is none.
    func open(_ path: String, create: Bool) throws(StorageError) -> any FileHandle
    func exists(_ path: String) -> Bool
    /// Names in a directory, unsorted; directories end in `/`. Empty if there is none.
    func list(_ directory: String) throws(StorageError) -> [String]
    /// Makes a directory and its parents. Not durable until the parents are synced.
    func createDirectory(_ path: String) throws(StorageError)
    /// Atomic; replaces `to`. Not durable until both directories are synced.
    func rename(_ from: String, to: String) throws(StorageError)
    /// Removes a file, or an empty directory. A missing one is no error.
    func remove(_ path: String) throws(StorageError)
    /// Makes the names in a directory durable.
    func syncDirectory(_ path: String) throws(StorageError)
    /// Maps a whole sealed file for reading. The mapping outlives the name.
    func map(_ path: String) throws(StorageError) -> MappedFile
    /// Gives a sealed file the same name in another directory too, without copying its bytes.
    ///
    /// Durable once that directory is synced. False, with nothing changed, where a link can't lead
    /// there: another device, a file system without links, a file of another user.
    func link(_ path: String, into other: any FileSystem) throws(StorageError) -> Bool
    /// Swaps two names, atomically. False, with nothing changed, where the file system can't.
    func exchange(_ first: String, _ second: String) throws(StorageError) -> Bool
    /// Bytes free for this process on the device; nil if that can't be known.
    func freeBytes() -> Int?
}

// Safe: the buffers are the caller's, lent for the call; no implementation keeps them.

/// An open file. Closed when released.
package protocol FileHandle: AnyObject, Sendable {
    var size: Int { get throws(StorageError) }
    /// Reads at most `buffer.count` bytes; fewer only at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageError)
        -> Int
    /// Writes all bytes, or throws; after a throw any prefix may have been written.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError)
    /// `fdatasync`. After a throw the fate of everything since the last sync is unknown.
    func sync() throws(StorageError)
    func truncate(to size: Int) throws(StorageError)
    /// Reserves blocks so that later overwrites need no space. May be a no-op.
    func allocate(_ size: Int) throws(StorageError)
    /// Asks the system to start writing a range out, so that a later sync is short. Advisory.
    func startWriteback(offset: Int, count: Int)
}

extension FileSystem {
    package func link(_ path: String, into other: any FileSystem) throws(StorageError) -> Bool {
        false
    }

    package func exchange(_ first: String, _ second: String) throws(StorageError) -> Bool {
        false
    }

    /// Removes a directory and everything in it. A missing one is no error.
    package func removeTree(_ directory: String) throws(StorageError) {
        for name in try list(directory) {
            let path = directory + "/" + name
            if name.hasSuffix("/") {
                try removeTree(String(path.dropLast()))
            } else {
                try remove(path)
            }
        }
        try remove(directory)
    }

    /// Reads a whole file, refusing more than `limit` bytes.
    package func readFile(_ path: String, limit: Int = 1 << 30) throws(StorageError) -> [UInt8] {
        let file = try open(path, create: false)
        let size = try file.size
        guard size <= limit else {
            throw .corrupt(
                file: path, offset: 0, reason: "\(size) bytes, at most \(limit) expected")
        }
        return try file.readBytes(at: 0, count: size)
    }

    /// Writes a file so that it appears whole or not at all: write, sync, rename, sync directory.
    package func writeFileAtomically(_ path: String, _ bytes: [UInt8]) throws(StorageError) {
        let temporary = path + ".new"
        try remove(temporary)
        let file = try open(temporary, create: true)
        var failure: StorageError?
        bytes.withUnsafeBytes { buffer in
            do throws(StorageError) { try file.write(buffer, at: 0) } catch { failure = error }
        }
        if let failure { throw failure }
        try file.sync()
        try rename(temporary, to: path)
        let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        try syncDirectory(directory)
    }
}
