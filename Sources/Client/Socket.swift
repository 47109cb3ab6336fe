// A TCP connection by plain system calls: connect, send all, receive some, each with a deadline.

import Glibc

/// What went wrong below HTTP.
package enum SocketError: Error, Equatable, CustomStringConvertible {
    case unknownHost(String)
    case failed(operation: String, code: Int32)
    case timedOut(operation: String)
    /// The interrupt descriptor has become readable: somebody wants this to end.
    case interrupted
    /// The other side ended the connection before it answered.
    case closed
    /// The other side ended the connection within its answer.
    case cut

    package var description: String {
        switch self {
        case .unknownHost(let reason): reason
        case .closed: "the connection was closed before an answer"
        case .cut: "the connection was closed in the middle of the answer"
        case .interrupted: "interrupted"
        case .timedOut(let operation): "\(operation): timed out"
        case .failed(let operation, let code):
            // Safe: strerror's answer is copied at once; only the sending thread comes here.
            "\(operation): \(String(cString: strerror(code)))"
        }
    }
}

/// Owns one connected descriptor; closed with its last owner.
package struct Socket: ~Copyable {
    private let descriptor: Int32
    private let timeoutMilliseconds: Int32
    private let interrupt: Int32

    /// Tries the addresses of the host one after the other.
    ///
    /// - Parameters:
    ///   - timeoutMilliseconds: For each wait; -1 for ever.
    ///   - connectTimeoutMilliseconds: For the connection, if not the same.
    ///   - interrupt: A descriptor of the caller's; once it is readable, every wait ends with
    ///     `interrupted`. -1 for none.
    package init(
        host: String, port: UInt16, timeoutMilliseconds: Int32,
        connectTimeoutMilliseconds: Int32? = nil, interrupt: Int32 = -1
    ) throws(SocketError) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        guard status == 0, let first = list else {
            throw .unknownHost("\(host): \(String(cString: gai_strerror(status)))")
        }
        // Safe: the list is walked before it is freed, and nothing of it is kept.
        defer { freeaddrinfo(first) }

        var lastError = SocketError.unknownHost("\(host): no address")
        var next: UnsafeMutablePointer<addrinfo>? = first
        while let address = next {
            do throws(SocketError) {
                descriptor = try Self.connected(
                    address.pointee, connectTimeoutMilliseconds ?? timeoutMilliseconds, interrupt)
                self.timeoutMilliseconds = timeoutMilliseconds
                self.interrupt = interrupt
                return
            } catch .interrupted {
                throw .interrupted
            } catch {
                lastError = error
            }
            next = address.pointee.ai_next
        }
        throw lastError
    }

    deinit { close(descriptor) }

    package func send(_ bytes: [UInt8]) throws(SocketError) {
        var sentCount = 0
        while sentCount < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                // Safe: sentCount is below the count of the buffer, and only what is left is sent.
                Glibc.send(
                    descriptor, buffer.baseAddress.map { $0 + sentCount }, buffer.count - sentCount,
                    Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sentCount += count
            } else if errno == EAGAIN {
                try wait(for: Int16(POLLOUT), operation: "send")
            } else if errno != EINTR {
                throw .failed(operation: "send", code: errno)
            }
        }
    }

    /// Some bytes; none at the end of the connection.
    package func receive(bytesMax: Int = 4096) throws(SocketError) -> ArraySlice<UInt8> {
        while true {
            var received = 0
            // Safe: recv writes at most as many bytes as there is room for, and says how many.
            let bytes = [UInt8](unsafeUninitializedCapacity: bytesMax) { buffer, count in
                received = recv(descriptor, buffer.baseAddress, buffer.count, 0)
                count = max(0, received)
            }
            if received >= 0 { return bytes[...] }
            if errno == EAGAIN {
                try wait(for: Int16(POLLIN), operation: "receive")
            } else if errno != EINTR {
                throw .failed(operation: "receive", code: errno)
            }
        }
    }

    private func wait(for events: Int16, operation: String) throws(SocketError) {
        try Self.wait(
            descriptor, for: events, timeoutMilliseconds, interrupt, operation: operation)
    }

    private static func connected(
        _ address: addrinfo, _ timeoutMilliseconds: Int32, _ interrupt: Int32
    ) throws(SocketError) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.ai_family, type, 0)
        guard descriptor >= 0 else { throw .failed(operation: "socket", code: errno) }
        do throws(SocketError) {
            if connect(descriptor, address.ai_addr, address.ai_addrlen) != 0 {
                guard errno == EINPROGRESS else {
                    throw SocketError.failed(operation: "connect", code: errno)
                }
                try wait(
                    descriptor, for: Int16(POLLOUT), timeoutMilliseconds, interrupt,
                    operation: "connect")
                var code: Int32 = 0
                var codeBytes = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &codeBytes)
                guard code == 0 else { throw SocketError.failed(operation: "connect", code: code) }
            }
            // A request is one send, and nothing is gained by holding back its last piece.
            var on: Int32 = 1
            let size = socklen_t(MemoryLayout<Int32>.size)
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
            // A machine that has gone says nothing: a wait without end ends after two minutes.
            setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, size)
            for (option, number) in [
                (TCP_KEEPIDLE, 60), (TCP_KEEPINTVL, 15), (TCP_KEEPCNT, 4),
            ] as [(Int32, Int32)] {
                var value = number
                setsockopt(descriptor, Int32(IPPROTO_TCP), option, &value, size)
            }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func wait(
        _ descriptor: Int32, for events: Int16, _ timeoutMilliseconds: Int32, _ interrupt: Int32,
        operation: String
    ) throws(SocketError) {
        var requests = [
            pollfd(fd: descriptor, events: events, revents: 0),
            // A negative descriptor is passed over by poll.
            pollfd(fd: interrupt, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            let count = poll(&requests, 2, timeoutMilliseconds)
            if count > 0 {
                if requests[1].revents != 0 { throw .interrupted }
                return
            }
            if count == 0 { throw .timedOut(operation: operation) }
            if errno != EINTR { throw .failed(operation: operation, code: errno) }
        }
    }
}
