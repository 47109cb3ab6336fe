// How much memory this process may count on.

import Glibc

enum MachineMemory {
    /// The machine's RAM, or the control group's limit where that is lower.
    static var bytes: Int {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let physical = pages > 0 ? pages * sysconf(Int32(_SC_PAGESIZE)) : 4 << 30
        guard let limit = controlGroupLimit() else { return physical }
        return min(physical, limit)
    }

    private static func controlGroupLimit() -> Int? {
        guard let file = fopen("/sys/fs/cgroup/memory.max", "re") else { return nil }
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 64)
        guard fgets(&buffer, 64, file) != nil else { return nil }
        let digits = buffer.prefix { $0 >= 48 && $0 <= 57 }.map { UInt8(bitPattern: $0) }
        return Int(String(decoding: digits, as: UTF8.self)).flatMap { $0 > 0 ? $0 : nil }
    }
}
