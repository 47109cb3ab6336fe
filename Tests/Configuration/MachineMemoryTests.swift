// The memory that `--memory` is a share of, from the texts that Linux gives.

import ApusConfiguration
import Testing

@Suite struct MachineMemoryTests {
    private static let physical = 64 << 30
    private static let gibibyte = 1 << 30

    private func bytes(_ files: [String: String]) -> Int {
        MachineMemory.bytes(physical: Self.physical) { files[$0] }
    }

    @Test func `without a control group it is the machine's`() {
        #expect(bytes([:]) == Self.physical)
        #expect(bytes(["/proc/self/cgroup": "0::/\n"]) == Self.physical)
        #expect(bytes(["/proc/self/cgroup": "nonsense\n\n:::\n"]) == Self.physical)
    }

    @Test func `a limit of version 2 holds, and max is none`() {
        let group = "0::/system.slice/apus.service\n"
        let place = "/sys/fs/cgroup/system.slice/apus.service/memory.max"
        #expect(
            bytes(["/proc/self/cgroup": group, place: "2147483648\n"]) == 2 * Self.gibibyte)
        #expect(bytes(["/proc/self/cgroup": group, place: "max\n"]) == Self.physical)
        #expect(bytes(["/proc/self/cgroup": group, place: "\n"]) == Self.physical)
        // More than there is.
        #expect(bytes(["/proc/self/cgroup": group, place: "1099511627776\n"]) == Self.physical)
    }

    @Test func `the lowest limit of the groups around it holds`() {
        #expect(
            bytes([
                "/proc/self/cgroup": "0::/a/b/c\n",
                "/sys/fs/cgroup/a/b/c/memory.max": "max\n",
                "/sys/fs/cgroup/a/b/memory.max": "1073741824\n",
                "/sys/fs/cgroup/a/memory.max": "3221225472\n",
            ]) == Self.gibibyte)
    }

    @Test func `inside of a container the outermost folder is its own group`() {
        for group in ["0::/\n", "0::/docker/4f1a\n"] {
            #expect(
                bytes([
                    "/proc/self/cgroup": group, "/sys/fs/cgroup/memory.max": "536870912\n",
                ]) == Self.gibibyte / 2)
        }
        // What cannot be read says nothing of where the limit is.
        #expect(bytes(["/sys/fs/cgroup/memory.max": "536870912\n"]) == Self.gibibyte / 2)
    }

    @Test func `a limit of version 1 holds`() {
        let groups = "12:cpu,cpuacct:/x\n7:hugetlb,memory:/docker/4f1a\n1:name=systemd:/y\n0::/z\n"
        let folder = "/sys/fs/cgroup/memory"
        #expect(
            bytes([
                "/proc/self/cgroup": groups,
                "\(folder)/docker/4f1a/memory.limit_in_bytes": "1073741824\n",
                "\(folder)/memory.limit_in_bytes": "9223372036854771712\n",
                "\(folder)/x/memory.limit_in_bytes": "1\n",
            ]) == Self.gibibyte)
        #expect(
            bytes([
                "/proc/self/cgroup": groups,
                "\(folder)/memory.limit_in_bytes": "2147483648\n",
            ]) == 2 * Self.gibibyte)
        #expect(
            bytes([
                "/proc/self/cgroup": groups,
                "\(folder)/memory.limit_in_bytes": "9223372036854771712\n",
            ]) == Self.physical)
    }
}
