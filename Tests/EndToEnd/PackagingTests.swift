// What a release holds besides the binary: the manual page, completions, and the way onto a machine.

import ApusTestKit
import Glibc
import Testing

@Suite(.serialized) struct Packaging {
    private static let root =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    @Test func `the manual page has every command and every option that help shows`() throws {
        let page = try Shell.run([
            try Binary.path(), "documentation", "manual", "--date", "2026-01-31",
        ])
        let plain = page.output.replacing("\\-", with: "-").replacing("\\(aq", with: "'")
        #expect(page.code == 0 && plain.hasPrefix(".TH APUS 1 \"2026-01-31\""))
        for command in try Self.commands() {
            #expect(plain.contains("\n.SS apus \(command)\n"), "\(command)")
            for word in try Binary.run([command, "--help"]).output.split(
                whereSeparator: \.isWhitespace)
            where word.hasPrefix("--") {
                let name = word.prefix { $0 == "-" || $0.isLetter || $0.isNumber }
                if name == "--" || name == "--help" || name == "--version" { continue }
                #expect(plain.contains("\\fB\(name)\\fR"), "\(command) \(name)")
            }
        }
        #expect(plain.contains(".B APUS_LINE_TCP"))
        #expect(!plain.contains("documentation"))
    }

    @Test func `the manual page is good roff`() throws {
        guard access("/usr/bin/mandoc", X_OK) == 0 else { return }
        let script =
            "'\(try Binary.path())' documentation manual --date 2026-01-31 | mandoc -Tlint -W warning"
        let result = try Shell.run(["/bin/sh", "-c", script])
        #expect(result.output == "", "\(result.output)")
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func `completions know every command`(_ shell: String) throws {
        let script = try Shell.run([try Binary.path(), "--generate-completion-script", shell])
            .output
        for command in try Self.commands() { #expect(script.contains(command), "\(command)") }
        let program = "/usr/bin/\(shell)"
        guard access(program, X_OK) == 0 else { return }
        let check = "'\(try Binary.path())' --generate-completion-script \(shell) | \(program) -n"
        #expect(try Shell.run(["/bin/sh", "-c", check]).code == 0)
    }

    @Test func `installing and uninstalling leave what was there`() throws {
        let directory = TemporaryDirectory()
        let stage = directory.path + "/stage"
        let target = directory.path + "/target"
        let staged = try Shell.run([Self.root + "/scripts/stage.sh", try Binary.path(), stage])
        #expect(staged.code == 0, "\(staged.errors)")
        func install(_ action: String) throws -> (code: Int32, output: String, errors: String) {
            try Shell.run([
                "/usr/bin/env", "PREFIX=/usr/local", "DESTDIR=\(target)", stage + "/install.sh",
                action,
            ])
        }
        func files() throws -> [String] {
            try Shell.run(["/usr/bin/find", target, "-type", "f", "-printf", "%P\n"]).output
                .split(separator: "\n").map(String.init).sorted()
        }
        #expect(try install("install").code == 0)
        #expect(
            try files() == [
                "etc/apus/apus.toml", "usr/local/bin/apus",
                "usr/local/lib/systemd/system/apus.service",
                "usr/local/lib/sysusers.d/apus.conf",
                "usr/local/share/bash-completion/completions/apus",
                "usr/local/share/fish/vendor_completions.d/apus.fish",
                "usr/local/share/man/man1/apus.1", "usr/local/share/zsh/site-functions/_apus",
            ])
        let unit = try Shell.run([
            "/bin/cat", target + "/usr/local/lib/systemd/system/apus.service",
        ])
        #expect(
            unit.output.contains(
                "ExecStart=/usr/local/bin/apus serve --config /etc/apus/apus.toml\n"))
        #expect(!unit.output.contains("@PREFIX") && !unit.output.contains("@SYSCONFDIR"))

        let check = try Shell.run([
            target + "/usr/local/bin/apus", "serve", "--check-config", "--config",
            target + "/etc/apus/apus.toml",
        ])
        #expect(check.code == 0 && check.output.contains("/var/lib/apus"), "\(check.errors)")

        _ = try Shell.run(["/bin/sh", "-c", "echo '# mine' >> \(target)/etc/apus/apus.toml"])
        #expect(try install("install").output.contains("kept: "))
        #expect(try install("uninstall").code == 0)
        #expect(try files() == ["etc/apus/apus.toml"])
        #expect(try install("nonsense").code == 64)
    }

    /// The commands that `apus --help` shows.
    private static func commands() throws -> [String] {
        let help = try Binary.run(["--help"]).output
        let lines = help.split(separator: "\n", omittingEmptySubsequences: false)
        guard let start = lines.firstIndex(where: { $0.hasPrefix("SUBCOMMANDS:") }) else {
            return []
        }
        let names = lines[(start + 1)...].prefix { !$0.isEmpty }
            .filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") }
            .compactMap { $0.split(separator: " ").first.map(String.init) }
        #expect(names.contains("serve"))
        return names
    }
}

enum Shell {
    /// Runs any program to its end.
    static func run(_ arguments: [String]) throws -> (code: Int32, output: String, errors: String) {
        let directory = TemporaryDirectory()
        let flags = O_CREAT | O_RDWR | O_CLOEXEC
        let output = open(directory.path + "/out", flags, 0o600)
        let errors = open(directory.path + "/err", flags, 0o600)
        defer {
            close(output)
            close(errors)
        }
        let process = try Binary.spawn(arguments, output: output, errors: errors)
        let code = Binary.wait(process)
        return (code, contents(output), contents(errors))
    }

    private static func contents(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
    }
}
