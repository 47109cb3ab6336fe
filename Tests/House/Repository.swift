// The files of this package, as the house tests look at them.

import Foundation

/// One text file with its path relative to the root of the package.
struct SourceFile: Sendable {
    var path: String
    var text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// The lines without those that are only a comment, numbered from 1.
    var codeLines: [(number: Int, text: Substring)] {
        lines.enumerated().compactMap { index, line in
            let isComment = line.drop { $0 == " " }.hasPrefix("//")
            return isComment ? nil : (index + 1, line)
        }
    }
}

enum Repository {
    /// Two folders above this file's.
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static let skippedFolders: Set<String> = [".git", "apus-data", "Golden", "Corpus"]
    private static let textEndings: Set<String> = [
        "swift", "md", "c", "cc", "h", "sh", "json", "yml", "toml", "test", "txt", "modulemap",
    ]
    private static let textNames: Set<String> = ["Makefile", ".swift-format", ".gitignore", "run"]

    /// Every text file, build folders left out.
    static let files: [SourceFile] = {
        let keys: [URLResourceKey] = [.isDirectoryKey]
        guard let all = FileManager.default.enumerator(at: root, includingPropertiesForKeys: keys)
        else { return [] }
        var found: [SourceFile] = []
        for case let url as URL in all {
            let name = url.lastPathComponent
            if (try? url.resourceValues(forKeys: Set(keys)).isDirectory) == true {
                if skippedFolders.contains(name) || name.hasPrefix(".build") {
                    all.skipDescendants()
                }
                continue
            }
            guard textEndings.contains(url.pathExtension) || textNames.contains(name),
                let text = try? String(contentsOf: url, encoding: .utf8)
            else { continue }
            let path = url.standardizedFileURL.path.dropFirst(root.standardizedFileURL.path.count)
            found.append(SourceFile(path: String(path.drop { $0 == "/" }), text: text))
        }
        return found.sorted { $0.path < $1.path }
    }()

    static var swiftFiles: [SourceFile] { files.filter { $0.path.hasSuffix(".swift") } }
    static var sources: [SourceFile] { swiftFiles.filter { $0.path.hasPrefix("Sources/") } }
    static var documents: [SourceFile] { files.filter { $0.path.hasSuffix(".md") } }
}
