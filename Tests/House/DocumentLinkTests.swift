// Links between documents lead somewhere.

import Foundation
import Testing

@Suite struct DocumentLinkTests {
    @Test func `every relative link names a file, and its heading if it has one`() {
        for document in Repository.documents {
            for target in Self.links(in: document) {
                check(target, in: document)
            }
        }
    }

    private func check(_ target: String, in document: SourceFile) {
        let parts = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let folder = Repository.root.appendingPathComponent(document.path)
            .deletingLastPathComponent()
        let path = String(parts[0])
        let url =
            path.isEmpty
            ? Repository.root.appendingPathComponent(document.path)
            : folder.appendingPathComponent(path)
        guard FileManager.default.fileExists(atPath: url.path) else {
            Issue.record("\(document.path): \(target) does not exist")
            return
        }
        guard parts.count == 2, url.pathExtension == "md",
            let text = try? String(contentsOf: url, encoding: .utf8)
        else { return }
        if !Self.anchors(of: text).contains(String(parts[1])) {
            Issue.record("\(document.path): \(target) names no heading")
        }
    }

    /// Targets of `[text](target)` outside of code, other sites left out.
    private static func links(in document: SourceFile) -> [String] {
        var isCode = false
        var targets: [String] = []
        for line in document.lines {
            if line.hasPrefix("```") { isCode.toggle() }
            if isCode { continue }
            let plain = line.replacing(/`[^`]*`/, with: "")
            for match in plain.matches(of: /\]\(([^)\s]+)\)/)
            where !match.1.contains("://") && !match.1.hasPrefix("mailto:") {
                targets.append(String(match.1))
            }
        }
        return targets
    }

    /// Headings as the usual renderers turn them into anchors.
    private static func anchors(of text: String) -> Set<String> {
        let headings = text.split(separator: "\n").filter { $0.hasPrefix("#") }
        return Set(
            headings.map { heading in
                let words = heading.drop { $0 == "#" || $0 == " " }.lowercased()
                return String(
                    words.compactMap { character in
                        if character == " " { return "-" }
                        let isKept =
                            character.isLetter || character.isNumber || character == "-"
                            || character == "_"
                        return isKept ? character : nil
                    })
            })
    }
}
