// `apus documentation`: what is printed into documents at build time. Hidden from help.

import ApusConfiguration
import ArgumentParser
import Glibc

struct DocumentationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "documentation",
        abstract: "Prints pieces of the documentation.",
        discussion: """
            Example:
              apus documentation settings
            """,
        shouldDisplay: false,
        subcommands: [Settings.self])

    struct Settings: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the settings as the table of docs/configuration.md.")

        func run() { Failure.write(text: Setting.markdown, to: STDOUT_FILENO) }
    }
}
