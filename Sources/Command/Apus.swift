// The command `apus`: nothing but its subcommands.

import ApusTools
import ArgumentParser
import Glibc

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

    /// The parser's own errors come with its usage in several lines; ours are always one.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            var message = message(for: error)
            // What a command has reported itself carries no message.
            guard exitCode(for: error) == .validationFailure, !message.isEmpty else {
                exit(withError: error)
            }
            while message.last == "." { message.removeLast() }
            Failure.report("\(message). Usage: \(calledCommand) --help")
            Glibc.exit(ExitCodes.usage)
        }
    }

    /// `apus serve`, or `apus` where no command was found.
    private static var calledCommand: String {
        let names = Set(configuration.subcommands.compactMap { $0.configuration.commandName })
        let called = CommandLine.arguments.dropFirst().first { names.contains($0) }
        return ["apus", called].compactMap { $0 }.joined(separator: " ")
    }
}
