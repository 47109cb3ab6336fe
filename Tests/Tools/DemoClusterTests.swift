// The simulated cluster: what the tour tells about it is true.

import ApusTools
import Testing

@Suite struct DemoClusterTests {
    private func lines(seed: UInt64, steps: Int) -> [Substring] {
        var cluster = DemoCluster(seed: seed, startNanoseconds: 1_700_000_005_000_000_000)
        var text = ""
        for _ in 0..<steps { cluster.step(into: &text) }
        return text.split(separator: "\n")
    }

    @Test func `the same seed gives the same lines, another seed others`() {
        #expect(lines(seed: 1, steps: 50) == lines(seed: 1, steps: 50))
        #expect(lines(seed: 1, steps: 50) != lines(seed: 2, steps: 50))
    }

    @Test func `a sample has every host and machine once, at a full step`() {
        let sample = lines(seed: 1, steps: 1)
        #expect(sample.count { $0.hasPrefix("host,") } == 20)
        #expect(sample.count { $0.hasPrefix("storage,") } == 20)
        #expect(sample.count { $0.hasPrefix("vm,") } == 300)
        #expect(sample.allSatisfy { $0.hasSuffix(" 1700000000000000000") })
    }

    @Test func `an hour has births, deaths, migrations and one noisy neighbour`() {
        let hour = lines(seed: 1, steps: 360)
        let events = hour.filter { $0.hasPrefix("vm_event,") }
        for kind in ["started", "stopped", "migrated"] {
            #expect(events.contains { $0.contains("event=\"\(kind)\"") })
        }
        #expect(events.count { $0.contains("noisy neighbour") } == 1)
        let waiting = hour.filter { $0.hasPrefix("vm,") && !$0.contains("steal=0.0") }
        #expect(!waiting.isEmpty)
        #expect(waiting.allSatisfy { $0.contains("host=hv07,") })
    }
}
