// The `disk` measurement: how full each mounted file system is, from /proc/mounts and statvfs.
//
//     /dev/vda / ext4 rw,relatime,discard 0 0
//     device path type options                  blanks in the path are written as \040
//
// The types left out are Telegraf's usual list, and file systems of other machines: asking about a
// share whose server is gone blocks for minutes, and a host monitor must not.

/// One line of /proc/mounts.
package struct Mount: Equatable, Sendable {
    package var device: String
    package var path: String
    package var type: String
    /// `rw` or `ro`.
    package var mode: String

    package init(device: String, path: String, type: String, mode: String) {
        self.device = device
        self.path = path
        self.type = type
        self.mode = mode
    }
}

/// What statvfs says, in bytes and inodes.
package struct FileSystemUsage: Equatable, Sendable {
    package var totalBytes: UInt64
    /// Free for anybody, the reserve of the superuser left out.
    package var availableBytes: UInt64
    /// Free, the reserve included.
    package var freeBytes: UInt64
    package var inodeCount: UInt64
    package var freeInodeCount: UInt64

    package init(
        totalBytes: UInt64, availableBytes: UInt64, freeBytes: UInt64, inodeCount: UInt64,
        freeInodeCount: UInt64
    ) {
        self.totalBytes = totalBytes
        self.availableBytes = availableBytes
        self.freeBytes = freeBytes
        self.inodeCount = inodeCount
        self.freeInodeCount = freeInodeCount
    }
}

package enum DiskUsageReader {
    private static let ignoredTypes: Set<String> = [
        "tmpfs", "devtmpfs", "devfs", "iso9660", "overlay", "aufs", "squashfs",
        "autofs", "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs",
    ]

    /// The mounts worth asking about, each device once: bind mounts repeat it under other paths.
    package static func mounts(_ text: String) -> [Mount] {
        var seen: Set<String> = []
        return ProcText.lines(text).compactMap { line in
            let words = ProcText.words(line)
            guard words.count >= 4, words[0].hasPrefix("/") || words[2] == "zfs" else { return nil }
            let type = String(words[2])
            guard !ignoredTypes.contains(type) else { return nil }
            let device = unescaped(words[0])
            guard seen.insert(device).inserted else { return nil }
            let options = words[3].split(separator: ",")
            return Mount(
                device: device, path: unescaped(words[1]), type: type,
                mode: options.contains("ro") ? "ro" : "rw")
        }
    }

    /// nil for file systems without a size of their own.
    package static func metric(mount: Mount, usage: FileSystemUsage) -> Metric? {
        guard usage.totalBytes > 0 else { return nil }
        let used = counterGrowth(from: usage.freeBytes, to: usage.totalBytes)
        let usedInodes = counterGrowth(from: usage.freeInodeCount, to: usage.inodeCount)
        // The reserve is neither used nor to be had, so it isn't part of the whole: as `df` does.
        let reachable = Double(used) + Double(usage.availableBytes)
        let device =
            mount.device.hasPrefix("/dev/") ? String(mount.device.dropFirst(5)) : mount.device
        return Metric(
            "disk",
            tags: [
                .init("path", mount.path), .init("device", device),
                .init("fstype", mount.type), .init("mode", mount.mode),
            ],
            fields: [
                .init("total", .counter(usage.totalBytes)),
                .init("free", .counter(usage.availableBytes)),
                .init("used", .counter(used)),
                .init(
                    "used_percent",
                    .float(reachable > 0 ? 100 * Double(used) / reachable : 0)),
                .init("inodes_total", .counter(usage.inodeCount)),
                .init("inodes_free", .counter(usage.freeInodeCount)),
                .init("inodes_used", .counter(usedInodes)),
            ])
    }

    /// Undoes the kernel's `\ooo`, three octal digits for each byte it would not write plainly.
    static func unescaped(_ word: Substring) -> String {
        let source = Array(word.utf8)
        var bytes: [UInt8] = []
        var index = 0
        while index < source.count {
            if source[index] == UInt8(ascii: "\\"), index + 3 < source.count,
                let byte = UInt8(
                    String(decoding: source[(index + 1)...(index + 3)], as: UTF8.self), radix: 8)
            {
                bytes.append(byte)
                index += 4
            } else {
                bytes.append(source[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
