// The real binary as a child process.

import ApusTestKit
import Glibc

/// A running `apus serve` on free ports. Killed when released.
final class ServerProcess {
    private(set) var processID: pid_t = 0
    private(set) var httpPort = 0
    private(set) var tcpPort = 0
    private(set) var udpPort = 0
    private(set) var readyLine = ""
    private let output: Int32

    /// Starts the binary and waits for its ready line.
    convenience init(
        data: String, arguments: [String] = [], environment: [String: String] = [:]
    ) throws {
        try self.init(starting: data, arguments: arguments, environment: environment)
        try awaitReady()
    }

    /// Only starts it: without a ready line its ports are not known.
    init(
        starting data: String, httpPort: Int = 0, arguments: [String] = [],
        environment: [String: String] = [:]
    ) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw ClientFault("pipe: \(errno)") }
        // Another server's child would keep the pipe open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        output = ends[0]
        self.httpPort = httpPort
        let variables = environment.map { "\($0)=\($1)" }
        let all =
            (variables.isEmpty ? [] : ["/usr/bin/env"] + variables) + [
                try Binary.path(), "serve", "--data", data, "--http", "127.0.0.1:\(httpPort)",
                "--line-tcp", "127.0.0.1:0", "--line-udp", "127.0.0.1:0", "--log-level", "error",
            ] + arguments
        processID = try Binary.spawn(all, output: ends[1])
        close(ends[1])
    }

    func awaitReady() throws {
        readyLine = readLine(output)
        guard readyLine.hasPrefix("apus ready ") else {
            throw ClientFault("no ready line but '\(readyLine)', exit code \(wait())")
        }
        httpPort = port("http=")
        tcpPort = port("line-tcp=")
        udpPort = port("line-udp=")
    }

    deinit {
        kill()
        close(output)
    }

    private func port(_ name: String) -> Int {
        let word = readyLine.split(separator: " ").first { $0.hasPrefix(name) }
        return word?.split(separator: ":").last.flatMap { Int($0) } ?? 0
    }

    private func readLine(_ descriptor: Int32) -> String {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(descriptor, &byte, 1) == 1, byte != 0x0A { bytes.append(byte) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What it has printed behind the ready line, once it has ended.
    func remainingOutput() -> String {
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = read(output, &buffer, buffer.count)
            guard count > 0 else { return text }
            text += String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    /// Waits until it takes no connections, at most a quarter of a minute.
    func endsListening() -> Bool {
        for _ in 0..<1_500 {
            if (try? LoopbackConnection(port: httpPort)) == nil { return true }
            usleep(10_000)
        }
        return false
    }

    /// SIGKILL.
    func kill() {
        guard processID > 0 else { return }
        Glibc.kill(processID, SIGKILL)
        _ = wait()
    }

    /// Asks it to end, and returns the exit code.
    func stop(_ signal: Int32 = SIGTERM) -> Int32 {
        send(signal)
        return wait()
    }

    func send(_ signal: Int32) { Glibc.kill(processID, signal) }

    @discardableResult
    func wait() -> Int32 {
        guard processID > 0 else { return -1 }
        defer { processID = 0 }
        return Binary.wait(processID)
    }
}

enum Binary {
    /// `APUS_BINARY`, else the `apus` beside the running test bundle.
    static func path() throws -> String {
        if let given = getenv("APUS_BINARY") { return String(cString: given) }
        for argument in CommandLine.arguments {
            guard let slash = argument.lastIndex(of: "/") else { continue }
            let candidate = argument[..<slash] + "/apus"
            if access(String(candidate), X_OK) == 0 { return String(candidate) }
        }
        var buffer = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &buffer, 4_095)
        if count > 0 {
            let executable = String(
                decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if let slash = executable.lastIndex(of: "/") {
                let candidate = executable[..<slash] + "/apus"
                if access(String(candidate), X_OK) == 0 { return String(candidate) }
            }
        }
        throw ClientFault("no binary: build the product apus, or set APUS_BINARY")
    }

    static func spawn(_ arguments: [String], output: Int32, errors: Int32? = nil) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        if let errors { posix_spawn_file_actions_adddup2(&actions, errors, 2) }
        // Other tests' sockets and pipes are not the child's. Closing what isn't open is no error.
        for descriptor in Int32(3)..<1_024 {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        let status = posix_spawn(&process, arguments[0], &actions, nil, pointers, environ)
        guard status == 0 else { throw ClientFault("spawn \(arguments[0]): errno \(status)") }
        return process
    }

    /// The exit code, or 128 + the signal that ended it.
    static func wait(_ process: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + (status & 0x7F)
    }

    /// Runs a command to its end, with variables that only it sees.
    static func run(
        _ arguments: [String], environment: [String: String] = [:]
    ) throws -> (code: Int32, output: String, errors: String) {
        let directory = TemporaryDirectory()
        let paths = (directory.path + "/out", directory.path + "/err")
        let output = open(paths.0, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        let errors = open(paths.1, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        defer {
            close(output)
            close(errors)
        }
        let variables = environment.map { "\($0)=\($1)" }
        let all =
            (variables.isEmpty ? [] : ["/usr/bin/env"] + variables) + [try path()] + arguments
        let process = try spawn(all, output: output, errors: errors)
        let code = wait(process)
        return (code, contents(output), contents(errors))
    }

    private static func contents(_ descriptor: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }
}

func environmentNumber(_ name: String, default value: Int) -> Int {
    getenv(name).flatMap { Int(String(cString: $0)) } ?? value
}

/// Tries until it holds or half a minute is over; for what happens behind the answers.
func eventually(_ body: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<3_000 {
        if try body() { return true }
        usleep(10_000)
    }
    return false
}
