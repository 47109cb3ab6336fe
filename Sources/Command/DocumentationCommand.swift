// `apus documentation`: what is printed into documents at build time. Hidden from help.

import ApusConfiguration
import ApusServer
import ArgumentParser
import Glibc

struct DocumentationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "documentation",
        abstract: "Prints pieces of the documentation.",
        discussion: """
            Examples:
              apus documentation settings
              apus documentation manual --date 2026-01-31 > apus.1
            """,
        shouldDisplay: false,
        subcommands: [Settings.self, Configuration.self, Manual.self])

    struct Settings: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the settings as the table of docs/configuration.md.")

        func run() { Failure.write(text: Setting.markdown, to: STDOUT_FILENO) }
    }

    struct Configuration: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints an example of a configuration file.")

        func run() { Failure.write(text: Setting.exampleFile, to: STDOUT_FILENO) }
    }

    struct Manual: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the manual page of all commands.")

        @Option(help: "The date on the page.")
        var date: String

        func run() throws {
            let page = try ManualPage(
                dump: RootCommand._dumpHelp(), version: ServerVersion.apus, date: date)
            Failure.write(text: page.text, to: STDOUT_FILENO)
        }
    }
}
