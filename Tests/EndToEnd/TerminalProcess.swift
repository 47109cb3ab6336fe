// The real binary behind a pseudo-terminal, typed to as a person would.

import ApusTestKit
import Glibc

/// A running `apus` with a terminal of its own. Killed when released.
final class TerminalProcess {
    private static let timeoutSeconds = 60

    /// POSIX_SPAWN_SETSID, which the module of the C library leaves out.
    private static let setSession: Int16 = 0x80

    private let controller: Int32
    private var processID: pid_t = 0
    private(set) var screen: TerminalScreen

    /// - Parameter environment: all of it.
    init(
        _ arguments: [String], columns: Int, rows: Int = 24, environment: [String: String] = [:]
    ) throws {
        screen = TerminalScreen(columns: columns)
        var size = winsize(
            ws_row: UInt16(rows), ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
        var (controller, terminal): (Int32, Int32) = (-1, -1)
        // Not `ttyname`, whose one buffer all threads share.
        var name = [CChar](repeating: 0, count: 64)
        guard openpty(&controller, &terminal, nil, nil, &size) == 0,
            ttyname_r(terminal, &name, name.count) == 0
        else {
            throw ClientFault("no pseudo-terminal: errno \(errno)")
        }
        let path = name.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        self.controller = controller
        for end in [controller, terminal] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // Open until the process has it too: a terminal that nobody has open hangs up.
        defer { close(terminal) }
        processID = try Self.spawn([try Binary.path()] + arguments, on: path, environment)
    }

    deinit {
        if processID > 0 {
            kill(processID, SIGKILL)
            _ = Binary.wait(processID)
        }
        close(controller)
    }

    /// In a session of its own, whose terminal is the one it opens first.
    private static func spawn(
        _ arguments: [String], on path: String, _ environment: [String: String]
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, path, O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Self.setSession)
        var pointers = arguments.map { strdup($0) }
        var variables = environment.map { strdup("\($0)=\($1)") }
        pointers.append(nil)
        variables.append(nil)
        defer { for pointer in pointers + variables { free(pointer) } }
        var process: pid_t = 0
        let status = posix_spawn(
            &process, arguments[0], &actions, &attributes, pointers, variables)
        guard status == 0 else { throw ClientFault("spawn \(arguments[0]): errno \(status)") }
        return process
    }

    func type(_ keys: String) {
        let bytes = Array(keys.utf8)
        _ = write(controller, bytes, bytes.count)
    }

    /// Reads what the process shows until the condition holds.
    func wait(for what: String, until isDone: (TerminalScreen) -> Bool) throws {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let deadline = time(nil) + Self.timeoutSeconds
        while !isDone(screen) {
            var request = pollfd(fd: controller, events: Int16(POLLIN), revents: 0)
            guard poll(&request, 1, 1_000) > 0 else {
                guard time(nil) < deadline else {
                    throw ClientFault("no \(what) on:\n\(shown.joined(separator: "\n"))")
                }
                continue
            }
            let count = read(controller, &buffer, buffer.count)
            guard count > 0 else {
                throw ClientFault("ended without \(what):\n\(shown.joined(separator: "\n"))")
            }
            screen.feed(buffer[..<count])
        }
    }

    private var shown: [String] { screen.lines(from: max(0, screen.lineCount - 50)) }

    /// The lines up to the prompt, which is waited for.
    func output(upTo prompt: String, from start: Int = 0) throws -> [String] {
        try wait(for: prompt) { $0.lineCount > start && $0.lastLine == prompt }
        return screen.lines(from: start).dropLast()
    }

    /// Types a statement or a command and returns what it showed, without the typed lines.
    func run(_ line: String, prompt: String = "default=>") throws -> [String] {
        let start = screen.lineCount
        type(line + "\r")
        return try output(upTo: prompt, from: start + line.filter { $0 == "\r" }.count)
    }

    /// Looks on until the process ends.
    func exitCodeAfterAll() -> Int32 {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(controller, &buffer, buffer.count)
            guard count > 0 else { break }
            screen.feed(buffer[..<count])
        }
        defer { processID = 0 }
        return Binary.wait(processID)
    }

    func send(_ signal: Int32) { kill(processID, signal) }

    /// Waits for the process's own end.
    func exitCode() -> Int32 {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        // Reading fails once the last descriptor of the terminal is closed.
        while read(controller, &buffer, buffer.count) > 0 {}
        defer { processID = 0 }
        return Binary.wait(processID)
    }
}
