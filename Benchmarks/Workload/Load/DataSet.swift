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
        while read(descriptor, &buffer, buffer.count) > 0 {}
    }

    func offset(ofBody body: Int) -> UInt64 { offsets[body] }

    /// What the first bodies hold; values by proportion, where not all of the set is sent.
    func part(bodies: Int) -> (lines: Int, values: Int, bytes: Int) {
        let bytes = Int(offsets[bodies])
        guard bodies < bodyCount else {
            return (description.lineCount, description.valueCount, bytes)
        }
        let linesPerBody = description.options["lines-per-body"].flatMap { Int($0) } ?? 0
        let lines = linesPerBody * bodies
        return (lines, description.valueCount * lines / max(1, description.lineCount), bytes)
    }
}
