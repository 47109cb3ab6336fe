import ApusKernels
import ApusStorage
import ApusTestKit
import Glibc
import Testing

/// Pages of a mapped file that can't be read. A file cut short behind its mapping gives the same
/// signal as a device that fails.
@Suite struct MappingGuardTests {
    private static func mapped(_ files: PosixFileSystem, _ path: String) throws -> MappedFile {
        let bytes = [UInt8](repeating: 7, count: 5 * 4096 + 100)
        let file = try files.open(path, create: true)
        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
        return try files.map(path)
    }

    @Test func `a page that can't be read becomes zeros and poisons its mapping alone`() throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path)
        let hurt = try Self.mapped(files, "hurt")
        let sound = try Self.mapped(files, "sound")
        try files.open("hurt", create: false).truncate(to: 4096)
        #expect(!hurt.isPoisoned)
        #expect(hurt.bytes[4095] == 7)
        #expect(hurt.bytes[5 * 4096 + 99] == 0)
        #expect(hurt.bytes[2 * 4096] == 0)
        #expect(hurt.isPoisoned)
        #expect(hurt.bytes[4095] == 7)
        #expect(sound.bytes.allSatisfy { $0 == 7 })
        #expect(!sound.isPoisoned)
    }

    @Test func `a new mapping in a poisoned one's place is sound`() throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path)
        for round in 0..<5 {
            let file = try Self.mapped(files, "\(round)")
            #expect(!file.isPoisoned)
            try files.open("\(round)", create: false).truncate(to: 0)
            #expect(file.bytes[0] == 0)
            #expect(file.isPoisoned)
        }
    }

    @Test func `threads that meet the same page all live`() async throws {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path)
        let file = try Self.mapped(files, "hurt")
        try files.open("hurt", create: false).truncate(to: 0)
        await withTaskGroup(of: Int.self) { group in
            for start in 0..<8 {
                group.addTask {
                    stride(from: start, to: file.bytes.count, by: 64)
                        .reduce(0) { $0 + Int(file.bytes[$1]) }
                }
            }
            for await sum in group { #expect(sum == 0) }
        }
        #expect(file.isPoisoned)
    }

    /// Maps a file past the guard, cuts it short and reads.
    private static func faultElsewhere(_ files: PosixFileSystem, _ root: String) throws {
        let guarded = try mapped(files, "guarded")
        _ = try mapped(files, "other")
        let descriptor = open(root + "/other", O_RDWR)
        let address = mmap(nil, 4096, PROT_READ, MAP_SHARED, descriptor, 0)
        ftruncate(descriptor, 0)
        let byte = address?.load(as: UInt8.self) ?? 0
        // Not reached: the read above ends the process.
        exit(Int32(byte) + Int32(guarded.bytes[0]))
    }

    @Test func `a fault outside of guarded mappings ends the process as before`() async {
        await #expect(processExitsWith: .signal(SIGBUS)) {
            signal(SIGBUS, SIG_DFL)
            let scratch = TemporaryDirectory()
            let files = try PosixFileSystem(root: scratch.path)
            try Self.faultElsewhere(files, scratch.path)
        }
    }

    @Test func `a fault outside of guarded mappings goes to the handler that was there`() async {
        await #expect(processExitsWith: .exitCode(42)) {
            signal(SIGBUS) { _ in _exit(42) }
            let scratch = TemporaryDirectory()
            let files = try PosixFileSystem(root: scratch.path)
            try Self.faultElsewhere(files, scratch.path)
        }
    }
}
