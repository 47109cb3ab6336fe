// The command `apus`: nothing but its subcommands.

import ArgumentParser

@main
struct RootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "A columnar time-series database.",
        subcommands: [CollectCommand.self])
}
