// What the cluster's scrapers would send: line protocol, one sample a step.

extension DemoCluster {
    /// Advances the cluster by one step and writes its sample: per host a row of `host` and of
    /// `storage`, per machine a row of `vm`, per event a row of `vm_event`.
    package mutating func step(into text: inout String) {
        advance()
        let time = " \(timeNanoseconds)\n"
        var machineCounts = [Int](repeating: 0, count: hosts.count)
        var memoryUsed = [Int64](repeating: 16 << 30, count: hosts.count)
        for machine in machines {
            machineCounts[machine.host] += 1
            memoryUsed[machine.host] += Int64(Double(machine.memoryBytes) * machine.memoryShare)
        }
        for (index, host) in hosts.enumerated() {
            text += "host,host=\(host.name),rack=\(host.rack) cpu=\(tenths(host.processorPercent))"
            text += ",memory_used=\(memoryUsed[index])i,memory_total=\(Self.memoryBytesPerHost)i"
            text += ",vms=\(machineCounts[index])i,net_in=\(host.networkInBytes)i"
            text += ",net_out=\(host.networkOutBytes)i,uptime=\(host.bootedStepsAgo * 10)i\(time)"
        }
        for volume in volumes {
            // A tag and a field of one name, as Proxmox sends them.
            text += "storage,host=\(hosts[volume.host].name),storage=\(volume.name)"
            text += ",type=\(volume.type) type=\"\(volume.type)\",used=\(volume.usedBytes)i"
            text += ",total=\(volume.totalBytes)i\(time)"
        }
        for machine in machines { append(machine, time, to: &text) }
        for event in events {
            let machine = event.machine
            text += "vm_event,\(tags(machine)) event=\"\(event.kind)\",detail=\"\(event.detail)\""
            text += time
        }
        passTime()
    }

    private func append(_ machine: Machine, _ time: String, to text: inout String) {
        let used = Int64(Double(machine.memoryBytes) * machine.memoryShare)
        text += "vm,\(tags(machine)) cpu=\(tenths(machine.processorPercent))"
        text += ",steal=\(tenths(machine.stealPercent)),memory_used=\(used)i"
        text += ",memory_max=\(machine.memoryBytes)i,disk_read=\(machine.diskReadBytes)i"
        text += ",disk_write=\(machine.diskWriteBytes)i,net_in=\(machine.networkInBytes)i"
        text += ",net_out=\(machine.networkOutBytes)i\(time)"
    }

    private func tags(_ machine: Machine) -> String {
        "vmid=\(machine.id),name=\(machine.name),host=\(hosts[machine.host].name)"
            + ",tenant=\(machine.tenant)"
    }

    /// With one decimal, as most exporters round.
    private func tenths(_ value: Double) -> String {
        let whole = Int((value * 10).rounded())
        return "\(whole / 10).\(whole % 10)"
    }
}
