import ApusStorage
import ApusTestKit
import Testing

/// `docs/format.md` says what the code does: its numbers, registries and examples.
@Suite struct FormatPageTests {
    private static func page() throws -> String {
        let root = GoldenTests.directory.dropLast("/Tests/Storage/Golden/3".count)
        let files = try PosixFileSystem(root: String(root), create: false)
        return String(decoding: try files.readFile("docs/format.md"), as: UTF8.self)
    }

    /// Rows of all tables as their cells, without back quotes.
    private static func rows(_ page: String) -> [[String]] {
        page.split(separator: "\n").filter { $0.hasPrefix("| ") }.map { line in
            line.split(separator: "|").map { cell in
                String(
                    cell.filter { $0 != "`" }.drop { $0 == " " }.reversed().drop { $0 == " " }
                        .reversed())
            }
        }
    }

    @Test func `the numbers of the page are those of the code`() throws {
        let expected: [(what: String, value: Int)] = [
            ("format of MANIFEST", Int(Manifest.formatNumber)),
            ("format of log files", Int(LogRecord.formatNumber)),
            ("format of catalog files", Int(CatalogFile.format)),
            ("format of segments", Int(SegmentLayout.formatNumber)),
            ("blocks of a page", SegmentLayout.pageBlockCount),
            ("log header page bytes", LogFileHeader.pageBytes),
            ("log record header bytes", LogRecord.headerBytes),
            ("log terminator bytes", LogRecord.terminatorBytes),
            ("log record payload bytes, at most", LogRecord.payloadBytesMax),
            (
                "bytes that the rows of a log record take in memory, at most",
                BatchRecord.memoryBytesMax
            ),
            ("segment header bytes", SegmentLayout.headerByteCount),
            ("segment trailer bytes", SegmentLayout.trailerByteCount),
            ("segment alignment of sections", SegmentLayout.alignment),
            ("segment size is a multiple of", SegmentLayout.vectorByteCount),
            ("rows of a block, at most", SegmentLayout.blockRowsLimit),
            ("rows of a dense series, at least", SegmentLayout.denseRowsMin),
            ("bytes of a string, at most", StringSlot.lengthMax),
            ("bytes of a series key, at most", SeriesKey.byteCountMax),
        ]
        let rows = Self.rows(try Self.page())
        for (what, value) in expected {
            #expect(rows.contains([what, "\(value)"]), "\(what) is \(value)")
        }
    }

    @Test func `the magics of the page begin the files`() throws {
        let rows = Self.rows(try Self.page())
        let disk = try GoldenStore.make()
        let expected = [
            ("MANIFEST magic", Manifest.path), ("catalog file magic", GoldenStore.catalogPath),
            ("log file magic", "log/000001.log"),
        ]
        for (what, path) in expected {
            let magic = String(decoding: try #require(disk.contents(path)).prefix(8), as: UTF8.self)
            #expect(rows.contains([what, magic]))
        }
        #expect(SegmentLayout.headerMagic == 0x0A47_4553_5355_5041)
        #expect(SegmentLayout.trailerMagic == 0x0A44_4E45_5355_5041)
    }

    @Test func `the registries of the page are those of the code`() throws {
        let page = try Self.page()
        let rows = Self.rows(page)
        for number in UInt8.min...UInt8.max {
            let name = Encoding(rawValue: number).name
            let isListed = rows.contains { $0.count == 4 && $0[0] == "\(number)" && $0[1] == name }
            #expect(isListed == !name.hasPrefix("unknown"), "encoding \(number)")
        }
        for type in FieldType.allCases {
            #expect(rows.contains(["\(type.rawValue)", type.name]), "\(type)")
        }
        let names: [LogRecord.Kind: String] = [
            .write: "write", .definitions: "definitions", .statement: "statement",
            .checkpoint: "checkpoint", .delete: "delete", .fieldDrops: "drop fields",
        ]
        for kind in LogRecord.Kind.allCases {
            #expect(page.contains("\(kind.rawValue) \(names[kind] ?? "?")"), "\(kind)")
        }
        let entries = [
            "database", "table", "tag", "field", "series", "drop table", "drop database",
            "series section", "drop series", "drop fields",
        ]
        for (index, name) in entries.enumerated() {
            #expect(rows.contains { $0.count == 3 && $0[0] == "\(index + 1)" && $0[1] == name })
        }
    }

    @Test func `the varints and the checksum of the page are right`() throws {
        let page = try Self.page()
        for (value, bytes) in [
            (0, [0]), (127, [0x7F]), (128, [0x80, 0x01]), (300, [0xAC, 0x02]),
            (.max, [UInt8](repeating: 0xFF, count: 9) + [1]),
        ] as [(UInt64, [UInt8])] {
            var writer = ByteWriter()
            writer.appendVarint(value)
            #expect(writer.bytes == bytes)
            let hex = bytes.map { byte in
                let digits = String(byte, radix: 16, uppercase: true)
                return digits.count == 1 ? "0" + digits : digits
            }.joined(separator: " ")
            #expect(page.contains("is `\(hex)`"), "\(hex)")
        }
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(page.contains("0xE3069283"))
    }

    @Test func `the worked examples of the page are the golden files`() throws {
        let page = try Self.page()
        let disk = try GoldenTests.load()
        for path in [Manifest.path, "log/000002.log"] {
            let text = AnnotatedFiles.annotate(path, try #require(disk.contents(path))).description
            #expect(page.contains("```\n" + text + "```"), "\(path)")
        }
    }
}
