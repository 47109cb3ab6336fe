// Rules of the house that a formatter cannot check.

import Foundation
import Testing

@Suite struct LintTests {
    @Test func `the files of this package are found`() {
        #expect(Repository.sources.count > 20)
        #expect(Repository.files.contains { $0.path == "Package.swift" })
    }

    @Test func `no Swift file is longer than 500 lines`() {
        for file in Repository.swiftFiles where file.lines.count > HouseRules.lineCountMax + 1 {
            Issue.record("\(file.path): \(file.lines.count) lines; look for the second concept")
        }
    }

    @Test func `no type is called by a word that says nothing`() {
        let declaration = /\b(?:struct|class|enum|actor|protocol|typealias)\s+([A-Za-z0-9_]+)/
        for file in Repository.swiftFiles {
            for line in file.codeLines {
                guard let match = line.text.firstMatch(of: declaration) else { continue }
                for ending in HouseRules.bannedTypeNameEndings where match.1.hasSuffix(ending) {
                    Issue.record("\(file.path):\(line.number): \(match.1)")
                }
            }
        }
    }

    @Test func `imports run downwards only`() {
        let statement =
            /^\s*(?:@\w+\s+)*(?:public |package |internal |private |fileprivate )?import (?:struct |class |enum |protocol |func |typealias )?([A-Za-z0-9_]+)/
        for file in Repository.sources {
            let folder = file.path.split(separator: "/")[1]
            guard let allowed = HouseRules.importsAllowed[String(folder)] else {
                Issue.record("\(file.path): the layer \(folder) is not in HouseRules")
                continue
            }
            for line in file.codeLines {
                guard let match = line.text.firstMatch(of: statement) else { continue }
                let module = String(match.1)
                if !allowed.contains(module), !HouseRules.systemModules.contains(module) {
                    Issue.record("\(file.path):\(line.number): \(folder) may not import \(module)")
                }
            }
        }
    }

    @Test func `unsafe code is in its places and says why it is safe`() {
        for file in Repository.sources {
            let uses = file.codeLines.filter { line in
                HouseRules.unsafeWords.contains { line.text.contains($0) }
            }
            guard let first = uses.first else { continue }
            let place = file.path.dropFirst("Sources/".count)
            if !HouseRules.unsafePlaces.contains(where: { place.hasPrefix($0) }) {
                Issue.record("\(file.path):\(first.number): unsafe code outside of its places")
            }
            if !file.text.contains("Safe:") {
                Issue.record("\(file.path):\(first.number): no comment says `Safe:` and why")
            }
        }
    }

    @Test func `what is left to do has a reason`() {
        // Put together here, so that this file does not report itself.
        let marks = ["TO" + "DO", "FIX" + "ME"]
        for file in Repository.files {
            for (index, line) in file.lines.enumerated() {
                for mark in marks {
                    guard let range = line.range(of: "\\b\(mark)\\b", options: .regularExpression),
                        !line[range.upperBound...].hasPrefix("(")
                    else { continue }
                    Issue.record("\(file.path):\(index + 1): \(mark) needs a (reason)")
                }
            }
        }
    }

    @Test func `no file speaks of the place it was written in`() {
        let places = ["../" + "shared", "/wo" + "rk/"]
        for file in Repository.files {
            for place in places where file.text.contains(place) {
                Issue.record("\(file.path) mentions \(place)")
            }
        }
    }

    @Test func `what has to pass before a change lands runs the tests that everyone runs`() {
        func lines(_ path: String) -> [Substring] {
            Repository.files.first { $0.path == path }?.lines ?? []
        }
        let script = lines(".ci/run")
        #expect(script.first?.hasPrefix("#!") == true && script.contains("make test"))
        #expect(script.contains { $0.hasPrefix("set -e") }, "a failure must not be passed over")
        #expect(FileManager.default.isExecutableFile(atPath: Repository.root.path + "/.ci/run"))
        let recipe = lines("Makefile").drop { $0 != "test:" }.dropFirst().prefix {
            $0.hasPrefix("\t")
        }
        #expect(recipe.contains { $0.contains("swift test") && !$0.contains("--filter") })
    }

    @Test func `the package can be depended upon`() {
        let manifest = Repository.files.first { $0.path == "Package.swift" }
        #expect(manifest?.text.contains("unsafeFlags") == false)
    }
}
