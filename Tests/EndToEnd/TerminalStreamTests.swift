// An answer of millions of rows passes through the client in constant memory.

import ApusTestKit
import Glibc
import Testing

enum RowLoader {
    private static let rowsPerRequest = 50_000

    /// Stores rows of a table `big`, a microsecond apart.
    static func load(_ rowCount: Int, port: Int) throws {
        let client = try LoopbackConnection(port: port)
        var row = 0
        while row < rowCount {
            let end = min(row + rowsPerRequest, rowCount)
            var text = ""
            text.reserveCapacity((end - row) * 64)
            for number in row..<end {
                text += "big,host=h\(number % 7) n=\(number)i,s=\"text \(number % 1_000)\" "
                text += "\(1_700_000_000_000_000_000 + number * 1_000)\n"
            }
            let answer = try client.request("POST", "/write", text: text)
            guard answer.status == 204 else { throw ClientFault("write: \(answer.text)") }
            row = end
        }
    }
}

@Suite(.serialized) struct ShellStreams {
    private static let residentKibibytesMax = 64 << 10

    /// `APUS_SHELL_ROWS` makes it longer.
    @Test func `a long answer streams through in constant memory`() throws {
        let rowCount = environmentNumber("APUS_SHELL_ROWS", default: 1_000_000)
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path + "/data")
        try RowLoader.load(rowCount, port: server.httpPort)
        for format in ["table", "csv", "json"] {
            let (lineCount, kibibytes) = try run([
                "sql", "--url", "http://127.0.0.1:\(server.httpPort)", "--format", format, "-e",
                "SELECT time, host, n, s FROM big",
            ])
            let framing = ["table": 3, "csv": 1][format]
            if let framing { #expect(lineCount == rowCount + framing) }
            #expect(kibibytes > 0 && kibibytes <= Self.residentKibibytesMax, "\(format)")
        }
    }

    /// Counts the lines of the output, and the most memory that the process had when last seen.
    private func run(_ arguments: [String]) throws -> (lineCount: Int, kibibytes: Int) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw ClientFault("pipe: \(errno)") }
        defer { close(ends[0]) }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        let process = try Binary.spawn([try Binary.path()] + arguments, output: ends[1])
        close(ends[1])
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        var (lineCount, kibibytes, readCount) = (0, 0, 0)
        while true {
            let count = read(ends[0], &buffer, buffer.count)
            guard count > 0 else { break }
            lineCount += buffer[..<count].count { $0 == 0x0A }
            if readCount % 64 == 0 { kibibytes = max(kibibytes, Self.peakKibibytes(process)) }
            readCount += 1
        }
        #expect(Binary.wait(process) == 0)
        return (lineCount, kibibytes)
    }

    /// `VmHWM` of a process; 0 if it has gone.
    private static func peakKibibytes(_ process: pid_t) -> Int {
        let descriptor = open("/proc/\(process)/status", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 8_192)
        let count = max(0, read(descriptor, &buffer, buffer.count))
        let lines = String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n")
        let line = lines.first { $0.hasPrefix("VmHWM:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    }
}
