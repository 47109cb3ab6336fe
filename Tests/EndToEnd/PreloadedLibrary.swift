// Libraries that go into the real binary with LD_PRELOAD, built from `preload/*.c`.

import ApusTestKit
import Glibc

/// A library in a directory of its own, and what makes a process load it.
final class PreloadedLibrary {
    private let directory = TemporaryDirectory()
    private let path: String

    /// Builds `preload/NAME.c` with whichever C compiler there is: Swift brings clang.
    init(_ name: String) throws {
        path = "\(directory.path)/\(name).so"
        let folder = #filePath.dropLast("PreloadedLibrary.swift".count)
        let source = "\(folder)preload/\(name).c"
        for compiler in ["clang", "cc", "gcc"] {
            let process = try Binary.spawn(
                [
                    "/usr/bin/env", compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o",
                    path, source, "-ldl",
                ], output: 2)
            if Binary.wait(process) == 0 { return }
        }
        throw ClientFault("no C compiler that builds \(source)")
    }

    var environment: [String: String] { ["LD_PRELOAD": path] }
}

/// Faults of `preload/faults.c`, switched on and off from outside.
final class Faults {
    enum Fault: String, CaseIterable {
        case diskFull = "disk-full"
        case syncsFail = "syncs-fail"
        case syncsWait = "syncs-wait"
        case openingWaits = "opening-waits"
    }

    private let directory = TemporaryDirectory()
    private let library: PreloadedLibrary

    init() throws { library = try PreloadedLibrary("faults") }

    /// A process that waits for a fault to end shall not wait for ever.
    deinit { for fault in Fault.allCases { end(fault) } }

    var environment: [String: String] {
        library.environment.merging(["APUS_FAULTS": directory.path]) { $1 }
    }

    func begin(_ fault: Fault) {
        close(open("\(directory.path)/\(fault.rawValue)", O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
    }

    func end(_ fault: Fault) { unlink("\(directory.path)/\(fault.rawValue)") }
}
