// `apus sql`: statements by flag, file, pipe, or typed.

import ApusClient
import ApusStorage
import ApusTools
import ArgumentParser
import Glibc

struct SQLCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sql",
        abstract: "Asks in SQL, interactively on a terminal or in scripts.",
        usage: "apus sql [-e SQL | -f FILE] [--url URL | --data DIR] [--db DB] [OPTIONS]",
        discussion: """
            Speaks to a running server, or with --data opens a directory that no server holds. \
            Statements end with `;`. The first one that fails ends a script with exit code 1; \
            65 and 66 say that a directory is no store or not there, 69 that the server can't be \
            reached, 75 that another process holds the directory. \
            In a session, `\\?` lists what else can be typed.

            Examples:
              apus sql
              apus sql --db metrics -e "SELECT host, avg(usage) FROM cpu GROUP BY host"
              apus sql -e "SHOW DATABASES" --format json
              apus sql --data ./apus-data -f report.sql --format csv > report.csv
              echo "SELECT count(*) FROM cpu" | apus sql --url http://db.example:8086
            """)

    @Option(
        name: [.customShort("e"), .customLong("execute")],
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "Statements to run, separated by `;`; may be repeated.", valueName: "sql"))
    var statements: [String] = []

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp("A file of statements, after those of -e; - is standard input."))
    var file: String?

    @Option(help: ArgumentHelp("The database that names without one mean.", valueName: "name"))
    var db: String?

    @Option(help: "Where the server listens: http://HOST:PORT, with a path prefix if need be.")
    var url: String?

    @Option(help: ArgumentHelp("A data directory to open instead.", valueName: "dir"))
    var data: String?

    @Option(help: "The token for a server that wants one; APUS_TOKEN keeps it out of sight.")
    var token: String?

    @Option(help: "How answers are written: table, csv, json or ndjson.")
    var format: OutputFormat = .table

    @Option(help: ArgumentHelp("How a table shows NULL.", valueName: "text"))
    var null = "NULL"

    @Flag(help: "Say how long each statement took.")
    var timing = false

    func validate() throws {
        if url != nil, data != nil {
            throw ValidationError("--url and --data exclude each other: a server, or a directory")
        }
        if data == nil { _ = try serverSource() }
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    private func serverSource() throws -> ServerSource {
        do throws(ServerAddressError) {
            return try ServerSource(
                url: url ?? TargetOptions.defaultURL, token: TargetOptions.token(given: token))
        } catch {
            throw ValidationError(error.description)
        }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        let isTyped =
            statements.isEmpty && file == nil && Terminal.isTerminal(STDIN_FILENO)
            && Terminal.isTerminal(STDOUT_FILENO)
        // Before the store makes its threads.
        if isTyped { Interrupts.block() }
        guard let data else {
            try finish(run(on: serverSource(), isTyped: isTyped))
            return
        }
        let store: StoreSource
        do throws(TransferFailure) {
            store = try StoreSource(directory: data, options: TargetOptions.storeOptions())
        } catch {
            throw Failure.exit(error)
        }
        let outcome = run(on: store, isTyped: isTyped)
        do throws(TransferFailure) { try store.close() } catch { throw Failure.exit(error) }
        try finish(outcome)
    }

    private func run(on source: any StatementSource, isTyped: Bool) -> Outcome {
        let session = Session(
            source: source, console: console(), interrupts: isTyped ? Interrupts() : nil)
        session.database = db ?? "default"
        session.format = format
        session.isTimed = timing
        session.nullText = null
        if isTyped {
            return Shell(session, history: History.standard(environment: Self.variable))
                .run(listsFirst: db == nil)
        }
        var runner = ScriptRunner(session)
        for text in statements {
            let outcome = runner.run(text)
            guard outcome == .done else { return outcome }
        }
        guard statements.isEmpty || file != nil else { return .done }
        return run(file: file ?? "-", &runner)
    }

    private func run(file: String, _ runner: inout ScriptRunner) -> Outcome {
        let descriptor = file == "-" ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC)
        defer { if descriptor > STDIN_FILENO { close(descriptor) } }
        guard descriptor >= 0, let outcome = runner.run(descriptor: descriptor) else {
            let name = file == "-" ? "standard input" : file
            Failure.report("\(name): \(errnoText(errno))")
            return .outputFailed(code: 0)
        }
        return outcome
    }

    private func console() -> Console {
        let isTerminal = Terminal.isTerminal(STDOUT_FILENO)
        let hasPerson = isTerminal && Terminal.isTerminal(STDIN_FILENO)
        return Console(
            output: DescriptorOutput(STDOUT_FILENO), errors: DescriptorOutput(STDERR_FILENO),
            terminalSize: { isTerminal ? Terminal.size(STDOUT_FILENO) : nil },
            pagerCommand: hasPerson ? Pager.command(environment: Self.variable) : nil)
    }

    private func finish(_ outcome: Outcome) throws {
        switch outcome {
        case .done, .outputClosed: return
        case .failed: throw ExitCode(1)
        case .unreachable: throw ExitCode(ExitCodes.unavailable)
        case .interrupted: throw ExitCode(128 + SIGINT)
        case .outputFailed(0): throw ExitCode(ExitCodes.inputOutput)
        case .outputFailed(let code):
            throw Failure.exit(
                ExitCodes.inputOutput, "standard output: \(errnoText(code))")
        }
    }
}

extension OutputFormat: ExpressibleByArgument {}
