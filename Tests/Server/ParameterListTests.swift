// `params` of a request.

import ApusQuery
import ApusServer
import Testing

@Suite struct `Parameters of a statement` {
    @Test func `scalars keep their types`() throws {
        #expect(
            try ParameterList.parse(
                #" [1, -2, 18446744073709551615, 1.5, 1e3, "a\"\u00e9\ud83d\ude00", true, false, null] "#
            )
                == [
                    .int64(1), .int64(-2), .uint64(.max), .float64(1.5), .float64(1_000),
                    .string("a\"é😀"),
                    .bool(true), .bool(false), .null,
                ])
        #expect(try ParameterList.parse("[]") == [])
    }

    @Test(arguments: [
        "", "1", "[", "[1", "[1,]", "[{}]", "[[1]]", "[1] 2", #"["a]"#, "[nul]", #"["\x"]"#,
        "[inf]", #"["\ud"]"#,
    ])
    func `anything but an array of scalars is refused`(_ text: String) {
        #expect(throws: ParameterList.Fault.self) { try ParameterList.parse(text) }
    }
}
