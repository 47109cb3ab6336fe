// Files read in bodies: where they are cut, what broken compression does, how lines are numbered.

import ApusIngest
import ApusTools
import CZstd
import Glibc
import Testing

/// Bytes in memory, a few at a time.
private final class ArraySource: ByteSource {
    private let bytes: [UInt8]
    private let pieceBytes: Int
    private(set) var consumedByteCount = 0

    init(_ bytes: [UInt8], pieceBytes: Int = 7) {
        self.bytes = bytes
        self.pieceBytes = pieceBytes
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(InputFault) -> Int {
        let count = min(pieceBytes, buffer.count, bytes.count - consumedByteCount)
        buffer.copyBytes(from: bytes[consumedByteCount..<consumedByteCount + count])
        consumedByteCount += count
        return count
    }
}

/// A file below /tmp, removed when released.
final class TemporaryFile {
    let path: String

    init(_ bytes: [UInt8]) {
        var template = Array("/tmp/apus-tools-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        _ = write(descriptor, bytes, bytes.count)
        close(descriptor)
    }

    deinit { unlink(path) }
}

func read(_ source: any ByteSource) throws -> [UInt8] {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1_000)
    while true {
        let count = try buffer.withUnsafeMutableBytes { try source.read(into: $0) }
        if count == 0 { return all }
        all += buffer[..<count]
    }
}

private func zstandard(_ bytes: [UInt8]) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
    let count = ZSTD_compress(&output, output.count, bytes, bytes.count, 3)
    return Array(output[..<count])
}

@Suite struct ByteSourceTests {
    private let text = Array((0..<2_000).map { "m,k=\($0 % 7) v=\($0) \($0)\n" }.joined().utf8)

    private func contents(_ bytes: [UInt8]) throws -> [UInt8] {
        let file = TemporaryFile(bytes)
        return try read(try Inputs.open(file.path))
    }

    @Test func `the first bytes decide how a file is read`() throws {
        #expect(try contents(text) == text)
        #expect(try contents(gzipped(text)) == text)
        #expect(try contents(zstandard(text)) == text)
        #expect(try contents([]) == [])
        #expect(try contents([0x1F]) == [0x1F])
    }

    @Test func `members and frames one behind the other are one text`() throws {
        let half = text.count / 2
        let parts = (Array(text[..<half]), Array(text[half...]))
        #expect(try contents(gzipped(parts.0) + gzipped(parts.1) + [0, 0, 0]) == text)
        let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 9, 9]
        #expect(
            try contents(skippable + zstandard(parts.0) + skippable + zstandard(parts.1)) == text)
    }

    @Test func `a file cut anywhere is broken where it ends`() throws {
        for (format, whole) in [("gzip", gzipped(text)), ("zstd", zstandard(text))] {
            for count in stride(from: 5, to: whole.count, by: 97) {
                let file = TemporaryFile(Array(whole[..<count]))
                do {
                    _ = try read(try Inputs.open(file.path))
                    Issue.record("\(format) cut at \(count) was read")
                } catch {
                    let fault = try #require(error as? InputFault)
                    #expect(fault.kind == .broken)
                    #expect(
                        fault.description.hasPrefix(
                            "\(file.path): \(format) broken at byte \(count)"),
                        "\(fault)")
                }
            }
        }
    }

    @Test func `a changed byte is found, or changes nothing`() throws {
        for whole in [gzipped(text), zstandard(text)] {
            for index in stride(from: 4, to: whole.count, by: 53) {
                var bytes = whole
                bytes[index] ^= 0x10
                // Zstandard without a checksum cannot see every change; none may trap.
                do { _ = try contents(bytes) } catch {
                    #expect((error as? InputFault)?.kind == .broken)
                }
            }
        }
    }

    @Test func `what isn't there is missing, and so is a directory`() {
        for path in ["/no/such/file", "/tmp"] {
            do {
                _ = try Inputs.byteCount(of: path)
                Issue.record("\(path) was looked at")
            } catch { #expect(error.kind == .missing && error.description.hasPrefix(path)) }
        }
    }
}

@Suite struct BodyReaderTests {
    private func pieces(
        _ text: String, bodyBytesMax: Int, lineBytesMax: Int
    ) throws -> (bodies: [LineBody], longLines: [Int]) {
        var reader = BodyReader(
            ArraySource(Array(text.utf8)), bodyBytesMax: bodyBytesMax,
            boundary: LineBoundary(lineBytesMax: lineBytesMax))
        var bodies: [LineBody] = []
        var longLines: [Int] = []
        while let piece = try reader.next() {
            switch piece {
            case .body(let body): bodies.append(body)
            case .longLine(let line): longLines.append(line)
            }
        }
        return (bodies, longLines)
    }

    @Test(arguments: [22, 30, 64, 1_000])
    func `bodies are whole lines and together the file`(bodyBytesMax: Int) throws {
        let text = "a b=1 1\nlog m=\"x\ny\" 2\n\n# c\nc d=2 3\ne f=\"\n\n\" 4\ng h=1 5"
        let (bodies, longLines) = try pieces(text, bodyBytesMax: bodyBytesMax, lineBytesMax: 20)
        #expect(longLines.isEmpty)
        #expect(String(decoding: bodies.flatMap(\.bytes), as: UTF8.self) == text)
        #expect(bodies.reduce(0) { $0 + $1.lineCount } == 10)
        #expect(bodies.reduce(0) { $0 + $1.inputByteCount } == text.utf8.count)
        var line = 1
        for body in bodies {
            #expect(body.firstLine == line)
            line += body.newlineCount
        }
    }

    @Test func `a line that is too long is named and the next is read`() throws {
        let long = String(repeating: "x", count: 500)
        let text = "a b=1 1\n\(long) v=1 2\nc d=\"\(long)\n\(long)\" 3\ne f=1 4\n"
        let (bodies, longLines) = try pieces(text, bodyBytesMax: 40, lineBytesMax: 30)
        #expect(longLines.first == 2)
        #expect(bodies.first.map { String(decoding: $0.bytes, as: UTF8.self) } == "a b=1 1\n")
        #expect(bodies.last.map { String(decoding: $0.bytes, as: UTF8.self) } == "e f=1 4\n")
        #expect(bodies.last?.firstLine == 5)
    }

    @Test func `lines are numbered as an editor does`() throws {
        let text = "a b=\"1\n2\n3\" 1\nc d=1 2\nbad\n"
        let (bodies, _) = try pieces(text, bodyBytesMax: 1_000, lineBytesMax: 100)
        #expect(bodies[0].inputLine(ofParsedLine: 1) == 1)
        #expect(bodies[0].inputLine(ofParsedLine: 2) == 4)
        #expect(bodies[0].inputLine(ofParsedLine: 3) == 5)
    }

    @Test func `halves are the body, down to one line`() throws {
        let text = "a b=\"1\n2\n3\" 1\nc d=1 2\ne f=1 3\n"
        let (bodies, _) = try pieces(text, bodyBytesMax: 1_000, lineBytesMax: 100)
        func leaves(_ body: LineBody) -> [LineBody] {
            guard let (first, second) = body.halves() else { return [body] }
            return leaves(first) + leaves(second)
        }
        let lines = leaves(bodies[0])
        #expect(lines.map(\.firstLine) == [1, 4, 5])
        #expect(String(decoding: lines.flatMap(\.bytes), as: UTF8.self) == text)
    }
}
