// Tells the service manager how far the server is: datagrams to the socket that NOTIFY_SOCKET names.
//
//     READY=1                             all listeners accept
//     RELOADING=1 \n MONOTONIC_USEC=n     followed by READY=1
//     STOPPING=1
//
// The protocol of sd_notify(3). A name that begins with @ is in the abstract name space: its first
// byte is zero. Nothing that fails here is worth a failure of the server.

import ApusStorage
import Glibc

struct ServiceNotice {
    private let socketName: String?

    /// Takes the variable out of the environment, so that no child speaks for this process.
    init() {
        socketName = getenv("NOTIFY_SOCKET").map { String(cString: $0) }
        unsetenv("NOTIFY_SOCKET")
    }

    func ready() { send("READY=1\n") }

    func stopping() { send("STOPPING=1\n") }

    func reloading() {
        send("RELOADING=1\nMONOTONIC_USEC=\(monotonicNanoseconds() / 1_000)\n")
    }

    private func send(_ text: String) {
        guard let socketName else { return }
        var name = Array(socketName.utf8)
        var address = sockaddr_un()
        // One byte less than there is room for: a path ends with a zero.
        guard name.count > 1, name.count < MemoryLayout.size(ofValue: address.sun_path),
            name[0] == UInt8(ascii: "/") || name[0] == UInt8(ascii: "@")
        else { return }
        let isAbstract = name[0] == UInt8(ascii: "@")
        if isAbstract { name[0] = 0 }
        address.sun_family = sa_family_t(AF_UNIX)
        // Safe: `name` is shorter than `sun_path`, checked above.
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let pathOffset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        let byteCount = pathOffset + name.count + (isAbstract ? 0 : 1)

        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        // Safe: the system reads `byteCount` bytes, which are within `address`.
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                _ = sendto(
                    descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), pointer,
                    socklen_t(byteCount))
            }
        }
    }
}
