// A long answer goes through `$PAGER`, or `less` where it is installed.

internal import Glibc

/// A pager's standard input. Its end is waited for by `close`.
package final class Pager: ByteOutput {
    private let process: pid_t
    private var descriptor: Int32
    private let output: DescriptorOutput

    /// The command to use: `$PAGER`, else `less` that leaves colours and the screen alone; nil for
    /// none.
    package static func command(environment: (String) -> String?) -> String? {
        if let chosen = environment("PAGER") { return chosen.isEmpty ? nil : chosen }
        let folders = environment("PATH")?.split(separator: ":") ?? []
        let hasLess = folders.contains { access("\($0)/less", X_OK) == 0 }
        return hasLess ? "less -SRFX" : nil
    }

    /// Nil if it cannot be started.
    package init?(command: String) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        // Only the pager's own copy of its end stays, so that it sees the answer's end.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let started = Self.spawn(["/bin/sh", "-c", command], standardInput: ends[0])
        Glibc.close(ends[0])
        guard let started else {
            Glibc.close(ends[1])
            return nil
        }
        process = started
        descriptor = ends[1]
        output = DescriptorOutput(ends[1])
    }

    deinit { close() }

    package func write(_ bytes: ArraySlice<UInt8>) throws { try output.write(bytes) }

    /// Ends its input and waits until the person leaves it.
    package func close() {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = -1
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
    }

    /// With the signals as a program expects them, whatever this process does with its own.
    private static func spawn(_ arguments: [String], standardInput: Int32) -> pid_t? {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, standardInput, STDIN_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var defaults = sigset_t()
        sigemptyset(&defaults)
        sigaddset(&defaults, SIGPIPE)
        sigaddset(&defaults, SIGINT)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var pointers = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        guard posix_spawn(&process, arguments[0], &actions, &attributes, pointers, environ) == 0
        else { return nil }
        return process
    }
}
