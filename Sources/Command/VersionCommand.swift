// `apus version`: what this is, for bug reports.

import ApusBuildCommit
import ApusServer
import ApusStorage
import ArgumentParser

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Prints version, commit and format number.",
        discussion: """
            Example:
              apus version
            """)

    /// The number of the newest format on disk that this release writes.
    static let formatNumber = max(
        UInt32(Manifest.formatNumber), UInt32(SegmentLayout.formatNumber), CatalogFile.format)

    static var text: String {
        "apus \(ServerVersion.apus) commit \(String(cString: apus_build_commit())) format \(formatNumber)"
    }

    func run() { print(Self.text) }
}
