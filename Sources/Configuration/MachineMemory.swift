// How much memory this process may count on: the machine's, or a control group's limit if lower.
//
//     version   a process's groups: /proc/self/cgroup   limit of a group
//     ────────  ──────────────────────────────────────  ─────────────────────────────────────────
//     2         0::/a/b                                 /sys/fs/cgroup/a/b/memory.max
//     1         7:memory:/a/b                           /sys/fs/cgroup/memory/a/b/
//                                                       memory.limit_in_bytes
//
// A group is held to the limits of all groups around it. In a container a path may be given that
// isn't to be seen from inside; then the outermost folder is the container's own group.

internal import Glibc

package enum MachineMemory {
    /// In bytes. Reads some small files.
    package static var bytes: Int {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let physical = pages > 0 ? pages * sysconf(Int32(_SC_PAGESIZE)) : 4 << 30
        return bytes(physical: physical, read: firstLines)
    }

    /// - Parameter read: A text file's content, nil where it can't be read.
    package static func bytes(physical: Int, read: (String) -> String?) -> Int {
        let groups = read("/proc/self/cgroup") ?? "0::/"
        var lowest = physical
        for line in groups.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, let place = limitPlace(number: parts[0], controllers: parts[1])
            else { continue }
            for folder in foldersUpwards(parts[2]) {
                guard let text = read("\(place.folder)\(folder)/\(place.file)"),
                    let limit = limit(text)
                else { continue }
                lowest = min(lowest, limit)
            }
        }
        return lowest
    }

    private static func limitPlace(
        number: Substring, controllers: Substring
    ) -> (folder: String, file: String)? {
        if number == "0", controllers.isEmpty { return ("/sys/fs/cgroup", "memory.max") }
        guard controllers.split(separator: ",").contains("memory") else { return nil }
        return ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
    }

    /// `/a/b`, `/a` and nothing, of `/a/b`.
    private static func foldersUpwards(_ path: Substring) -> [String] {
        var names = path.split(separator: "/")
        var folders: [String] = []
        while true {
            folders.append(names.map { "/\($0)" }.joined())
            if names.popLast() == nil { return folders }
        }
    }

    /// Nil without a limit: `max`, or what version 1 has for it, which is above any machine's RAM.
    private static func limit(_ text: String) -> Int? {
        Int(text.prefix { !$0.isWhitespace }).flatMap { $0 > 0 ? $0 : nil }
    }

    private static func firstLines(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 16 << 10)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
