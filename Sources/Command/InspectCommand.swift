// `apus inspect`: what is inside one file.

import ApusStorage
import ApusTools
import ArgumentParser
import Glibc

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Shows what is inside a segment, a log file, a catalog file or MANIFEST.",
        discussion: """
            Reads headers, footers, directories, a log's records and the first block of each \
            table, and changes nothing; a server may be running. Use apus check to verify every byte.

            Of the first block it says what each column would take in other encodings. The smallest \
            is chosen, unless it decodes slower and saves too little: a symbol table, which the \
            blocks of a column share, has to save 1 part in 32, XORs 1 in 16, LZ4 and Zstandard a \
            tenth of strings and a quarter of numbers.

            Exits with 0, 1 if something is damaged (what is readable is shown), 65 if it is no \
            file of Apus, 74 if it can't be read.

            Examples:
              apus inspect ./apus-data/MANIFEST
              apus inspect ./apus-data/data/1/1699920000000000000/000001.segment
              apus inspect --hex ./apus-data/log/000001.log | less
            """)

    @Argument(help: "The file.")
    var file: String

    @Flag(help: "Every piece of the file: where it is, its bytes, what they mean.")
    var hex = false

    @Flag(help: "All blocks and records, not only the first.")
    var all = false

    @Flag(help: "Prints one JSON object.")
    var json = false

    func validate() throws {
        guard !hex || !json else { throw ValidationError("--hex and --json exclude each other") }
    }

    func run() throws {
        let slash = file.lastIndex(of: "/")
        let directory = slash.map { $0 == file.startIndex ? "/" : String(file[..<$0]) } ?? "."
        let name = slash.map { String(file[file.index(after: $0)...]) } ?? file
        let width = Terminal.columnCount(STDOUT_FILENO) ?? .max
        let found: FileInspection?
        do throws(StorageError) {
            let fileSystem = try PosixFileSystem(root: directory, create: false)
            found = try FileInspection.read(fileSystem, name, blocksMax: all ? .max : 10)
            if hex {
                try FileInspection.annotate(fileSystem, name) { bytes, ranges in
                    HexText.lines(bytes, ranges, width: width == .max ? 120 : width) {
                        print($0)
                    }
                }
            }
        } catch { throw Failure.exit(error) }
        guard let inspection = found else {
            throw Failure.exit(
                ExitCodes.format,
                "\(file) is no file of Apus: no segment, log file, catalog file or MANIFEST "
                    + "begins like it")
        }
        if json {
            print(InspectionJSON.json(inspection).text)
        } else if !hex {
            for line in InspectionText.lines(inspection, width: width, showsAll: all) {
                print(line)
            }
        }
        fflush(nil)
        for finding in inspection.findings { Failure.report("damaged: \(finding)") }
        guard inspection.findings.isEmpty else { throw ExitCode(1) }
    }
}
