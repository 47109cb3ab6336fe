// The estate behind `fleet`: hosts and guests, how they change, and the rows they send.

struct FleetEstate {
    struct Row {
        var line: LineBytes
        var table: String
        var valueCount: Int
    }

    private struct Host {
        let name: String
        var processor: Double
        var wait = 0.5
        var memoryUsed: Double
        var load: Double
        var received: Double = 0
        var sent: Double = 0
        var storageUsed: Double
        var uptimeSeconds: Int64
    }

    private struct Guest {
        let id: Int
        let name: String
        let tenant: String
        let processorCount: Int
        let memoryBytes: Double
        var host: Int
        var processor: Double
        var memoryUsed: Double
        var isRunning = true
        // Counters: a guest that is started anew counts from zero again.
        var diskRead = 0.0
        var diskWritten = 0.0
        var received = 0.0
        var sent = 0.0
        var processorNanoseconds = 0.0
        var uptimeSeconds: Int64 = 0
    }

    private var hosts: [Host]
    private var guests: [Guest] = []
    private var nextID = 100
    private static let hostMemory = 549_755_813_888.0
    private static let storageBytes = 17_592_186_044_416.0
    private static let roles = ["web", "db", "cache", "build", "queue", "mail", "vdi", "k8s"]

    init(hostCount: Int, guestsPerHost: Int, _ random: inout WorkloadRandom) {
        hosts = (0..<hostCount).map { index in
            Host(
                name: "hv\(index + 1)", processor: 5 + 40 * random.unit(),
                memoryUsed: Self.hostMemory * (0.3 + 0.5 * random.unit()),
                load: 1 + 20 * random.unit(), storageUsed: Self.storageBytes * random.unit(),
                uptimeSeconds: Int64(random.below(20_000_000)))
        }
        for index in 0..<hostCount * guestsPerHost { birth(on: index % hostCount, &random) }
    }

    // MARK: Change

    /// Births, deaths, migrations and restarts, `count` of them on average.
    mutating func change(_ count: Double, _ random: inout WorkloadRandom) {
        let whole = Int(count) + (random.happens(count - count.rounded(.down)) ? 1 : 0)
        for _ in 0..<whole {
            switch random.below(8) {
            case 0...2: birth(on: random.below(hosts.count), &random)
            case 3...5:
                if guests.count > hosts.count { guests.remove(at: random.below(guests.count)) }
            case 6:
                if !guests.isEmpty {
                    guests[random.below(guests.count)].host = random.below(hosts.count)
                }
            default: restart(&random)
            }
        }
    }

    private mutating func birth(on host: Int, _ random: inout WorkloadRandom) {
        let processors = 1 << random.below(5)
        let memory = Double(processors) * 2_147_483_648
        guests.append(
            Guest(
                id: nextID, name: "\(random.choose(Self.roles))-\(nextID)",
                tenant: "t\(random.below(50))", processorCount: processors, memoryBytes: memory,
                host: host, processor: 30 * random.unit() * random.unit(),
                memoryUsed: memory * (0.2 + 0.6 * random.unit())))
        nextID += 1
    }

    private mutating func restart(_ random: inout WorkloadRandom) {
        guard !guests.isEmpty else { return }
        let index = random.below(guests.count)
        guests[index].isRunning = !guests[index].isRunning
        guests[index].diskRead = 0
        guests[index].diskWritten = 0
        guests[index].received = 0
        guests[index].sent = 0
        guests[index].processorNanoseconds = 0
        guests[index].uptimeSeconds = 0
    }

    /// Ten seconds on.
    mutating func advance(_ random: inout WorkloadRandom) {
        for index in hosts.indices {
            hosts[index].processor = walk(hosts[index].processor, 0...100, 1, &random)
            hosts[index].wait = walk(hosts[index].wait, 0...30, 0.1, &random)
            hosts[index].memoryUsed = walk(
                hosts[index].memoryUsed, 0...Self.hostMemory, 1e8, &random)
            hosts[index].load = walk(hosts[index].load, 0...200, 0.3, &random)
            hosts[index].received += (1e8 * random.unit()).rounded()
            hosts[index].sent += (1e8 * random.unit()).rounded()
            hosts[index].storageUsed = walk(
                hosts[index].storageUsed, 0...Self.storageBytes, 1e8, &random)
            hosts[index].uptimeSeconds += 10
        }
        for index in guests.indices where guests[index].isRunning {
            let processor = walk(guests[index].processor, 0...100, 0.7, &random)
            guests[index].processor = processor
            guests[index].memoryUsed = walk(
                guests[index].memoryUsed, 0...guests[index].memoryBytes, 2e6, &random)
            // Half of the guests do nothing on their disk in most ticks.
            if guests[index].id % 2 == 0 || random.happens(0.1) {
                guests[index].diskRead += (4_096 * (processor * 20 * random.unit()).rounded())
                guests[index].diskWritten += (4_096 * (processor * 40 * random.unit()).rounded())
            }
            guests[index].received += (processor * 30_000 * random.unit()).rounded()
            guests[index].sent += (processor * 60_000 * random.unit()).rounded()
            guests[index].processorNanoseconds +=
                (processor * 1e8 * Double(guests[index].processorCount)).rounded()
            guests[index].uptimeSeconds += 10
        }
    }

    private func walk(
        _ value: Double, _ range: ClosedRange<Double>, _ step: Double,
        _ random: inout WorkloadRandom
    ) -> Double {
        min(range.upperBound, max(range.lowerBound, value + step * random.normal()))
    }

    // MARK: Rows

    /// One sample of everything, each row without its time.
    func rows() -> [Row] {
        var rows: [Row] = []
        rows.reserveCapacity(hosts.count * 5 + guests.count * 3)
        for host in hosts { append(host, to: &rows) }
        for guest in guests { append(guest, to: &rows) }
        return rows
    }

    private func append(_ host: Host, to rows: inout [Row]) {
        let tags = "object=nodes,host=\(host.name)"
        let idle = max(0, 100 - host.processor - host.wait)
        rows.append(
            row("system,\(tags)", ["uptime=\(host.uptimeSeconds)"]))
        rows.append(
            row(
                "cpustat,\(tags)",
                [
                    "cpu=\(decimal(host.processor / 100, 4))",
                    "wait=\(decimal(host.wait / 100, 4))",
                    "idle=\(decimal(idle / 100, 4))", "avg1=\(decimal(host.load, 2))",
                    "avg5=\(decimal(host.load * 0.9, 2))", "cpus=64",
                ]))
        rows.append(
            row(
                "memory,\(tags)",
                [
                    "memtotal=\(whole(Self.hostMemory))", "memused=\(page(host.memoryUsed))",
                    "swaptotal=8589930496", "swapused=0",
                ]))
        rows.append(
            row(
                "nics,\(tags),instance=eno1",
                [
                    "receive=\(whole(host.received))", "transmit=\(whole(host.sent))",
                    "type=\"physical\"",
                ]))
        rows.append(
            row(
                "system,object=storages,nodename=\(host.name),host=local-zfs,type=zfspool",
                [
                    "active=1", "enabled=1", "shared=0", "total=\(whole(Self.storageBytes))",
                    "used=\(page(host.storageUsed))",
                    "avail=\(page(Self.storageBytes - host.storageUsed))", "type=\"zfspool\"",
                    "content=\"images,rootdir\"",
                ]))
    }

    private func append(_ guest: Guest, to rows: inout [Row]) {
        let host = hosts[guest.host].name
        let tags = "object=qemu,vmid=\(guest.id),nodename=\(host),host=\(guest.name)"
        var fields = [
            "cpus=\(guest.processorCount)", "maxmem=\(whole(guest.memoryBytes))",
            "uptime=\(guest.uptimeSeconds)", "name=\"\(guest.name)\"",
            "tags=\"\(guest.tenant)\"",
        ]
        guard guest.isRunning else {
            rows.append(row("system,\(tags)", fields + ["status=\"stopped\""]))
            return
        }
        fields += [
            "cpu=\(decimal(guest.processor / 100, 4))", "mem=\(page(guest.memoryUsed))",
            "diskread=\(whole(guest.diskRead))", "diskwrite=\(whole(guest.diskWritten))",
            "netin=\(whole(guest.received))", "netout=\(whole(guest.sent))",
            "status=\"running\"",
        ]
        rows.append(row("system,\(tags)", fields))
        rows.append(
            row(
                "nics,\(tags),instance=tap\(guest.id)i0",
                ["netin=\(whole(guest.received))", "netout=\(whole(guest.sent))"]))
        rows.append(
            row(
                "libvirt_cpu,host=\(host),domain_name=\(guest.name)",
                [
                    "time=\(whole(guest.processorNanoseconds))i",
                    "user=\(whole(guest.processorNanoseconds * 0.7))i",
                    "system=\(whole(guest.processorNanoseconds * 0.3))i",
                ]))
    }

    private func row(_ prefix: String, _ fields: [String]) -> Row {
        let table = String(prefix.prefix { $0 != "," })
        return Row(
            line: LineBytes(bytes: Array("\(prefix) \(fields.joined(separator: ","))".utf8)),
            table: table, valueCount: fields.count)
    }

    private func whole(_ value: Double) -> String { "\(Int64(value))" }

    /// Memory and disks come in pages.
    private func page(_ value: Double) -> String { "\((Int64(value) >> 12) << 12)" }

    private func decimal(_ value: Double, _ digits: Int) -> String {
        var line = LineBytes()
        line.append(Int64((value * (digits == 4 ? 10_000 : 100)).rounded()), decimals: digits)
        return String(decoding: line.bytes, as: UTF8.self)
    }
}
