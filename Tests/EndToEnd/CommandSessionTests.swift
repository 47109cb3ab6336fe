// Every command but `sql` as a person sees it, on a terminal of 80 and of 200 columns.

import ApusTestKit
import Glibc
import Testing

/// What stood on the terminal at the end, and what was written over meanwhile.
private struct Seen {
    var code: Int32
    var lines: [String]
    var overwritten: [String]
    var overlongLineCount: Int

    var text: String { lines.joined(separator: "\n") }

    func has(_ part: String) -> Bool { text.contains(part) }
}

private func see(_ arguments: [String], columns: Int) throws -> Seen {
    let process = try TerminalProcess(arguments, columns: columns)
    return seen(process)
}

private func seen(_ process: TerminalProcess) -> Seen {
    let code = process.exitCodeAfterAll()
    var lines = process.screen.lines(from: 0)
    while lines.last == "" { lines.removeLast() }
    return Seen(
        code: code, lines: lines, overwritten: process.screen.overwritten,
        overlongLineCount: process.screen.overlongLineCount)
}

private func write(_ bytes: [UInt8], to path: String) {
    let descriptor = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { break }
        rest = rest.dropFirst(count)
    }
    close(descriptor)
}

private func names(in directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}

private func sampleLines(_ count: Int) -> [UInt8] {
    var text = ""
    text.reserveCapacity(count * 60)
    for number in 0..<count {
        text += "cpu,host=h\(number % 9),region=eu usage=\(number % 97).25,n=\(number)i "
        text += "\(1_700_000_000_000_000_000 + number * 1_000_000)\n"
    }
    return Array(text.utf8)
}

@Suite struct CommandSessions {
    private static let commands = [
        [], ["serve"], ["sql"], ["import"], ["export"], ["backup"], ["check"], ["inspect"],
        ["stats"], ["collect"], ["demo"], ["version"],
    ]

    @Test(arguments: [80, 200])
    func `help and usage errors fit the terminal`(columns: Int) throws {
        for command in Self.commands {
            let help = try see(command + ["--help"], columns: columns)
            #expect(help.code == 0 && help.has("USAGE: apus"), "\(command)")
            #expect(help.overlongLineCount == 0, "\(command):\n\(help.text)")
            let typo = try see(command + ["--no-such-flag"], columns: columns)
            #expect(typo.code == 64 && typo.has("Usage: apus"), "\(command): \(typo.text)")
            #expect(typo.overlongLineCount == 0, "\(command):\n\(typo.text)")
        }
        let version = try see(["version"], columns: columns)
        #expect(version.code == 0 && version.lines.count == 1 && version.has("format 3"))
    }

    @Test(arguments: [80, 200])
    func `an import shows a bar, and only its summary at the end`(columns: Int) throws {
        let directory = TemporaryDirectory()
        let input = directory.path + "/good.lp"
        write(sampleLines(100_000), to: input)
        let good = try see(["import", input, "--data", directory.path + "/d"], columns: columns)
        #expect(good.code == 0 && good.overlongLineCount == 0)
        #expect(good.overwritten.contains { $0.contains("%") && $0.contains("rows/s") })
        #expect(good.lines.first?.hasPrefix("100,000 lines, 100,000 rows, 200,000 values") == true)
        #expect(good.lines.count <= 2 && !good.has("%"), "\(good.text)")

        let bad = directory.path + "/bad.lp"
        write(Array("m v=1 17\nm v=abc 18\nm v=2\n".utf8), to: bad)
        let rejected = try see(
            ["import", bad, "--data", directory.path + "/d"], columns: columns)
        #expect(rejected.code == 1 && rejected.overlongLineCount <= 2)
        #expect(rejected.has("1 row, 1 value, 2 rejected"))
        #expect(rejected.has("bad.lp:2:5: invalid number 'abc'"))
        #expect(rejected.has("bad.lp:3:"))

        let dry = try see(["import", "--dry-run", input], columns: columns)
        #expect(dry.code == 0 && dry.overlongLineCount == 0 && !dry.has("%"))
    }

    @Test func `what cannot be imported is one clear sentence and leaves nothing`() throws {
        let directory = TemporaryDirectory()
        let (data, input) = (directory.path + "/d", directory.path + "/x.lp")
        write(sampleLines(10), to: input)
        // A header of gzip, and then nothing that could be decompressed.
        write([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0xFF, 0xFF, 0xFF, 0xFF], to: input + ".gz")
        let missing = try see(["import", "missing.lp", "--data", data], columns: 80)
        #expect(missing.code == 66 && missing.lines.count == 1 && missing.has("missing.lp: "))
        #expect(access(data, F_OK) != 0)
        let broken = try see(["import", input + ".gz", "--dry-run"], columns: 200)
        #expect(broken.code == 65 && broken.lines.count == 1)
        #expect(broken.has("gzip broken at byte "))
        let other = try see(["import", input, "--data", "/etc"], columns: 80)
        #expect(
            other.code == 65 && other.lines == ["apus: /etc is not a data directory of Apus"])
        let alone = try see(["import", input, "--url", "http://127.0.0.1:1"], columns: 80)
        #expect(alone.code == 69 && alone.lines.count == 1 && alone.has("Connection refused"))
    }

    @Test func `an import that finds the disk full leaves no beginning of a store`() throws {
        let directory = TemporaryDirectory()
        let (data, input) = (directory.path + "/d", directory.path + "/x.lp")
        write(sampleLines(10), to: input)
        let faults = try Faults()
        func importing() throws -> Seen {
            seen(
                try TerminalProcess(
                    ["import", input, "--data", data], columns: 80,
                    environment: faults.environment))
        }
        faults.begin(.diskFull)
        let first = try importing()
        #expect(first.code == 74 && first.lines.count == 1 && first.has("no space left"))
        #expect(access(data, F_OK) != 0)
        mkdir(data, 0o755)
        #expect(try importing().code == 74)
        #expect(names(in: data) == [])
        faults.end(.diskFull)
        #expect(try importing().code == 0)
    }

    @Test func `Ctrl-C takes an import's bar away and says what is stored`() throws {
        let directory = TemporaryDirectory()
        let process = try TerminalProcess(
            ["import", "-", "--data", directory.path + "/d"], columns: 80)
        try process.wait(for: "the bar") { $0.lastLine.contains("0 B") }
        process.type("\u{3}")
        let result = seen(process)
        #expect(result.code == 128 + SIGINT && !result.has("0 B"))
        #expect(result.has("interrupted after 0 lines") && result.overlongLineCount == 0)
    }

    @Test func `a demo, a sample and an export say what was done`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path + "/data")
        let url = ["--url", "http://127.0.0.1:\(server.httpPort)"]
        let demo = try see(["demo", "--once", "--history", "2m"] + url, columns: 80)
        #expect(demo.code == 0 && demo.overlongLineCount == 0)
        #expect(demo.lines.count == 1 && demo.has("rows of history are stored in database demo"))
        let sample = try see(["collect", "--once"] + url, columns: 80)
        #expect(
            sample.code == 0
                && sample.lines == ["apus collect: one sample is stored in database default"])
        let file = directory.path + "/demo.lp.zst"
        let export = try see(["export", "--db", "demo", "-o", file] + url, columns: 80)
        #expect(export.code == 0 && export.lines.count == 1 && export.has("4 tables, "))
        // A device is written to, never replaced by a file.
        let full = try see(["export", "--db", "demo", "-o", "/dev/full"] + url, columns: 80)
        var status = stat()
        #expect(stat("/dev/full", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
        #expect(full.code == 74 && full.lines == ["apus: /dev/full: No space left on device"])
        for (arguments, code) in [
            (["export", "nothing"] + url, Int32(64)), (["export", "--data", "/etc"], 65),
            (["export", "--data", directory.path + "/none"], 66),
            (["export", "-o", "/no/such/place"] + url, 74),
            (["export", "--data", directory.path + "/data"], 75),
            (["demo", "--once", "--url", "http://127.0.0.1:1"], 69),
            (["demo", "--history", "soon"], 64),
            (["collect", "--once", "--url", "http://127.0.0.1:1"], 69),
        ] {
            let result = try see(arguments, columns: 200)
            #expect(result.code == code && !result.lines.isEmpty, "\(arguments): \(result.text)")
        }
    }

    @Test(arguments: [80, 200])
    func `a configuration that would hold fits the terminal`(columns: Int) throws {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        let good = try see(["serve", "--data", data, "--check-config"], columns: columns)
        #expect(good.code == 0 && good.overlongLineCount == 0 && good.has("--data"))
        #expect(access(data, F_OK) != 0)
        let file = directory.path + "/apus.toml"
        write(Array("nonsense = 3\n".utf8), to: file)
        let bad = try see(["serve", "--check-config", "--config", file], columns: columns)
        #expect(bad.code == 64 && bad.has(":1: unknown key 'nonsense'"))
        #expect(bad.overlongLineCount == 0, "\(bad.text)")
    }
}
