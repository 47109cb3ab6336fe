// The pager: it gets everything, and never keeps the writer waiting.

import ApusTestKit
import ApusTools
import Foundation
import Glibc
import Testing

@Suite struct PagerTests {
    @Test func `a pager that does not read yet gets everything once it does`() throws {
        signal(SIGPIPE, SIG_IGN)
        let folder = TemporaryDirectory()
        let (gate, copy) = (folder.path + "/gate", folder.path + "/copy")
        // Reads nothing before the gate is there, which is made after all was written.
        let command = "while [ ! -e '\(gate)' ]; do sleep 0.01; done; cat > '\(copy)'"
        let pager = try #require(Pager(command: command, folder: folder.path))
        var expected: [UInt8] = []
        for number in 0..<40_000 {
            let line = Array("line \(number) of an answer\n".utf8)
            try pager.write(line[...])
            expected += line
        }
        #expect(FileManager.default.createFile(atPath: gate, contents: nil))
        pager.close()
        let received = try Data(contentsOf: URL(fileURLWithPath: copy))
        #expect(received == Data(expected))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 2)
    }

    @Test func `without a place to keep it the writer goes at the pager's pace`() throws {
        let folder = TemporaryDirectory()
        let copy = folder.path + "/copy"
        let pager = try #require(
            Pager(command: "sleep 0.1; cat > '\(copy)'", folder: "/no/such/folder"))
        let piece = [UInt8](repeating: 0x61, count: 300_000)
        try pager.write(piece[...])
        pager.close()
        #expect(try Data(contentsOf: URL(fileURLWithPath: copy)) == Data(piece))
    }

    @Test func `a pager that was left ends the writing`() throws {
        signal(SIGPIPE, SIG_IGN)
        let pager = try #require(Pager(command: "exit 0"))
        #expect(throws: OutputFault.closed) {
            for _ in 0..<10_000 {
                try pager.write([0x61])
                usleep(1_000)
            }
        }
    }

    @Test func `an empty PAGER is none, and less is found where it is`() {
        #expect(Pager.command { $0 == "PAGER" ? "" : "/usr/bin" } == nil)
        #expect(Pager.command { $0 == "PAGER" ? "more" : nil } == "more")
        #expect(Pager.command { $0 == "PATH" ? "/no/such" : nil } == nil)
    }
}
