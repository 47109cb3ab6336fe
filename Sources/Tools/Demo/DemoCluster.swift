// A small hypervisor cluster that never was: hosts, and virtual machines that are born, move and
// die. Seeded: the same seed and start give the same lines, byte for byte.
//
// An hour has its story. After half an hour one machine begins to burn all the processors it is
// given, its neighbours on that host wait (`steal`), and ten minutes later it is moved away.

/// The cluster's state and the rules by which it changes.
package struct DemoCluster {
    /// Between two samples.
    package static let stepNanoseconds: Int64 = 10_000_000_000

    struct Host {
        let name: String
        let rack: String
        var processorPercent = 0.0
        var networkInBytes: Int64 = 0
        var networkOutBytes: Int64 = 0
        var bootedStepsAgo: Int
    }

    struct Machine {
        let id: Int
        let name: String
        let tenant: String
        let role: String
        let processorCount: Int
        let memoryBytes: Int64
        var host: Int
        /// Of all its processors.
        var processorPercent: Double
        var stealPercent = 0.0
        let usualPercent: Double
        var memoryShare: Double
        var diskReadBytes: Int64 = 0
        var diskWriteBytes: Int64 = 0
        var networkInBytes: Int64 = 0
        var networkOutBytes: Int64 = 0
        var isBurning = false
    }

    struct Event {
        let machine: Machine
        let kind: String
        let detail: String
    }

    struct Volume {
        let host: Int
        let name: String
        let type: String
        let totalBytes: Int64
        var usedBytes: Int64
    }

    static let processorsPerHost = 64
    static let memoryBytesPerHost: Int64 = 512 << 30

    private(set) var hosts: [Host] = []
    private(set) var machines: [Machine] = []
    private(set) var volumes: [Volume] = []
    /// What happened in the last step.
    private(set) var events: [Event] = []
    /// Of the sample that the next `step` gives, in nanoseconds since 1970 UTC.
    package private(set) var timeNanoseconds: Int64
    private var random: DemoRandom
    private var stepCount = 0
    private var nextID = 100

    /// - Parameters:
    ///   - startNanoseconds: of the first sample, rounded down to a full step.
    package init(
        seed: UInt64, startNanoseconds: Int64, hostCount: Int = 20, machineCount: Int = 300
    ) {
        random = DemoRandom(seed: seed)
        timeNanoseconds = startNanoseconds - startNanoseconds % Self.stepNanoseconds
        for index in 0..<hostCount {
            let number = index + 1
            hosts.append(
                Host(
                    name: number < 10 ? "hv0\(number)" : "hv\(number)", rack: "r\(index / 5 + 1)",
                    bootedStepsAgo: random.below(2_000_000)))
            volumes.append(
                Volume(
                    host: index, name: "local-lvm", type: "lvmthin", totalBytes: 4 << 40,
                    usedBytes: (1 << 40) + Int64(random.below(1 << 40))))
        }
        for index in 0..<machineCount { birth(on: index % hostCount) }
        events = []
    }

    /// One step on: loads drift, machines come, go and move, counters count.
    mutating func advance() {
        events = []
        for index in machines.indices { machines[index] = drifted(machines[index]) }
        if stepCount > 0 { change() }
        tellStory()
        share()
        count()
        stepCount += 1
    }

    mutating func passTime() { timeNanoseconds += Self.stepNanoseconds }

    // MARK: Births, deaths, moves

    private static let roles = ["web", "db", "cache", "build", "queue", "mail"]
    private static let tenants = ["acme", "globex", "initech", "umbrella", "hooli"]

    private mutating func birth(on host: Int) {
        let role = Self.roles[random.below(Self.roles.count)]
        let processors = [2, 4, 4, 8][random.below(4)]
        let usual = 4 + 26 * random.unit() * random.unit()
        let machine = Machine(
            id: nextID, name: "\(role)-\(nextID)",
            tenant: Self.tenants[random.below(Self.tenants.count)], role: role,
            processorCount: processors, memoryBytes: Int64(processors) << 31, host: host,
            processorPercent: usual, usualPercent: usual,
            memoryShare: 0.3 + 0.5 * random.unit())
        nextID += 1
        machines.append(machine)
        events.append(Event(machine: machine, kind: "started", detail: "on \(hosts[host].name)"))
    }

    private mutating func change() {
        if random.happens(0.08) { birth(on: emptiestHost()) }
        if random.happens(0.08), machines.count > 20 {
            let index = random.below(machines.count)
            if !machines[index].isBurning {
                let gone = machines.remove(at: index)
                events.append(Event(machine: gone, kind: "stopped", detail: "by its owner"))
            }
        }
        if random.happens(0.1), !machines.isEmpty {
            let index = random.below(machines.count)
            if !machines[index].isBurning {
                move(index, to: emptiestHost(), reason: "balance")
            }
        }
    }

    private mutating func move(_ index: Int, to host: Int, reason: String) {
        let old = machines[index].host
        guard old != host else { return }
        machines[index].host = host
        events.append(
            Event(
                machine: machines[index], kind: "migrated",
                detail: "\(hosts[old].name) to \(hosts[host].name), \(reason)"))
    }

    private func emptiestHost() -> Int {
        var used = [Int](repeating: 0, count: hosts.count)
        for machine in machines { used[machine.host] += machine.processorCount }
        return used.indices.min { used[$0] < used[$1] } ?? 0
    }

    /// The noisy neighbour: from the 30th to the 40th minute of every hour.
    private mutating func tellStory() {
        let minute = stepCount / 6 % 60
        let isHot = (30..<40).contains(minute)
        let burning = machines.firstIndex { $0.isBurning }
        if isHot, burning == nil {
            let host = hosts.count / 3
            guard let index = machines.firstIndex(where: { $0.host == host && $0.role == "build" })
            else { return }
            machines[index].isBurning = true
        } else if !isHot, let burning {
            machines[burning].isBurning = false
            move(burning, to: emptiestHost(), reason: "noisy neighbour")
        }
    }

    // MARK: Numbers

    private mutating func drifted(_ old: Machine) -> Machine {
        var machine = old
        if machine.isBurning {
            machine.processorPercent = min(100, machine.processorPercent + 20 + 5 * random.unit())
        } else {
            let pull = 0.1 * (machine.usualPercent - machine.processorPercent)
            var next = machine.processorPercent + pull + 1.5 * random.bell()
            if random.happens(0.002) { next += 40 }
            machine.processorPercent = min(100, max(0.3, next))
        }
        machine.memoryShare = min(0.97, max(0.1, machine.memoryShare + 0.003 * random.bell()))
        return machine
    }

    /// Adds up what each host gives its machines. The neighbours of a burning machine wait for it:
    /// it fills the host whatever its share of the processors, by locks and caches.
    private mutating func share() {
        var wanted = [Double](repeating: 2, count: hosts.count)
        var isNoisy = [Bool](repeating: false, count: hosts.count)
        for machine in machines {
            wanted[machine.host] +=
                machine.processorPercent / 100 * Double(machine.processorCount)
            if machine.isBurning { isNoisy[machine.host] = true }
        }
        for index in hosts.indices {
            let percent = 100 * wanted[index] / Double(Self.processorsPerHost)
            hosts[index].processorPercent = min(100, max(percent, isNoisy[index] ? 92 : 0))
        }
        for index in machines.indices {
            let host = machines[index].host
            let steal = isNoisy[host] && !machines[index].isBurning ? 12 + 6 * random.unit() : 0
            machines[index].stealPercent = steal
        }
    }

    private mutating func count() {
        for index in machines.indices {
            let load = machines[index].processorPercent / 100
            let isDisk = machines[index].role == "db" || machines[index].role == "build"
            let reads = Int64(load * (isDisk ? 4e8 : 3e7) * (0.5 + random.unit()))
            let writes = Int64(load * (isDisk ? 2e8 : 2e7) * (0.5 + random.unit()))
            let received = Int64(load * 1e8 * (0.5 + random.unit()))
            let sent = Int64(load * 2e8 * (0.5 + random.unit()))
            machines[index].diskReadBytes &+= reads
            machines[index].diskWriteBytes &+= writes
            machines[index].networkInBytes &+= received
            machines[index].networkOutBytes &+= sent
            hosts[machines[index].host].networkInBytes &+= received
            hosts[machines[index].host].networkOutBytes &+= sent
        }
        for index in hosts.indices { hosts[index].bootedStepsAgo += 1 }
        for index in volumes.indices {
            let change = Int64(4e7 * (random.bell() + 0.2))
            volumes[index].usedBytes = max(
                0, min(volumes[index].totalBytes, volumes[index].usedBytes + change))
        }
    }
}
