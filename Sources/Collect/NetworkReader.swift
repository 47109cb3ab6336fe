// The `net` measurement, from /proc/net/dev, two lines of headings before one line an interface:
//
//       eth0: 10296786 260 0 0 0 0 0 0 16785 200 0 0 0 0 0 0
//             0 bytes  1 packets  2 errors  3 dropped      received; 4–7 are not reported
//             8 bytes  9 packets 10 errors 11 dropped      sent
//
// The colon may touch the first number. Loopback and interfaces that are down are left out, as
// Telegraf does without configuration.

package enum NetworkReader {
    private static let wordCountMin = 12

    /// - Parameter isUp: Asked once for each interface but loopback.
    package static func read(netDev: String, isUp: (String) -> Bool) -> [Metric] {
        ProcText.lines(netDev).compactMap { line in
            guard let colon = line.lastIndex(of: ":") else { return nil }
            let words = ProcText.words(line[line.index(after: colon)...])
            guard words.count >= wordCountMin,
                let name = ProcText.words(line[..<colon]).first.map({ String($0) }),
                name != "lo", isUp(name)
            else { return nil }
            let counters = ProcText.counters(words, from: 0)
            return Metric(
                "net", tags: [.init("interface", name)],
                fields: [
                    .init("bytes_recv", .counter(counters[0])),
                    .init("packets_recv", .counter(counters[1])),
                    .init("err_in", .counter(counters[2])),
                    .init("drop_in", .counter(counters[3])),
                    .init("bytes_sent", .counter(counters[8])),
                    .init("packets_sent", .counter(counters[9])),
                    .init("err_out", .counter(counters[10])),
                    .init("drop_out", .counter(counters[11])),
                ])
        }
    }

    /// Bit 0 of /sys/class/net/NAME/flags, `0x1003\n`. An unreadable file counts as up: better a
    /// row too many than an interface missing.
    package static func isUp(flags: String?) -> Bool {
        guard let line = flags.flatMap({ ProcText.lines($0).first }), line.hasPrefix("0x"),
            let bits = UInt64(line.dropFirst(2), radix: 16)
        else { return true }
        return bits & 1 == 1
    }
}
