// The real binary's configuration: file, environment, reloading, and what the service manager hears.

import ApusTestKit
import Glibc
import Testing

@Suite(.serialized) struct Configuration {
    private static let listeners = [
        "--http", "127.0.0.1:0", "--line-tcp", "off", "--line-udp", "off",
    ]

    @Test func `a configuration is checked without listening or making the data directory`() throws
    {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        let file = try directory.file("apus.toml", "data = \"\(data)\"\nhttp = \"127.0.0.1:0\"\n")
        let result = try Binary.run(
            ["serve", "--config", file, "--check-config", "--memory", "64MiB"])
        #expect(result.code == 0 && result.errors == "", "\(result.errors)")
        let lines = result.output.split(separator: "\n").map { line in
            line.split(separator: " ").map(String.init)
        }
        #expect(lines.contains(["data", data, "\(file):1"]))
        #expect(lines.contains(["memory", "64MiB", "--memory"]))
        #expect(access(data, F_OK) != 0)
    }

    @Test func `what is wrong in the file is one line with its place, and exit code 64`() throws {
        let directory = TemporaryDirectory()
        for (text, reason) in [
            ("\nhtp = \"off\"\n", ":2: unknown key 'htp'; did you mean 'http'?"),
            ("memory = [\"1GiB\"]", ":1: memory: expected a string or an integer"),
            ("http = \"0.0.0.0:0\"", "--token-file"),
            ("token-file = \"\(directory.path)/none\"", ":1: token-file: "),
        ] {
            let file = try directory.file("apus.toml", text)
            for more in [["--check-config"], ["--data", directory.path + "/data"]] {
                let result = try Binary.run(["serve", "--config", file] + more)
                #expect(result.code == 64 && result.output == "")
                #expect(result.errors.contains(reason), "\(result.errors)")
                #expect(result.errors.split(separator: "\n").count == 1)
            }
        }
        let missing = try Binary.run(["serve", "--config", directory.path + "/none"])
        #expect(missing.code == 64 && missing.errors.contains("No such file"))
    }

    @Test func `the server does what file, environment and flags say`() throws {
        let directory = TemporaryDirectory()
        let file = try directory.file(
            "apus.toml",
            """
            data = "\(directory.path)/data"
            http = "nonsense"
            line-tcp = "off"
            line-udp = "127.0.0.1:0"
            """)
        let server = try LoggedServer(
            directory, ["--http", "127.0.0.1:0"],
            environment: ["APUS_CONFIG=\(file)", "APUS_LINE_UDP=off", "APUS_NONSENSE=1"])
        #expect(server.readyLine.contains("line-tcp=off line-udp=off data=\(directory.path)/data"))
        #expect(server.log.contains("APUS_NONSENSE"))
        #expect(server.stop() == 0)
    }

    @Test func `every setting is in the help`() throws {
        let help = try Binary.run(["serve", "--help"]).output
        let table = try Binary.run(["documentation", "settings"]).output
        let flags = table.split(separator: "\n").dropFirst(2).compactMap { line in
            line.split { $0 == "`" || $0 == " " }.dropFirst().first
        }
        #expect(flags.count > 10)
        for flag in flags {
            #expect(flag.hasPrefix("--") && help.contains("  \(flag) "), "\(flag)")
        }
    }

    @Test func `a slow statement is a line of the log, whatever is in it`() throws {
        let directory = TemporaryDirectory()
        let file = try directory.file("apus.toml", "slow-query = \"1ns\"")
        let server = try LoggedServer(
            directory, ["--data", directory.path + "/data", "--config", file] + Self.listeners)
        let client = try LoopbackConnection(port: server.httpPort)
        let statement = "SELECT 1,\n 'a \"b\"\u{1B}[31m' AS x"
        #expect(try client.request("POST", "/sql?db=plant", text: statement).status == 200)
        #expect(server.logGains("slow query: id=1 "))
        let lines = server.log.split(separator: "\n").filter { $0.contains("slow query") }
        let line = try #require(lines.first)
        #expect(lines.count == 1)
        for part in [
            "Z warning slow query: ", " duration_ms=", " waited_ms=", #" database="plant" "#,
            #" client="127.0.0.1:"#, " rows=1 bytes=",
            #" query="SELECT 1,\n 'a \"b\"\u{1b}[31m' AS x""#,
        ] { #expect(line.contains(part), "\(part): \(line)") }
        #expect(
            try client.request("GET", "/metrics").text.contains("\napus_slow_queries_total 1\n"))
        #expect(server.stop() == 0)
    }

    // MARK: reloading

    @Test func `SIGHUP takes up new tokens and the log level`() throws {
        let directory = TemporaryDirectory()
        let tokens = try directory.file("tokens", "first admin\n")
        let text = "token-file = \"\(tokens)\"\nlog-level = "
        let file = try directory.file("apus.toml", text + "\"notice\"")
        let server = try LoggedServer(
            directory, ["--data", directory.path + "/data", "--config", file] + Self.listeners)
        #expect(try server.status(token: "first") == 200)
        #expect(try server.status(token: "second") == 401)

        _ = try directory.file("tokens", "second admin\n")
        server.send(SIGHUP)
        #expect(server.logGains("reloaded: 1 tokens, log level notice"))
        #expect(try server.status(token: "first") == 401)
        #expect(try server.status(token: "second") == 200)

        _ = try directory.file("apus.toml", text + "\"error\"\nmemory = \"64MiB\"")
        server.send(SIGHUP)
        // At the level error neither the reload nor the warning about `memory` is a line.
        _ = try directory.file("tokens", "third what\n")
        while try server.status(token: "second") != 200 {}
        server.send(SIGHUP)
        #expect(server.logGains("line 1: 'what' is not read, write or admin"))
        #expect(server.log.contains("error nothing is reloaded"))
        #expect(try server.status(token: "second") == 200)
        #expect(server.stop() == 0)
        #expect(!server.log.contains("stopped"))
    }

    @Test func `what cannot be reloaded is named, and tokens don't vanish`() throws {
        let directory = TemporaryDirectory()
        let tokens = try directory.file("tokens", "first admin\n")
        let file = try directory.file("apus.toml", "token-file = \"\(tokens)\"")
        let server = try LoggedServer(
            directory, ["--data", directory.path + "/data", "--config", file] + Self.listeners)
        _ = try directory.file("apus.toml", "")
        server.send(SIGHUP)
        #expect(server.logGains("ask for tokens needs a restart"))
        #expect(try server.status(token: "none") == 401)
        _ = try directory.file("apus.toml", "token-file = \"\(tokens)\"\nmemory = \"64MiB\"")
        server.send(SIGHUP)
        #expect(server.logGains("memory has changed, which needs a restart"))
        #expect(server.stop() == 0)
    }

    @Test func `a server whose terminal is gone stops cleanly`() throws {
        // `script` gives it a terminal, and takes it away when it is killed.
        guard access("/usr/bin/script", X_OK) == 0 else { return }
        let directory = TemporaryDirectory()
        let log = directory.path + "/log"
        let arguments = (["--data", directory.path + "/data"] + Self.listeners).joined(
            separator: " ")
        let command = "exec '\(try Binary.path())' serve \(arguments) 2>\(log)"
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        let terminal = try Binary.spawn(
            ["/usr/bin/script", "-qfc", command, directory.path + "/typescript"], output: null,
            errors: null)
        #expect(TextFile.gains("apus ready", directory.path + "/typescript"))
        kill(terminal, SIGKILL)
        _ = Binary.wait(terminal)
        #expect(TextFile.gains("info stopped", log))
    }

    // MARK: the service manager

    @Test(arguments: [false, true])
    func `the service manager hears of ready, reloading and stopping`(_ isAbstract: Bool) throws {
        let directory = TemporaryDirectory()
        let name = isAbstract ? "@\(directory.path)" : directory.path + "/notify"
        let socket = try DatagramSocket(name)
        let server = try LoggedServer(
            directory, ["--data", directory.path + "/data"] + Self.listeners,
            environment: ["NOTIFY_SOCKET=\(name)"])
        #expect(socket.receive() == "READY=1\n")
        server.send(SIGHUP)
        let reloading = socket.receive()
        #expect(reloading.hasPrefix("RELOADING=1\nMONOTONIC_USEC="), "\(reloading)")
        #expect(socket.receive() == "READY=1\n")
        server.send(SIGTERM)
        #expect(socket.receive() == "STOPPING=1\n")
        #expect(server.wait() == 0)
    }

    // MARK: writes that may not create

    @Test func `with create-on-write off, writes into unknown databases and tables are refused`()
        throws
    {
        let directory = TemporaryDirectory()
        let server = try LoggedServer(
            directory,
            ["--data", directory.path + "/data", "--create-on-write", "off"] + Self.listeners)
        let client = try LoopbackConnection(port: server.httpPort)
        let time = "1700000000000000000"
        for target in ["/write?db=a", "/api/v2/write?bucket=a", "/api/v3/write_lp?db=a"] {
            let unknown = try client.request("POST", target, text: "cpu v=1 \(time)")
            #expect(unknown.status == 404, "\(target)")
            #expect(unknown.text.contains(#"database not found: \"a\""#), "\(unknown.text)")
        }
        func ask(_ statement: String) throws -> (status: Int, text: String) {
            let answer = try client.request("POST", "/sql?db=a", text: statement)
            return (answer.status, answer.text)
        }
        #expect(try ask("CREATE DATABASE a").status == 200)
        #expect(try ask("CREATE TABLE cpu (host TAG, v DOUBLE)").status == 200)
        let mixed = try client.request(
            "POST", "/write?db=a", text: "cpu,host=x v=1.5 \(time)\nmem v=1 \(time)\n")
        #expect(mixed.status == 400)
        #expect(mixed.text.contains("partial write") && mixed.text.contains(#"\"mem\""#))
        #expect(try ask("INSERT INTO mem (time, v) VALUES (1, 1.5)").status == 404)
        #expect(try ask("SELECT host, v FROM cpu").text.contains(#"["x",1.5]"#))
        #expect(try ask("SHOW TABLES").text.contains("mem") == false)
        #expect(server.stop() == 0)
    }
}

// MARK: - helpers

/// A server whose log is kept. Killed when released.
private final class LoggedServer {
    private var process: pid_t
    private let logPath: String
    let readyLine: String
    let httpPort: Int

    init(_ directory: TemporaryDirectory, _ arguments: [String], environment: [String] = []) throws
    {
        logPath = directory.path + "/log"
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw ClientFault("pipe: \(errno)") }
        // Another server's child would keep the pipe open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let log = open(logPath, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0o600)
        process = try Binary.spawn(
            ["/usr/bin/env"] + environment + [try Binary.path(), "serve"] + arguments,
            output: ends[1], errors: log)
        close(ends[1])
        close(log)
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(ends[0], &byte, 1) == 1, byte != 0x0A { bytes.append(byte) }
        close(ends[0])
        readyLine = String(decoding: bytes, as: UTF8.self)
        let http = readyLine.split(separator: " ").first { $0.hasPrefix("http=") }
        httpPort = http?.split(separator: ":").last.flatMap { Int($0) } ?? 0
        guard readyLine.hasPrefix("apus ready ") else {
            throw ClientFault("no ready line but '\(readyLine)'; the log: \(log)")
        }
    }

    deinit {
        guard process > 0 else { return }
        kill(process, SIGKILL)
        _ = Binary.wait(process)
    }

    var log: String { TextFile.text(logPath) }

    func logGains(_ text: String) -> Bool { TextFile.gains(text, logPath) }

    func send(_ signal: Int32) { kill(process, signal) }

    func wait() -> Int32 {
        defer { process = 0 }
        return Binary.wait(process)
    }

    func stop() -> Int32 {
        send(SIGTERM)
        return wait()
    }

    func status(token: String) throws -> Int {
        let client = try LoopbackConnection(port: httpPort)
        return try client.request(
            "GET", "/sql?q=SELECT+1", headers: ["Authorization": "Token \(token)"]
        ).status
    }
}

enum TextFile {
    static func text(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(descriptor, &buffer, buffer.count)
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }

    /// Waits until a file has the text, at most half a minute.
    static func gains(_ expected: String, _ path: String) -> Bool {
        for _ in 0..<3_000 {
            if text(path).contains(expected) { return true }
            usleep(10_000)
        }
        return false
    }
}

extension TemporaryDirectory {
    /// Writes a file, and returns its path.
    fileprivate func file(_ name: String, _ text: String) throws -> String {
        let place = path + "/" + name
        let descriptor = open(place, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o600)
        guard write(descriptor, text, text.utf8.count) == text.utf8.count else {
            throw ClientFault("\(place): errno \(errno)")
        }
        close(descriptor)
        return place
    }
}

/// A socket as the service manager has it.
private final class DatagramSocket {
    private let descriptor: Int32

    /// `@name` is in the abstract name space.
    init(_ name: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        guard bytes.count < 100 else { throw ClientFault("too long a name") }
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let byteCount = socklen_t(2 + bytes.count + (bytes[0] == 0 ? 0 : 1))
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, byteCount)
            }
        }
        guard status == 0 else { throw ClientFault("bind: errno \(errno)") }
        var patience = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience,
            socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    func receive() -> String {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }
}
