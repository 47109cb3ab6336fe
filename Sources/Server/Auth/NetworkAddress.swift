// Addresses and ranges of addresses: who may send lines, who is this machine.

internal import Glibc
internal import NIOCore

/// An IPv4 or IPv6 address as 16 bytes; IPv4 lies in ::ffff:0:0/96.
package struct NetworkAddress: Sendable, Equatable {
    fileprivate let bytes: [UInt8]

    /// Reads `192.0.2.1`, `2001:db8::1`; nil for names.
    package init?(_ text: String) {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(ipv4: four)
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        // Safe: in6_addr's own bytes, copied.
        self.init(bytes: withUnsafeBytes(of: six) { Array($0) })
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private init(ipv4 address: in_addr) {
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        self.init(bytes: mapped + withUnsafeBytes(of: address) { Array($0) })
    }

    init?(_ address: SocketAddress?) {
        guard let text = address?.ipAddress else { return nil }
        // Without the zone of a link-local address.
        self.init(String(text.prefix { $0 != "%" }))
    }

    fileprivate var isIPv4: Bool {
        bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
    }

    /// 127.0.0.0/8 or ::1.
    package var isLoopback: Bool {
        isIPv4 ? bytes[12] == 127 : bytes[..<15].allSatisfy { $0 == 0 } && bytes[15] == 1
    }
}

/// `192.0.2.0/24`, `2001:db8::/32`, or one address.
package struct AddressRange: Sendable, Equatable {
    private let address: NetworkAddress
    private let bitCount: Int

    package init(_ text: String) throws(OptionError) {
        let sides = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = NetworkAddress(String(sides[0])) else {
            throw OptionError("'\(text)' is not an address or range like 192.0.2.0/24")
        }
        let offset = address.isIPv4 ? 96 : 0
        var bits = 128 - offset
        if sides.count == 2 {
            guard let given = Int(sides[1]), (0...bits).contains(given) else {
                throw OptionError("'\(text)': the prefix length is 0 to \(bits)")
            }
            bits = given
        }
        self.address = address
        bitCount = bits + offset
    }

    package func contains(_ other: NetworkAddress) -> Bool {
        let whole = bitCount / 8
        guard address.bytes[..<whole] == other.bytes[..<whole] else { return false }
        let rest = bitCount % 8
        guard rest > 0 else { return true }
        let mask = UInt8(truncatingIfNeeded: 0xFF00 >> rest)
        return address.bytes[whole] & mask == other.bytes[whole] & mask
    }
}

extension [AddressRange] {
    /// Whether lines from there are taken. An empty list takes any.
    func admits(_ sender: SocketAddress?) -> Bool {
        if isEmpty { return true }
        guard let address = NetworkAddress(sender) else { return false }
        return contains { $0.contains(address) }
    }
}
