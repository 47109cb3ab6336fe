// Files by which a store that lost its MANIFEST is known.

package enum StoreFiles {
    /// Whether a file has a store's name and place. Other people have folders called `log`, too.
    package static func exist(in fileSystem: any FileSystem) -> Bool {
        func names(_ directory: String) -> [String] { (try? fileSystem.list(directory)) ?? [] }
        func numberedFolders(_ directory: String) -> [String] {
            names(directory).filter { $0.hasSuffix("/") && Int64($0.dropLast()) != nil }
                .map { "\(directory)/\($0.dropLast())" }
        }
        return names(LogNames.directory).contains { LogNames.number(ofName: $0) != nil }
            || names("catalog").contains { $0.hasSuffix(".catalog") }
            || numberedFolders("data").flatMap(numberedFolders).flatMap(names)
                .contains { $0.hasSuffix(".segment") }
    }
}
