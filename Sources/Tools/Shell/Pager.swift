// A long answer goes through `$PAGER`, or `less` where it is installed.

internal import Glibc

/// A pager's standard input, which never keeps the writer waiting while there is room on the disk.
/// Its end is waited for by `close`.
package final class Pager: ByteOutput {
    /// Beyond this the writer waits after all.
    private static let spoolBytesMax = 1 << 30
    private static let pieceBytes = 64 << 10

    private let process: pid_t
    private var descriptor: Int32
    private let spool: PagerSpool?

    /// The command to use: `$PAGER`, else `less` that leaves colours and the screen alone; nil for
    /// none.
    package static func command(environment: (String) -> String?) -> String? {
        if let chosen = environment("PAGER") { return chosen.isEmpty ? nil : chosen }
        let folders = environment("PATH")?.split(separator: ":") ?? []
        let hasLess = folders.contains { access("\($0)/less", X_OK) == 0 }
        return hasLess ? "less -SRFX" : nil
    }

    /// Nil if it cannot be started.
    ///
    /// - Parameter folder: for what the pager has not read yet.
    package init?(command: String, folder: String = "/tmp") {
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
        spool = PagerSpool(folder: folder)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    deinit { close() }

    package func write(_ bytes: ArraySlice<UInt8>) throws {
        try drain(downTo: Self.spoolBytesMax)
        var rest = bytes
        if (spool?.byteCount ?? 0) == 0 { rest = rest.dropFirst(try send(Array(rest))) }
        if rest.isEmpty || spool?.append(rest) == true { return }
        // No disk to put it on: what came before goes first, then this, at the pager's pace.
        try drain(downTo: 0)
        while !rest.isEmpty {
            let count = try send(Array(rest.prefix(Self.pieceBytes)))
            rest = rest.dropFirst(count)
            if count == 0 { waitForPager() }
        }
    }

    /// Hands over what the pager takes at once, and waits as long as more than that is kept.
    private func drain(downTo keptBytesMax: Int) throws {
        guard let spool else { return }
        while spool.byteCount > 0 {
            let piece = spool.first(bytesMax: Self.pieceBytes)
            guard !piece.isEmpty else { throw OutputFault.failed(code: EIO) }
            let count = try send(piece)
            spool.drop(count)
            if count == 0 {
                guard spool.byteCount > keptBytesMax else { return }
                waitForPager()
            }
        }
    }

    /// How many bytes the pager took, without waiting.
    private func send(_ bytes: [UInt8]) throws -> Int {
        guard !bytes.isEmpty else { return 0 }
        let count = Glibc.write(descriptor, bytes, bytes.count)
        if count >= 0 { return count }
        switch errno {
        case EAGAIN, EINTR: return 0
        case EPIPE: throw OutputFault.closed
        default: throw OutputFault.failed(code: errno)
        }
    }

    private func waitForPager() {
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&request, 1, -1)
    }

    /// Hands over what is left, ends the input and waits until the person leaves the pager.
    package func close() {
        guard descriptor >= 0 else { return }
        // Left before the end: then nobody wants the rest.
        try? drain(downTo: 0)
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
