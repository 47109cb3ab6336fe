// The command `apus`: nothing but its subcommands.

import ArgumentParser

@main
struct RootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "A columnar time-series database.",
        discussion: """
            Example:
              apus serve --data ./apus-data
            """,
        version: VersionCommand.text,
        subcommands: [
            ServeCommand.self,
            SQLCommand.self,
            ImportCommand.self,
            ExportCommand.self,
            CollectCommand.self,
            DemoCommand.self,
            BackupCommand.self,
            CheckCommand.self,
            InspectCommand.self,
            StatsCommand.self,
            VersionCommand.self,
            DocumentationCommand.self,
        ])
}
