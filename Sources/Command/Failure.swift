// One clear line on standard error, and the exit code that scripts go by.

import ApusServer
import ApusStorage
import ApusTools
import ArgumentParser
import Glibc

enum Failure {
    static func exit(_ code: Int32, _ text: String) -> ExitCode {
        report(text)
        return ExitCode(code)
    }

    static func report(_ text: String) {
        say("apus: " + text.replacing("\n", with: " "), to: STDERR_FILENO)
    }

    /// A sentence, folded where a terminal shows it.
    static func say(_ text: String, to descriptor: Int32) {
        for line in TextFold.lines(text, columnCount: Terminal.columnCount(descriptor)) {
            write(line: line, to: descriptor)
        }
    }

    /// One call a line, past the C library's buffers; more where a pipe takes a part at a time.
    static func write(line: String, to descriptor: Int32) {
        write(text: line + "\n", to: descriptor)
    }

    static func write(text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            // Safe: the bytes are read by the call alone.
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    static func exit(_ fault: ServerFault) -> ExitCode {
        switch fault {
        case .refused: exit(ExitCodes.usage, fault.description)
        case .listen: exit(ExitCodes.unavailable, fault.description)
        case .store(let error): exit(error)
        }
    }

    static func exit(_ failure: TransferFailure) -> ExitCode {
        exit(failure.exitCode, failure.description)
    }

    static func exit(_ error: StorageError) -> ExitCode {
        exit(ExitCodes.code(for: error), error.description)
    }
}
