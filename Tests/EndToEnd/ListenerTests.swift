// The listeners of the real binary: which there are, who may reach them, what they are told.

import ApusTestKit
import Foundation
import Glibc
import Testing

/// The sockets of a process: TCP ones that listen, and UDP ones.
private func sockets(of process: pid_t) throws -> (tcp: Int, udp: Int) {
    let descriptors = "/proc/\(process)/fd"
    let files = FileManager.default
    var own: Set<String> = []
    for name in try files.contentsOfDirectory(atPath: descriptors) {
        let target = try? files.destinationOfSymbolicLink(atPath: "\(descriptors)/\(name)")
        guard let target, target.hasPrefix("socket:[") else { continue }
        own.insert(String(target.dropFirst(8).dropLast()))
    }
    /// Rows of this state; column 3 has it, column 9 the socket's number.
    func count(_ table: String, _ state: String) throws -> Int {
        let text = try String(contentsOfFile: "/proc/net/\(table)", encoding: .utf8)
        return text.split(separator: "\n").dropFirst().count { line in
            let words = line.split(separator: " ")
            return words.count > 9 && words[3] == state && own.contains(String(words[9]))
        }
    }
    return (
        try count("tcp", "0A") + count("tcp6", "0A"), try count("udp", "07") + count("udp6", "07")
    )
}

@Suite(.serialized) struct Listeners {
    private static let off = [
        "--http", "off", "--line-tcp", "off", "--line-udp", "off",
    ]

    private func refusal(_ arguments: [String]) throws -> (code: Int32, errors: String) {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        let result = try Binary.run(["serve", "--data", data] + Self.off + arguments)
        #expect(result.output == "", "\(arguments): \(result.output)")
        #expect(access(data, F_OK) != 0, "\(arguments): a refused start made the directory")
        return (result.code, result.errors)
    }

    @Test func `a listener that is off is not there, and port 0 takes a free one`() throws {
        for (flag, tcp, udp) in [
            ("", 2, 1), ("http", 1, 1), ("line-tcp", 1, 1), ("line-udp", 2, 0),
        ] {
            let directory = TemporaryDirectory()
            let server = try ServerProcess(
                data: directory.path, arguments: flag.isEmpty ? [] : ["--\(flag)", "off"])
            let found = try sockets(of: server.processID)
            #expect(found.tcp == tcp && found.udp == udp, "\(flag): \(found)")
            let ports = [
                ("http", server.httpPort), ("line-tcp", server.tcpPort),
                ("line-udp", server.udpPort),
            ]
            for (name, port) in ports {
                #expect((port == 0) == (name == flag), "\(server.readyLine)")
                #expect(server.readyLine.contains(" \(name)=off ") == (name == flag))
            }
            for port in [server.httpPort, server.tcpPort] where port > 0 {
                _ = try LoopbackConnection(port: port)
            }
            #expect(server.stop() == 0)
        }
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path, arguments: Self.off)
        let none = try sockets(of: server.processID)
        #expect(none.tcp == 0 && none.udp == 0)
        #expect(server.readyLine.hasPrefix("apus ready http=off line-tcp=off line-udp=off data="))
        #expect(server.stop() == 0)
    }

    @Test func `what is not built is no flag, no endpoint and no word of the ready line`() throws {
        for flag in ["--pg", "--graphite", "--collectd", "--opentsdb", "--otlp"] {
            let refused = try refusal([flag, "127.0.0.1:0"])
            #expect(refused.code == 64 && refused.errors.contains(flag), "\(refused)")
            #expect(try refusal([flag, "off"]).code == 64)
        }
        let session = try Session()
        for target in ["/", "/index.html", "/console", "/?q=1"] {
            let answer = try session.client.request("GET", target)
            #expect(
                answer.status == 404 && answer.text.hasPrefix(#"{"error":{"code":"not_found""#),
                "\(target): \(answer.text)")
        }
    }

    @Test func `a listener that others can reach is refused in one line without a reason to be`()
        throws
    {
        let directory = TemporaryDirectory()
        let tokens = directory.path + "/tokens"
        try "owner admin\n".write(toFile: tokens, atomically: true, encoding: .utf8)
        for host in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "*:0", ":0", "host.example:0"] {
            for (flag, remedy, others) in [
                ("--http", "--token-file", ["--allow", "192.0.2.0/24"]),
                ("--line-tcp", "--allow", ["--token-file", tokens]),
                ("--line-udp", "--allow", ["--token-file", tokens]),
            ] {
                // What opens the others does not open this one.
                for more in [[], others] {
                    let refused = try refusal([flag, host] + more)
                    #expect(refused.code == 64, "\(flag) \(host) \(more)")
                    #expect(
                        refused.errors.contains(flag) && refused.errors.contains(remedy)
                            && refused.errors.split(separator: "\n").count == 1,
                        "\(refused.errors)")
                }
            }
        }
    }

    @Test func `a token file, senders or consent open it`() throws {
        let directory = TemporaryDirectory()
        let tokens = directory.path + "/tokens"
        try "owner admin\n".write(toFile: tokens, atomically: true, encoding: .utf8)
        for arguments in [
            ["--http", "0.0.0.0:0", "--token-file", tokens],
            ["--line-tcp", "0.0.0.0:0", "--allow", "127.0.0.0/8"],
            ["--line-udp", "0.0.0.0:0", "--allow", "127.0.0.0/8"],
            [
                "--http", "0.0.0.0:0", "--line-tcp", "0.0.0.0:0", "--line-udp", "0.0.0.0:0",
                "--allow-unauthenticated",
            ],
        ] {
            let server = try ServerProcess(
                data: directory.path + "/data", arguments: Self.off + arguments)
            #expect(server.readyLine.contains("=0.0.0.0:"), "\(server.readyLine)")
            #expect(server.stop() == 0)
        }
        // Loopback needs none.
        for host in ["127.0.0.1:0", "localhost:0", "127.8.8.8:0"] {
            let server = try ServerProcess(
                data: directory.path + "/data",
                arguments: ["--http", host, "--line-tcp", host, "--line-udp", host])
            #expect(server.stop() == 0)
        }
    }

    @Test func `a line listener is told its database and unit, and nothing else`() throws {
        for flag in ["--line-tcp", "--line-udp"] {
            for (query, reason) in [
                ("db=a%0Ab", "control characters"), ("db=%FF", "UTF-8"),
                ("precision=day", "precision"),
                ("precision=ms&x=1", "unknown option x"), ("db=", "unknown option db"),
            ] {
                let refused = try refusal([flag, "127.0.0.1:0?\(query)"])
                #expect(refused.code == 64 && refused.errors.contains(reason), "\(refused)")
                #expect(refused.errors.contains(flag), "\(refused)")
            }
        }
        #expect(try refusal(["--http", "127.0.0.1:0?db=x"]).code == 64)
    }

    @Test func `version says version, commit and format`() throws {
        let result = try Binary.run(["version"])
        #expect(result.code == 0 && result.errors == "")
        let line = /apus \d+\.\d+\.\d+ commit (unknown|[0-9a-f]{7,40}\+?) format 3\n/
        #expect(result.output.wholeMatch(of: line) != nil, "\(result.output)")
        #expect(try Binary.run(["--version"]).output == result.output)
    }
}
