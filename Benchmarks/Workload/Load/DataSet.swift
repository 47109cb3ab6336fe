// A data set as a loader sees it: bodies in a file whose pages are in memory.

import Foundation
import Glibc

struct DataSet: Sendable {
    let descriptor: Int32
    let description: DataSetDescription
    private let offsets: [UInt64]

    var bodyCount: Int { offsets.count - 1 }

    /// Opens the three files and reads the data once, so that no disk is measured.
    init(path: String) throws {
        let text = try Data(contentsOf: URL(fileURLWithPath: path + ".json"))
        description = try JSONDecoder().decode(DataSetDescription.self, from: text)
        let index = try Data(contentsOf: URL(fileURLWithPath: path + ".bodies"))
        guard index.count == (description.bodyCount + 1) * 8 else {
            throw GenerateError(description: "\(path).bodies does not fit \(path).json")
        }
        offsets = stride(from: 0, to: index.count, by: 8).map { start in
            (0..<8).reduce(0) { $0 | UInt64(index[start + $1]) << UInt64(8 * $1) }
        }
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw GenerateError(description: "\(path): \(String(cString: strerror(errno)))")
        }
        // The descriptor lives as long as the process.
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while Glibc.read(descriptor, &buffer, buffer.count) > 0 {}
    }

    func read(into bytes: inout [UInt8], count: Int, at offset: UInt64) throws {
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes { bytes in
                // Safe: `done` is below `count`, which the buffer has.
                pread(
                    descriptor, bytes.baseAddress.map { $0 + done }, count - done,
                    off_t(offset) + off_t(done))
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else {
                throw GenerateError(description: "the data set has become shorter")
            }
            done += got
        }
    }

    func offset(ofBody body: Int) -> UInt64 { offsets[body] }

    /// What the first bodies hold, sent so many times; values by proportion, where not all of the set
    /// is sent.
    func part(bodies: Int, passes: Int) -> (lines: Int, values: Int, bytes: Int) {
        let bytes = Int(offsets[bodies]) * passes
        guard bodies < bodyCount else {
            return (description.lineCount * passes, description.valueCount * passes, bytes)
        }
        let linesPerBody = description.options["lines-per-body"].flatMap { Int($0) } ?? 0
        let lines = linesPerBody * bodies * passes
        return (lines, description.valueCount * lines / max(1, description.lineCount), bytes)
    }
}
