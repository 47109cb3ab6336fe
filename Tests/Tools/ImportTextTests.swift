// What an import says, and what it understands of a server's words.

import ApusTools
import Testing

@Suite struct ImportTextTests {
    private var counts: ImportCounts {
        var counts = ImportCounts()
        counts.inputBytes = 1_200_000_000
        counts.lines = 3_100_000
        counts.rows = 3_100_000
        counts.values = 31_000_000
        return counts
    }

    @Test(arguments: [1, 20, 40, 79, 80, 200])
    func `the bar is never wider than the terminal`(columnCount: Int) {
        for byteCount in [nil, 2_400_000_000] {
            let text = ImportText.progress(
                counts, inputByteCount: byteCount, seconds: 10, columnCount: columnCount)
            #expect(text.count <= columnCount)
        }
    }

    @Test func `the bar tells share, bytes, speed and what is left`() {
        let text = ImportText.progress(
            counts, inputByteCount: 2_400_000_000, seconds: 10, columnCount: 120)
        #expect(
            text.hasSuffix("50 %  1.2 GB of 2.4 GB  310 k rows/s  3.1 M values/s  0:10 left"))
        #expect(text.hasPrefix("███████████████░"))
        let pipe = ImportText.progress(
            counts, inputByteCount: nil, seconds: 10, columnCount: 120)
        #expect(pipe == "1.2 GB  310 k rows/s  3.1 M values/s")
    }

    @Test func `a broken input says how many lines before it are stored`() {
        var counts = ImportCounts()
        func text(isStoring: Bool = true) -> String {
            ImportText.brokenOff("a.gz: broken", counts: counts, isStoring: isStoring)
        }
        #expect(text() == "a.gz: broken; nothing is stored")
        counts.lines = 1
        #expect(text() == "a.gz: broken; the first 1 line is stored")
        counts.lines = 12_345
        #expect(text() == "a.gz: broken; the first 12,345 lines are stored")
        #expect(text(isStoring: false) == "a.gz: broken")
        counts.rejected = 3
        #expect(
            text() == "a.gz: broken; the first 12,345 lines are stored, but for 3 rejected")
    }

    @Test func `numbers are short and grouped`() {
        #expect(ImportText.number(999) == "999" && ImportText.number(1_000) == "1.0 k")
        #expect(ImportText.number(31_400_000) == "31 M" && ImportText.number(.nan) == "?")
        #expect(Quantity.count(1_234_567) == "1,234,567" && Quantity.count(-12) == "-12")
    }
}

@Suite struct JSONValueTests {
    @Test func `values of every kind are read`() {
        let value = JSONValue(#" {"a":[1,-2.5e3,"x\n\u00e4\ud83d\ude00",true,null],"b":{}} "#)
        #expect(
            value?.text == #"""
                {
                  "a": [
                    1,
                    -2.5e3,
                    "x\nä😀",
                    true,
                    null
                  ],
                  "b": {}
                }
                """#)
    }

    @Test(arguments: [
        "", "{", "[1", "[1,]", "{\"a\"}", "\"x", "\"\\", "\"\\u12", "nul", "1 2", "{\"a\":}", "-",
        String(repeating: "[", count: 5_000),
    ])
    func `what is no JSON is nil, never a trap`(text: String) {
        #expect(JSONValue(text) == nil)
    }
}
