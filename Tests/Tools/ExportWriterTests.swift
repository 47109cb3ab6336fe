// Rows as line protocol and CSV, and back.

import ApusTools
import Glibc
import Testing

@Suite struct LineProtocolWriterTests {
    private func line(
        _ measurement: String, _ columns: [(LineColumn.Kind, String)], _ cells: [String?]
    ) throws -> (text: String, omissions: ExportOmissions) {
        var writer = try #require(
            LineProtocolWriter(
                measurement: measurement, columns: columns.map { LineColumn(kind: $0, name: $1) }))
        var bytes: [UInt8] = []
        writer.append(AnswerRow(cells), to: &bytes)
        return (String(decoding: bytes, as: UTF8.self), writer.omissions)
    }

    @Test func `types, tags and fields are kept apart`() throws {
        let written = try line(
            "m",
            [
                (.time, "time"), (.tag, "type"), (.tag, "az"), (.string, "type"), (.integer, "i"),
                (.unsigned, "u"), (.float, "f"), (.bool, "b"), (.string, "s"), (.float, "none"),
            ],
            [
                "-5", "x", nil, "y", "-3", "18446744073709551615", "1e+20", "true", "", nil,
            ])
        #expect(
            written.text
                == "m,type=x type=\"y\",i=-3i,u=18446744073709551615u,f=1e+20,b=true,s=\"\" -5\n")
        #expect(written.omissions == ExportOmissions())
    }

    @Test func `special characters are escaped where they mean something`() throws {
        let written = try line(
            "a b,c=d", [(.time, "time"), (.tag, "k ,="), (.string, "f ,=")],
            ["1", "v\\ ,=w", "\"\\\n ,=😀"])
        #expect(
            written.text
                == "a\\ b\\,c=d,k\\ \\,\\==v\\\\ \\,\\=w f\\ \\,\\==\"\\\"\\\\\n ,=😀\" 1\n")
    }

    @Test func `what the protocol lacks is left out and counted`() throws {
        let columns: [(LineColumn.Kind, String)] = [
            (.time, "time"), (.tag, "k"), (.float, "f"), (.string, "s"), (.float, "bad\\"),
        ]
        let long = String(repeating: "x", count: 65_537)
        let part = try line("m", columns, ["1", "v", "NaN", "x", "1.5"])
        #expect(part.text == "m,k=v s=\"x\" 1\n")
        #expect(part.omissions.nonFiniteValues == 1 && part.omissions.names == ["bad\\"])
        let none = try line("m", columns, ["1", "v", "-Infinity", long, nil])
        #expect(none.text.isEmpty && none.omissions.rows == 1 && none.omissions.longStrings == 1)
        for tag in ["v\\", "v\nw"] {
            #expect(try line("m", columns, ["1", tag, "1.5", nil, nil]).omissions.rows == 1)
        }
        for name in ["m\\", "#m", ""] {
            #expect(
                LineProtocolWriter(measurement: name, columns: [.init(kind: .time, name: "time")])
                    == nil)
        }
    }
}

@Suite struct CSVTests {
    @Test(arguments: 1...7)
    func `CSV taken apart in any pieces is the rows it was made of`(pieceBytes: Int) throws {
        let cells: [[String?]] = [
            ["a", "b,c", "d\"e"], [nil, "", "x"], ["new\nline", nil, nil], ["", "\"", "\r"],
        ]
        let columns = ["x", "y z", "w\"q"].map { AnswerColumn(name: $0, type: "string") }
        var writer = CSVWriter(columns)
        var bytes: [UInt8] = []
        writer.appendHeader(to: &bytes)
        for record in cells { writer.append(AnswerRow(record), to: &bytes) }
        var decoder = CSVDecoder()
        var decoded: [[String?]] = []
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            try decoder.feed(bytes[start..<min(start + pieceBytes, bytes.count)]) { record in
                decoded.append(record.texts)
            }
        }
        #expect(decoder.isAtRecordEnd)
        #expect(decoded == [["x", "y z", "w\"q"]] + cells)
    }

    @Test func `times are written as SQL's answers have them`() {
        var writer = CSVWriter([AnswerColumn(name: "time", type: "timestamp")])
        var bytes: [UInt8] = []
        writer.append(AnswerRow(["1700000000500000000"]), to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == "2023-11-14T22:13:20.5Z\n")
    }
}

@Suite struct OutputFileTests {
    @Test func `a file that was not finished leaves nothing, and the old one in place`() throws {
        let old = TemporaryFile(Array("old".utf8))
        do {
            let output = try OutputFile(old.path)
            try output.write([UInt8](repeating: 1, count: 1 << 20))
        }
        #expect(access(old.path + ".new", F_OK) != 0)
        var buffer = [UInt8](repeating: 0, count: 8)
        let descriptor = open(old.path, O_RDONLY)
        #expect(read(descriptor, &buffer, 8) == 3)
        close(descriptor)
    }

    @Test func `a place where nothing can be written is named`() {
        do {
            _ = try OutputFile("/no/such/directory/x.lp.gz")
            Issue.record("it was opened")
        } catch {
            #expect(error.exitCode == ExitCodes.inputOutput)
            #expect(error.description.hasPrefix("/no/such/directory/x.lp.gz: No such file"))
        }
    }
}
