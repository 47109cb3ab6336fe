// The scripts behind `make run` and `make test`: what they install and ask of the machine, and the
// server with this host's numbers.

import ApusTestKit
import Glibc
import Testing

private let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

/// A machine of stubs: what `setup.sh` asks and calls is answered and written down by these.
private final class StubMachine {
    private let directory = TemporaryDirectory()
    private var log: String { directory.path + "/log" }

    /// - Parameters:
    ///   - swift: the version that it says, nil for none installed.
    ///   - missing: packages that are not installed.
    ///   - listed: whether apt knows packages before its lists are fetched.
    init(
        swift: String? = "6.2.1", missing: [String] = [], user: Int = 1_000,
        hasSudo: Bool = false, listed: Bool = true
    ) throws {
        // What the script needs besides; nothing else of this machine is on its path.
        for tool in ["sed", "head", "sort", "grep", "env"] {
            let places = ["/usr/bin/", "/bin/"].map { $0 + tool }
            guard let place = places.first(where: { access($0, X_OK) == 0 }) else {
                throw ClientFault("no \(tool) here")
            }
            symlink(place, "\(directory.path)/\(tool)")
        }
        if let swift { try stub("swift", "echo 'Swift version \(swift) (swift-\(swift)-RELEASE)'") }
        let names = missing.isEmpty ? "-" : missing.joined(separator: "|")
        try stub("dpkg-query", "case $4 in \(names)) exit 1 ;; *) printf installed ;; esac")
        try stub(
            "apt-cache",
            listed ? "echo \"$2:\"; echo '  Candidate: 1.0'" : "echo '  Candidate: (none)'")
        // Whoever asks a question would wait for the standard input.
        try stub(
            "apt-get",
            "echo \"apt-get $* as ${DEBIAN_FRONTEND:-someone who asks}\" >>'\(log)'; read answer && echo 'asked' >>'\(log)'; exit 0"
        )
        try stub("id", "echo \(user)")
        if hasSudo {
            try stub(
                "sudo",
                "[ \"$1\" = -n ] || exit 1\nshift\n[ \"$1\" = true ] || echo sudo >>'\(log)'\nexec \"$@\""
            )
            symlink("/bin/true", directory.path + "/true")
        } else {
            try stub("sudo", "echo 'a password is required' >&2; exit 1")
        }
    }

    private func stub(_ name: String, _ body: String) throws {
        let text = "#!/bin/sh\n\(body)\n"
        let descriptor = open("\(directory.path)/\(name)", O_CREAT | O_WRONLY | O_CLOEXEC, 0o700)
        guard write(descriptor, text, text.utf8.count) == text.utf8.count else {
            throw ClientFault("\(name): errno \(errno)")
        }
        close(descriptor)
    }

    func setup(_ purpose: String) throws -> (code: Int32, output: String, errors: String) {
        try Shell.run([
            "/usr/bin/env", "-i", "PATH=\(directory.path)", "/bin/bash",
            root + "/scripts/setup.sh", purpose,
        ])
    }

    /// What was run with consequences.
    var calls: [String] { TextFile.text(log).split(separator: "\n").map(String.init) }
}

@Suite(.serialized) struct `What a machine needs` {
    /// Of `run`; commands among them count as packages here, since no command is on the path.
    private static let packages = [
        "libzstd-dev", "liblz4-dev", "zlib1g-dev", "libisal-dev", "libre2-dev", "pkg-config",
        "curl",
        "ca-certificates",
    ]

    @Test func `where nothing is missing nothing is said or done`() throws {
        let machine = try StubMachine()
        for purpose in ["run", "test"] {
            let result = try machine.setup(purpose)
            #expect(result.code == 0 && result.output == "" && result.errors == "", "\(result)")
        }
        #expect(machine.calls == [])
    }

    @Test func `root installs what is missing, says so, and is asked nothing`() throws {
        let machine = try StubMachine(missing: ["libre2-dev", "curl"], user: 0)
        let result = try machine.setup("run")
        #expect(result.code == 0 && result.output == "", "\(result)")
        #expect(
            result.errors == "setup: installing Debian packages: libre2-dev curl\n",
            "\(result.errors)")
        #expect(
            machine.calls == [
                "apt-get install -y -qq --no-install-recommends libre2-dev curl as noninteractive"
            ])
    }

    @Test func `a sudo without password is used, and the lists are fetched where they are absent`()
        throws
    {
        let machine = try StubMachine(missing: ["python3"], hasSudo: true, listed: false)
        let forRun = try machine.setup("run")
        #expect(forRun.code == 0 && forRun.errors == "" && machine.calls == [])
        let result = try machine.setup("test")
        #expect(result.code == 0 && result.errors.contains("python3"), "\(result)")
        #expect(
            machine.calls == [
                "sudo", "apt-get update -qq as noninteractive", "sudo",
                "apt-get install -y -qq --no-install-recommends python3 as noninteractive",
            ])
    }

    @Test func `without root or sudo the line to type is printed, exit 69, and nothing is run`()
        throws
    {
        let machine = try StubMachine(missing: Self.packages + ["python3"])
        for (purpose, packages) in [("run", Self.packages), ("test", Self.packages + ["python3"])] {
            let result = try machine.setup(purpose)
            #expect(result.code == 69 && result.output == "", "\(result)")
            let line =
                "sudo apt-get update && sudo apt-get install -y --no-install-recommends "
                + packages.joined(separator: " ")
            #expect(
                result.errors.split(separator: "\n").contains { $0.hasSuffix("    " + line) },
                "\(result.errors)")
        }
        #expect(machine.calls == [])
    }

    @Test(arguments: [nil, "5.10.1", "6.1"])
    func `a Swift that is missing or too old is one line and exit 69`(_ version: String?) throws {
        let machine = try StubMachine(swift: version, missing: Self.packages, user: 0)
        let result = try machine.setup("run")
        #expect(result.code == 69 && result.output == "", "\(result)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(result.errors.contains("Swift") && result.errors.contains("6.2"))
        if let version { #expect(result.errors.contains(version)) }
        #expect(machine.calls == [], "nothing is installed for a build that cannot be")
    }
}

@Suite(.serialized) struct `The server with this host's numbers` {
    /// Processes whose parent this is.
    private static func children(of parent: pid_t) -> [pid_t] {
        guard let stream = opendir("/proc") else { return [] }
        defer { closedir(stream) }
        var children: [pid_t] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let process = pid_t(name) else { continue }
            // `pid (name) state parent …`; a name may hold anything but ends with the last `)`.
            let text = TextFile.text("/proc/\(name)/stat")
            guard let end = text.lastIndex(of: ")") else { continue }
            let words = text[end...].split(separator: " ")
            if words.count > 2, pid_t(words[2]) == parent { children.append(process) }
        }
        return children
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func `run starts server and collector, shows rows, and ends both`(_ signal: Int32) throws {
        let directory = TemporaryDirectory()
        let paths = (output: directory.path + "/out", errors: directory.path + "/err")
        let flags = O_CREAT | O_RDWR | O_CLOEXEC
        let output = open(paths.output, flags, 0o600)
        let errors = open(paths.errors, flags, 0o600)
        // Signals that a test's thread blocks or ignores would stay so in a shell.
        let script = try Binary.spawn(
            [
                "/usr/bin/env", "--default-signal", root + "/scripts/run.sh", try Binary.path(),
                "--data", directory.path + "/data", "--http", "127.0.0.1:0", "--line-tcp",
                "127.0.0.1:0", "--line-udp", "127.0.0.1:0",
            ], output: output, errors: errors)
        close(output)
        close(errors)
        defer { kill(script, SIGKILL) }
        #expect(TextFile.gains("apus ready http=127.0.0.1:", paths.output))
        #expect(TextFile.gains("Ctrl-C stops both.", paths.output))
        let text = TextFile.text(paths.output)
        let lines = text.split(separator: "\n")
        #expect(lines.first?.hasPrefix("apus ready http=") == true, "\(text)")
        #expect(text.contains("This host's numbers arrive: "), "\(text)")
        #expect(text.contains(#"usage_user"#), "\(text)")

        let port =
            lines[0].split(separator: " ").first { $0.hasPrefix("http=") }?
            .split(separator: ":").last.flatMap { Int($0) } ?? 0
        do {
            let client = try LoopbackConnection(port: port)
            let rows = try client.rows("SELECT count(*) FROM cpu")
            #expect(Int(rows.filter(\.isNumber)) ?? 0 > 0, "\(rows)")
        }
        let children = Self.children(of: script)
        #expect(children.count >= 2)
        kill(script, signal)
        #expect(Binary.wait(script) == 0, "\(TextFile.text(paths.errors))")
        for child in children { #expect(kill(child, 0) != 0 && errno == ESRCH, "\(child)") }
        // A clean end: the server was asked once.
        #expect(TextFile.text(paths.errors).contains("stopped"))
        #expect((try? LoopbackConnection(port: port)) == nil)
    }

    @Test func `the exit code of a server that cannot start is the script's`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let result = try Shell.run([
            root + "/scripts/run.sh", try Binary.path(), "--data", directory.path, "--http",
            "127.0.0.1:0", "--line-tcp", "off", "--line-udp", "off",
        ])
        #expect(result.code == 75 && result.output == "", "\(result)")
        #expect(result.errors.contains("\(server.processID)"), "\(result.errors)")
    }
}
