// Exit codes and messages of the real binary.

import ApusTestKit
import Glibc
import Testing

@Suite(.serialized) struct Commands {
    @Test func `unknown flags exit with 64`() throws {
        let result = try Binary.run(["serve", "--no-such-flag"])
        #expect(result.code == 64 && result.errors.contains("--no-such-flag"))
        #expect(try Binary.run(["serve", "--http", "nonsense"]).code == 64)
        #expect(try Binary.run(["nonsense"]).code == 64)
    }

    /// What and where, by `parts`; and nothing but one line, on standard error.
    private static func expectOneLine(
        _ arguments: [String], _ code: Int32, _ parts: String...
    ) throws {
        let result = try Binary.run(arguments)
        let place = "\(arguments): \(result)"
        #expect(result.code == code && result.output == "", "\(place)")
        #expect(result.errors.hasPrefix("apus: ") && result.errors.hasSuffix("\n"), "\(place)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(place)")
        for part in parts { #expect(result.errors.contains(part), "\(part): \(place)") }
    }

    @Test func `bad usage is one line that says what, and where help is`() throws {
        let serve = "Usage: apus serve --help"
        try Self.expectOneLine(["serve", "--no-such-flag"], 64, "'--no-such-flag'", serve)
        try Self.expectOneLine(["serve", "--htttp", "off"], 64, "'--htttp'", "--http", serve)
        try Self.expectOneLine(["serve", "--data"], 64, "--data", serve)
        try Self.expectOneLine(["serve", "surplus"], 64, "'surplus'", serve)
        try Self.expectOneLine(["nonsense"], 64, "'nonsense'", "Usage: apus --help")
        try Self.expectOneLine(["check"], 64, "Usage: apus check --help")
        try Self.expectOneLine(
            ["collect", "--interval", "1d"], 64, "--interval 1d", "100ms to 1h",
            "Usage: apus collect --help")
        for (flag, value) in [
            ("--http", "nonsense"), ("--line-tcp", "127.0.0.1"), ("--line-udp", "h:1?x=y"),
            ("--durability", "sometimes"), ("--memory", "much"), ("--memory", "1MiB"),
            ("--retention", "long"), ("--accept-future", "-1d"), ("--allow", "192.0.2"),
            ("--create-on-write", "perhaps"), ("--log-level", "loud"),
            ("--token-file", "/no/such/file"),
        ] { try Self.expectOneLine(["serve", flag, value], 64, flag) }
        try Self.expectOneLine(
            ["serve", "--config", "/no/such/file"], 64, "configuration file /no/such/file",
            "No such file")
    }

    @Test func `a port in use is one line that names flag, address and reason`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path + "/a")
        let ports = [
            ("--http", server.httpPort), ("--line-tcp", server.tcpPort),
            ("--line-udp", server.udpPort),
        ]
        for (taken, port) in ports {
            var arguments = ["serve", "--data", directory.path + "/b"]
            for (flag, _) in ports {
                arguments += [flag, flag == taken ? "127.0.0.1:\(port)" : "127.0.0.1:0"]
            }
            try Self.expectOneLine(
                arguments + ["--log-level", "warning"], 69, "\(taken) 127.0.0.1:\(port)",
                "Address already in use")
        }
    }

    @Test func `a directory that cannot be used is one line that names it`() throws {
        let listeners = ["--http", "127.0.0.1:0", "--line-tcp", "off", "--line-udp", "off"]
        let directory = TemporaryDirectory()
        let file = directory.path + "/file"
        close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
        for (path, reason) in [
            (file, "Not a directory"), (file + "/data", "Not a directory"),
            ("/proc/apus", "No such file or directory"),
        ] { try Self.expectOneLine(["serve", "--data", path] + listeners, 74, path, reason) }
        let server = try ServerProcess(data: directory.path + "/data")
        try Self.expectOneLine(
            ["serve", "--data", directory.path + "/data"] + listeners, 75,
            directory.path + "/data", "\(server.processID)")
    }

    @Test func `an open listener without tokens exits with 64 and one line`() throws {
        let directory = TemporaryDirectory()
        let result = try Binary.run(["serve", "--data", directory.path, "--http", "0.0.0.0:0"])
        #expect(result.code == 64)
        #expect(
            result.errors.contains("--token-file")
                && result.errors.split(separator: "\n").count == 1)
    }

    @Test func `a port in use exits with 69`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let other = TemporaryDirectory()
        let result = try Binary.run([
            "serve", "--data", other.path, "--http", "127.0.0.1:\(server.httpPort)",
        ])
        #expect(result.code == 69 && result.errors.contains("\(server.httpPort)"))
    }

    @Test func `a directory held by another process exits with 75 and names it`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let result = try Binary.run([
            "serve", "--data", directory.path, "--http", "127.0.0.1:0", "--line-tcp", "off",
            "--line-udp", "off",
        ])
        #expect(result.code == 75 && result.errors.contains("\(server.processID)"))
    }

    @Test func `version says its format, and every command helps with an example`() throws {
        #expect(try Binary.run(["version"]).output.contains("format 3"))
        for command in [
            "serve", "collect", "sql", "import", "export", "demo", "backup", "check", "inspect",
            "stats", "version",
        ] {
            let help = try Binary.run([command, "--help"])
            let examples = help.output.firstRange(of: "Example").map {
                help.output[$0.upperBound...]
            }
            #expect(
                help.code == 0 && examples?.contains("\n  apus \(command)") == true,
                "\(help.output)")
        }
    }

    @Test func `the ready line names every listener`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path, arguments: [])
        let words = server.readyLine.split(separator: " ").map { $0.prefix { $0 != "=" } }
        #expect(words == ["apus", "ready", "http", "line-tcp", "line-udp", "data"])
    }

    @Test func `a token file opens what it says and no more`() throws {
        let directory = TemporaryDirectory()
        let tokens = directory.path + "/tokens"
        let text = "reader read\nwriter write a\n"
        let descriptor = open(tokens, O_CREAT | O_WRONLY, 0o600)
        _ = write(descriptor, text, text.utf8.count)
        close(descriptor)
        let server = try ServerProcess(
            data: directory.path + "/data", arguments: ["--token-file", tokens])
        let client = try LoopbackConnection(port: server.httpPort)
        let line = "m,k=a v=1 1700000000000000000"
        let missing = try client.request("POST", "/write?db=a", text: line)
        #expect(missing.status == 401 && missing.text.hasPrefix(#"{"error":""#))
        #expect(
            try client.request("POST", "/api/v2/write?bucket=a", text: line).text.hasPrefix(
                #"{"code":"unauthorized""#))
        #expect(
            try client.request(
                "POST", "/write?db=a", headers: ["Authorization": "Token reader"], text: line
            ).status == 403)
        #expect(
            try client.request(
                "POST", "/write?db=b", headers: ["Authorization": "Token writer"], text: line
            ).status == 403)
        for (target, headers) in [
            ("/write?db=a", ["Authorization": "Token writer"]),
            ("/write?db=a", ["Authorization": "Bearer writer"]),
            ("/write?db=a", ["Authorization": "Basic dTp3cml0ZXI="]),
            ("/write?db=a&u=x&p=writer", [:]),
        ] {
            #expect(try client.request("POST", target, headers: headers, text: line).status == 204)
        }
        #expect(try client.request("GET", "/ping").status == 204)
        #expect(try client.request("GET", "/sql?q=SELECT+1").status == 401)
    }

    @Test func `a newer format exits with 65, and a directory that can't be made with 74`() throws {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        do { #expect(try ServerProcess(data: data).stop() == 0) }
        for name in ["MANIFEST", "MANIFEST.previous"] {
            let descriptor = open("\(data)/\(name)", O_RDWR)
            guard descriptor >= 0 else { continue }
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = pread(descriptor, &bytes, bytes.count, 0)
            // Everything after the magic is another's.
            for index in 8..<max(8, count) { bytes[index] ^= 0xFF }
            _ = pwrite(descriptor, bytes, max(0, count), 0)
            close(descriptor)
        }
        let listeners = ["--http", "127.0.0.1:0", "--line-tcp", "off", "--line-udp", "off"]
        let unreadable = try Binary.run(["serve", "--data", data] + listeners)
        #expect(unreadable.code == 65)
        #expect(unreadable.errors.split(separator: "\n").count == 1, "\(unreadable.errors)")
        let impossible = try Binary.run(["serve", "--data", "/dev/null/data"] + listeners)
        #expect(impossible.code == 74)
        #expect(impossible.errors.contains("/dev/null"), "\(impossible.errors)")
    }

    @Test func `flags win over the environment`() throws {
        // Not this process's own variables: other suites start servers meanwhile.
        let environment = ["APUS_LOG_LEVEL": "nonsense", "APUS_NO_SUCH_FLAG": "1"]
        let directory = TemporaryDirectory()
        let refused = try Binary.run(
            ["serve", "--data", directory.path], environment: environment)
        #expect(refused.code == 64 && refused.errors.contains("nonsense"))
        let server = try ServerProcess(data: directory.path, environment: environment)
        #expect(server.readyLine.contains(directory.path))
    }
}
