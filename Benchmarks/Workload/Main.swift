// `apus-bench`: makes data sets and loads them into a server.

import ArgumentParser

@main
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus-bench",
        abstract: "Makes data sets of line protocol and loads them into a server.",
        discussion: """
            Examples:
              apus-bench generate cpu-only --hosts 100 --hours 24 --out cpu.lp
              apus-bench load cpu.lp --url http://127.0.0.1:8086/write?db=bench --pid 4711
            """,
        subcommands: [GenerateCommand.self, LoadCommand.self])
}
