// What the commands know of the terminal.

import ApusTools
import Glibc
import Testing

@Suite struct TerminalTests {
    @Test func `a pipe is no terminal and has no width`() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        #expect(!Terminal.isTerminal(ends[1]))
        #expect(Terminal.columnCount(ends[1]) == nil)
    }
}
