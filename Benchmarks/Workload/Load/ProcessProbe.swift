// What /proc says of the server: CPU seconds and memory.

import Foundation
import Glibc

final class ProcessProbe {
    private let processID: Int32
    private(set) var peakRSSBytes = 0
    private(set) var peakAnonymous = 0

    init(processID: Int32) { self.processID = processID }

    /// User and system time of all its threads, ended ones too.
    func cpuSeconds() -> Double {
        guard let text = try? String(contentsOfFile: "/proc/\(processID)/stat", encoding: .utf8),
            // The name in parentheses may hold blanks: fields count from behind it.
            let close = text.lastIndex(of: ")")
        else { return 0 }
        let fields = text[close...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13])
        else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    func sampleMemory() {
        guard let text = try? String(contentsOfFile: "/proc/\(processID)/status", encoding: .utf8)
        else { return }
        for line in text.split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }
            guard words.count >= 2, let kibibytes = Int(words[1]) else { continue }
            if words[0] == "VmRSS:" { peakRSSBytes = max(peakRSSBytes, kibibytes << 10) }
            if words[0] == "RssAnon:" { peakAnonymous = max(peakAnonymous, kibibytes << 10) }
        }
    }

    static func ownCPUSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
