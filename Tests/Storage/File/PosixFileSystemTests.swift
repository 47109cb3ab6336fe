import ApusStorage
import ApusTestKit
import Glibc
import Testing

@Suite struct PosixFileSystemTests {
    private func write(
        _ files: PosixFileSystem, _ path: String, _ bytes: [UInt8], at offset: Int = 0
    ) throws {
        let file = try files.open(path, create: true)
        try bytes.withUnsafeBytes { try file.write($0, at: offset) }
        try file.sync()
    }

    @Test func `bytes come back from a file, a mapping and an atomic write`() throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path + "/a/b")
        try files.createDirectory("data/1/2")
        try write(files, "data/1/2/x", [1, 2, 3], at: 5)
        #expect(try files.readFile("data/1/2/x") == [0, 0, 0, 0, 0, 1, 2, 3])
        let mapped = try files.map("data/1/2/x")
        try files.remove("data/1/2/x")
        #expect(Array(mapped.bytes) == [0, 0, 0, 0, 0, 1, 2, 3])
        try files.writeFileAtomically("MANIFEST", [7, 8])
        try files.writeFileAtomically("MANIFEST", [9])
        #expect(try files.readFile("MANIFEST") == [9])
        #expect(try files.list("").sorted() == ["MANIFEST", "data/"])
        #expect(try files.list("nowhere").isEmpty)
        #expect((files.freeBytes() ?? 0) > 0)
    }

    /// Found in a backup that was interrupted: while one thread removed it, another one made it anew.
    @Test func `a root that was removed does not come back`() throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path + "/root")
        rmdir(scratch.path + "/root")
        for path in ["a", "a/b/c"] {
            #expect(throws: StorageError.io(file: path, call: "mkdir", errno: ENOENT)) {
                try files.createDirectory(path)
            }
        }
        #expect(access(scratch.path + "/root", F_OK) != 0)
    }

    @Test func `an empty file maps to nothing`() throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path)
        _ = try files.open("empty", create: true)
        #expect(try files.map("empty").bytes.isEmpty)
    }

    @Test func `no path leaves the root`() throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path)
        for path in ["../x", "a/../../x", "/etc/passwd", "a//b", "./x", "a/.", "a/\0b"] {
            #expect(throws: StorageError.self, "\(path)") {
                _ = try files.open(path, create: true)
            }
            #expect(!files.exists(path))
        }
        #expect(throws: StorageError.self) { try files.remove("") }
    }

    @Test func `a missing file is an error to open and none to remove`() throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path)
        #expect(throws: StorageError.io(file: "x", call: "open", errno: ENOENT)) {
            _ = try files.open("x", create: false)
        }
        try files.remove("x")
        try files.createDirectory("d")
        try files.remove("d")
        #expect(!files.exists("d"))
    }

    @Test func `allocating keeps what is there and reads end at the end`() throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path)
        try write(files, "x", [1, 2, 3])
        let file = try files.open("x", create: false)
        try file.allocate(10_000)
        try file.truncate(to: 2)
        file.startWriteback(offset: 0, count: 2)
        var buffer = [UInt8](repeating: 9, count: 8)
        let count = try buffer.withUnsafeMutableBytes { try file.read(into: $0, at: 1) }
        #expect(count == 1)
        #expect(buffer[0] == 2)
        #expect(try file.size == 2)
    }

    @Test func `a full device is told from other errors`() throws {
        let device = try PosixFileSystem(root: "/dev", create: false)
        guard device.exists("full") else { return }
        let file = try device.open("full", create: false)
        #expect(throws: StorageError.diskFull(file: "full")) {
            try [UInt8(1)].withUnsafeBytes { try file.write($0, at: 0) }
        }
    }

    @Test func `a directory has one holder at a time`() throws {
        let scratch = TemporaryDirectory()
        var held = try locks(scratch.path)
        #expect(throws: StorageError.self) { _ = try DirectoryLock(directory: scratch.path) }
        #expect(
            throws: StorageError.locked(
                directory: scratch.path + "/.", holder: "process \(getpid()) (this one)")
        ) { _ = try DirectoryLock(directory: scratch.path + "/.") }
        // In release an array that is not used again gives up what it holds.
        #expect(held.count == 1)
        held.removeAll()
        held = try locks(scratch.path)
        #expect(held.count == 1)
    }

    private func locks(_ path: String) throws(StorageError) -> [DirectoryLock] {
        [try DirectoryLock(directory: path)]
    }

    @Test func `another process's lock names it`() throws {
        let scratch = TemporaryDirectory()
        let descriptor = open(scratch.path + "/LOCK", O_RDWR | O_CREAT, 0o644)
        defer { close(descriptor) }
        // An open file description of its own is to flock what another process is.
        #expect(flock(descriptor, LOCK_EX) == 0)
        let text = Array("process 1234\nsince 5\n".utf8)
        #expect(pwrite(descriptor, text, text.count, 0) == text.count)
        #expect(
            throws: StorageError.locked(directory: scratch.path, holder: "process 1234")
        ) { _ = try DirectoryLock(directory: scratch.path) }
    }

    @Test func `the log works on real files`() throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path)
        let writer = try LogFixture.writer(files)
        try writer.spares.prepareSpare()
        for round in 0..<50 {
            try LogFixture.commit(writer, count: 3)
            if round == 25 {
                try writer.removeFiles(whollyAtOrBelow: 30)
                try writer.spares.prepareSpare()
            }
        }
        let (records, recovery) = try LogFixture.replay(files, after: 30)
        #expect(LogFixture.areRight(records, from: 31))
        #expect(recovery.lastSequence == 150)
        #expect(recovery.files == writer.liveFiles)
    }

    @Test func `a link is the same file, an exchange swaps, and a tree goes whole`() throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path)
        for directory in ["a/x", "b/x"] { try files.createDirectory(directory) }
        try files.writeFileAtomically("a/x/file", [1, 2, 3])
        let (first, second) = (
            try PosixFileSystem(root: scratch.path + "/a"),
            try PosixFileSystem(root: scratch.path + "/b")
        )
        #expect(try first.link("x/file", into: second))
        #expect(try second.readFile("x/file") == [1, 2, 3])
        // A name that is taken is no reason to copy.
        #expect(throws: StorageError.io(file: "x/file", call: "link", errno: EEXIST)) {
            try first.link("x/file", into: second)
        }
        #expect(throws: StorageError.io(file: "x/none", call: "link", errno: ENOENT)) {
            try first.link("x/none", into: second)
        }
        try files.writeFileAtomically("b/only", [4])
        if try files.exchange("a", "b") {
            #expect(try files.readFile("a/only") == [4] && !files.exists("b/only"))
            try files.removeTree("a")
            #expect(!files.exists("a") && files.exists("b/x/file"))
            try files.removeTree("a")
        }
    }
}
