// The readers of /proc, each on fixture text.

import ApusCollect
import Testing

@Suite struct CPUReaderTests {
    private let before = """
        cpu  1000 100 500 8000 50 0 10 20 200 10
        cpu0 500 50 250 4000 25 0 5 10 100 5
        intr 5 1 2
        """

    @Test func `guest time is taken out of user and the percentages add up to 100`() throws {
        // 40 ticks of user, 10 of them guest; 60 idle.
        let after = "cpu  1040 100 500 8060 50 0 10 20 210 10\n"
        let rows = CPUReader.usage(
            from: CPUReader.read(stat: before), to: CPUReader.read(stat: after))
        let row = try #require(rows.first)
        #expect(rows.count == 1)
        #expect(row.tags == [.init("cpu", "cpu-total")])
        #expect(row[field: "usage_user"] == .float(30))
        #expect(row[field: "usage_guest"] == .float(10))
        #expect(row[field: "usage_idle"] == .float(60))
        #expect(row[field: "usage_steal"] == .float(0))
        #expect(row.fields.count == 10)
    }

    @Test func `a counter that runs backwards counts as no growth`() throws {
        let after = "cpu0 510 50 250 4090 0 0 5 10 100 5\n"  // iowait falls, as kernels let it
        let row = try #require(
            CPUReader.usage(from: CPUReader.read(stat: before), to: CPUReader.read(stat: after))
                .first)
        #expect(row[field: "usage_iowait"] == .float(0))
        #expect(row[field: "usage_user"] == .float(10))
        #expect(row[field: "usage_idle"] == .float(90))
    }

    @Test func `a processor without progress or without a first reading gives no row`() {
        let times = CPUReader.read(stat: before)
        #expect(times.count == 2)
        #expect(CPUReader.usage(from: times, to: times).isEmpty)
        #expect(CPUReader.usage(from: [], to: times).isEmpty)
    }

    @Test func `kernels with fewer columns are read`() {
        #expect(
            CPUReader.read(stat: "cpu0 1 2 3 4\n").first?.ticks == [1, 2, 3, 4, 0, 0, 0, 0, 0, 0])
        #expect(CPUReader.read(stat: "cpu0 1 2\n").isEmpty)
    }

    @Test func `growth is zero over a wrap`() {
        #expect(counterGrowth(from: 5, to: 9) == 4)
        #expect(counterGrowth(from: .max, to: 3) == 0)
    }
}

@Suite struct MemoryReaderTests {
    private let meminfo = """
        MemTotal:        1000 kB
        MemFree:          100 kB
        MemAvailable:     400 kB
        Buffers:           10 kB
        Cached:           200 kB
        SReclaimable:      50 kB
        SwapTotal:        100 kB
        SwapFree:          75 kB
        HugePages_Total:    7
        """

    @Test func `memory is counted in bytes and used is what isn't available`() throws {
        let row = try #require(MemoryReader.memory(meminfo: meminfo))
        #expect(row[field: "total"] == .integer(1_024_000))
        #expect(row[field: "used"] == .integer(600 * 1024))
        #expect(row[field: "cached"] == .integer(250 * 1024))
        #expect(row[field: "used_percent"] == .float(60))
        #expect(row[field: "available_percent"] == .float(40))
        #expect(row[field: "active"] == nil)
        #expect(MemoryReader.memory(meminfo: "") == nil)
    }

    @Test func `swap counts pages in bytes and works without vmstat`() throws {
        let row = try #require(
            MemoryReader.swap(meminfo: meminfo, vmstat: "pswpin 2\npswpout 3\n", pageBytes: 4096))
        #expect(row[field: "used"] == .integer(25 * 1024))
        #expect(row[field: "used_percent"] == .float(25))
        #expect(row[field: "in"] == .integer(8192))
        let bare = try #require(MemoryReader.swap(meminfo: meminfo, vmstat: "", pageBytes: 4096))
        #expect(bare[field: "in"] == nil)
    }
}

@Suite struct DiskReaderTests {
    @Test func `mounts leave out pseudo file systems, remote ones and repeated devices`() {
        let mounts = DiskUsageReader.mounts(
            """
            proc /proc proc rw 0 0
            /dev/vda / ext4 ro,relatime 0 0
            /dev/vda /bind ext4 rw 0 0
            /dev/vdb /mnt/with\\040blank xfs rw 0 0
            /dev/loop0 /snap squashfs ro 0 0
            server:/share /share nfs4 rw 0 0
            pool/home /home zfs rw 0 0
            """)
        #expect(mounts.map(\.path) == ["/", "/mnt/with blank", "/home"])
        #expect(mounts.map(\.mode) == ["ro", "rw", "rw"])
    }

    @Test func `the superuser's reserve is neither used nor free`() throws {
        let mount = Mount(device: "/dev/vda", path: "/", type: "ext4", mode: "rw")
        let row = try #require(
            DiskUsageReader.metric(
                mount: mount,
                usage: FileSystemUsage(
                    totalBytes: 1000, availableBytes: 200, freeBytes: 400, inodeCount: 10,
                    freeInodeCount: 4)))
        #expect(row.tags.contains(.init("device", "vda")))
        #expect(row[field: "used"] == .integer(600))
        #expect(row[field: "free"] == .integer(200))
        #expect(row[field: "used_percent"] == .float(75))
        #expect(row[field: "inodes_used"] == .integer(6))
    }

    @Test func `sectors of diskstats are 512 bytes and idle devices have no row`() throws {
        let rows = DiskIOReader.read(
            diskstats: """
                   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
                 254       0 vda 87 52 39 201 49 89 61 19 2 94 222 8 0 12 1 8 5
                 254       1 cut 87 52
                """)
        let row = try #require(rows.first)
        #expect(rows.count == 1)
        #expect(row.tags == [.init("name", "vda")])
        #expect(row[field: "read_bytes"] == .integer(39 * 512))
        #expect(row[field: "write_bytes"] == .integer(61 * 512))
        #expect(row[field: "iops_in_progress"] == .integer(2))
        #expect(row[field: "io_time"] == .integer(94))
        #expect(row[field: "weighted_io_time"] == .integer(222))
    }
}

@Suite struct NetworkReaderTests {
    private let netDev = """
        Inter-|   Receive                            |  Transmit
         face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs
            lo:    3193      29    0    0    0     0  0  0     3193      29    0    0    0  0  0  0
          eth0:10296786     260    1    2    0     0  0  0    16785     200    3    4    0  0  0  0
          ifb0:       0       0    0    0    0     0  0  0        0       0    0    0    0  0  0  0
        """

    @Test func `an interface is read although the colon touches its first number`() throws {
        let rows = NetworkReader.read(netDev: netDev) { $0 == "eth0" }
        let row = try #require(rows.first)
        #expect(rows.count == 1)
        #expect(row.tags == [.init("interface", "eth0")])
        #expect(row[field: "bytes_recv"] == .integer(10_296_786))
        #expect(row[field: "bytes_sent"] == .integer(16785))
        #expect(row[field: "drop_in"] == .integer(2))
        #expect(row[field: "err_out"] == .integer(3))
        #expect(row[field: "drop_out"] == .integer(4))
    }

    @Test func `an interface counts as up unless its flags say otherwise`() {
        #expect(NetworkReader.isUp(flags: "0x1003\n"))
        #expect(!NetworkReader.isUp(flags: "0x1002\n"))
        #expect(NetworkReader.isUp(flags: nil))
    }
}

@Suite struct SystemReaderTests {
    private let stat = """
        cpu  1 2 3 4
        intr 77 1 2
        ctxt 42
        btime 99
        processes 5
        procs_running 2
        """

    @Test func `load, uptime and processors are read`() throws {
        let row = try #require(
            SystemReader.system(
                loadavg: "0.09 0.06 0.01 1/89 5583\n", uptime: "1258.83 2439.90\n",
                processorCount: 2))
        #expect(row[field: "load5"] == .float(0.06))
        #expect(row[field: "uptime"] == .integer(1258))
        #expect(row[field: "n_cpus"] == .integer(2))
        #expect(SystemReader.system(loadavg: "", uptime: "", processorCount: 2) == nil)
    }

    @Test func `kernel counters are found by the whole word`() throws {
        let kernel = try #require(SystemReader.kernel(stat: stat, entropy: "256\n"))
        #expect(kernel[field: "interrupts"] == .integer(77))
        #expect(kernel[field: "processes_forked"] == .integer(5))
        #expect(kernel[field: "entropy_avail"] == .integer(256))
        let processes = try #require(
            SystemReader.processes(stat: stat, loadavg: "0 0 0 1/89 5583"))
        #expect(processes[field: "running"] == .integer(2))
        #expect(processes[field: "blocked"] == nil)
        #expect(processes[field: "total_threads"] == .integer(89))
    }
}

/// A host made of strings.
struct FixtureHost: HostFiles {
    var files: [String: String]

    func text(_ path: String) -> String? { files[path] }
    func usage(ofFileSystemAt path: String) -> FileSystemUsage? { nil }
}

@Suite struct HostSamplerTests {
    @Test func `a host whose files cannot be read gives an empty sample`() {
        var sampler = HostSampler(files: FixtureHost(files: [:]), pageBytes: 4096)
        #expect(sampler.sample().isEmpty)
    }

    @Test func `a file that cannot be read costs its own measurement only`() {
        var sampler = HostSampler(
            files: FixtureHost(files: ["/proc/loadavg": "1 2 3 4/5 6", "/proc/stat": "ctxt 1"]),
            pageBytes: 4096)
        #expect(sampler.sample().map(\.measurement) == ["system", "kernel", "processes"])
    }

    @Test func `this very machine gives processors from the second sample on`() {
        var sampler = HostSampler(files: LocalHostFiles(), pageBytes: LocalHostFiles.pageBytes())
        let first = sampler.sample()
        #expect(!first.contains { $0.measurement == "cpu" })
        #expect(first.contains { $0.measurement == "mem" })
        // Clock ticks are 10 ms: look until one has passed.
        for _ in 0..<10_000 where sampler.sample().contains(where: { $0.measurement == "cpu" }) {
            return
        }
        Issue.record("no cpu row in 10,000 samples")
    }
}
