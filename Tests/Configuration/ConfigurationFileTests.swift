import ApusConfiguration
import ApusServer
import Testing

@Suite struct ConfigurationFileTests {
    @Test func `strings, integers, booleans and arrays are read with their lines`() throws {
        let text = """
            \u{FEFF}# a comment
            data = "/var/\\u00e4pus\\t\\"x\\"" # behind a value
            'token-file' = 'C:\\tokens'\r

            memory = 2_147_483_648
              allow-unauthenticated=true
            allow = [ "192.0.2.0/24", # one
              '::1',
            ]
            allow-host = []
            """
        let entries = try ConfigurationFile(text: text, path: "f").entries
        #expect(
            entries.map(\.key) == [
                "data", "token-file", "memory", "allow-unauthenticated", "allow", "allow-host",
            ])
        #expect(
            entries.map(\.value) == [
                .string("/var/äpus\t\"x\""), .string("C:\\tokens"), .integer(2_147_483_648),
                .boolean(true), .strings(["192.0.2.0/24", "::1"]), .strings([]),
            ])
        #expect(entries.map(\.line) == [2, 3, 5, 6, 7, 10])
    }

    @Test(arguments: [
        ("[server]", "1: tables like [section] are not used here"),
        ("\n\na.b = 1", "3: dotted keys are not used here"),
        ("data", "1: expected = after the key 'data'"),
        ("data =", "1: data: there is no value"),
        ("data = \n\"x\"", "1: data: there is no value"),
        ("data = /var/lib", "1: data: put texts in quotes: \"/var/lib\""),
        ("http = 127.0.0.1:8086", "1: http: put texts in quotes"),
        ("memory = 1.5", "1: memory: '1.5' is no whole number"),
        ("memory = 010", "1: memory: a number does not begin with 0"),
        ("memory = 99999999999999999999", "1: memory: 99999999999999999999 is too large"),
        ("data = {x = 1}", "1: data: inline tables are not used here"),
        ("data = \"\"\"x\"\"\"", "1: strings over several lines are not used here"),
        ("data = \"x", "1: the string has no \" at its end"),
        ("data = \"\\q\"", "1: \\q is no escape"),
        ("data = \"\\ud800\"", "1: \\u and \\U need 4 hexadecimal digits"),
        ("data = \"x\" y", "1: expected the end of the line, found 'y'"),
        ("allow = [1]", "1: allow: arrays hold strings in quotes"),
        ("allow = [\"a\" \"b\"]", "1: allow: expected , or ] after a string"),
        ("allow = [\n\"a\",\n", "3: allow: the array has no ] at its end"),
        ("data = \"x\"\n\ndata = \"y\"", "3: 'data' is there twice, first in line 1"),
        ("= 1", "1: expected a key, found '='"),
    ])
    func `what is not understood is named with its line`(_ text: String, _ expected: String) {
        let error = #expect(throws: OptionError.self) {
            try ConfigurationFile(text: text, path: "apus.toml")
        }
        #expect(error?.description.hasPrefix("apus.toml:\(expected)") == true, "\(error as Any)")
    }

    @Test(arguments: [
        ("dta = \"x\"", "1: unknown key 'dta'; did you mean 'data'?"),
        ("\nline_tcp = \"off\"", "2: unknown key 'line_tcp'; did you mean 'line-tcp'?"),
        ("replication = 3", "1: unknown key 'replication'; known are data, http, "),
        ("config = \"x\"", "1: 'config' is a flag and no key of the file"),
        ("data = 3", "1: data: expected a string, like data = \"/var/lib/apus\", found an integer"),
        ("memory = true", "1: memory: expected a string or an integer, "),
        ("create-on-write = \"off\"", "1: create-on-write: expected true or false, "),
        ("allow = \"::1\"", "1: allow: expected an array of strings, "),
        ("http = \"nonsense\"", "1: http: 'nonsense' is not HOST:PORT (or off)"),
        ("\nallow = [\"::1\", \"host\"]", "2: allow: "),
        ("memory = 5", "1: memory: at least 32MiB are needed"),
        ("log-level = \"loud\"", "1: log-level: 'loud' is not trace, "),
        ("token-file = \"none\"", "1: token-file: none: no such file"),
    ])
    func `keys and values are checked as flags are, with file and line`(
        _ text: String, _ expected: String
    ) {
        let error = #expect(throws: OptionError.self) {
            let settings = try EffectiveSettings.inFile(text)
            _ = try settings.logLevel()
            _ = try settings.serverOptions(machineMemoryBytes: 8 << 30) {
                _ throws(OptionError) in throw OptionError("no such file")
            }
        }
        #expect(error?.description.hasPrefix("apus.toml:\(expected)") == true, "\(error as Any)")
    }

    @Test func `no cut or changed byte traps the reader`() {
        let text = Array("a = \"\\u00e4\\n\"\nb = ['x', # y\n]\nc = -1_0\r\nd = true".utf8)
        for index in text.indices {
            for byte in [UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "["), 0, 0x0A, 0xFF] {
                var changed = text
                changed[index] = byte
                for bytes in [Array(text[..<index]), changed] {
                    _ = try? ConfigurationFile(
                        text: String(decoding: bytes, as: UTF8.self), path: "f")
                }
            }
        }
    }
}

extension EffectiveSettings {
    /// What a file of this text says, with no flags and no environment.
    static func inFile(_ text: String) throws(OptionError) -> EffectiveSettings {
        try EffectiveSettings(flags: ["config": ["apus.toml"]], environment: Environment([:])) {
            _ in text
        }
    }
}
