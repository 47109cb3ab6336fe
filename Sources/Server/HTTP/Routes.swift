// The whole API on one screen.

internal import NIOHTTP1

/// What a request asks for. The raw value is the endpoint's name in `/metrics`.
enum Endpoint: String, Sendable, CaseIterable {
    case writeV1 = "/write"
    case writeV2 = "/api/v2/write"
    case writeV3 = "/api/v3/write_lp"
    case ping = "/ping"
    case health = "/health"
    case ready = "/ready"
    case query = "/query"
    case sql = "/sql"
    case cardinality = "/cardinality"
    case metrics = "/metrics"
    case unknown = "other"

    struct Route {
        var endpoint: Endpoint
        var methods: [HTTPMethod]
        var family: APIFamily
        /// Works below any path, since Proxmox and Telegraf put one in front.
        var takesPrefix: Bool
        /// Answered before the store is open, and without a token.
        var isOpen: Bool
    }

    /// Longer paths first: `/api/v2/write` also ends in `/write`.
    static let routes: [Route] = [
        Route(
            endpoint: .writeV2, methods: [.POST], family: .influx2, takesPrefix: true, isOpen: false
        ),
        Route(
            endpoint: .writeV3, methods: [.POST], family: .influx3, takesPrefix: true, isOpen: false
        ),
        Route(
            endpoint: .writeV1, methods: [.POST], family: .influx1, takesPrefix: true, isOpen: false
        ),
        Route(
            endpoint: .query, methods: [.GET, .POST], family: .influx1, takesPrefix: true,
            isOpen: false),
        Route(
            endpoint: .ping, methods: [.GET, .HEAD], family: .influx1, takesPrefix: true,
            isOpen: true),
        Route(
            endpoint: .health, methods: [.GET, .HEAD], family: .own, takesPrefix: true, isOpen: true
        ),
        Route(
            endpoint: .ready, methods: [.GET, .HEAD], family: .own, takesPrefix: false, isOpen: true
        ),
        Route(
            endpoint: .sql, methods: [.GET, .POST], family: .own, takesPrefix: false, isOpen: false),
        Route(
            endpoint: .cardinality, methods: [.GET], family: .own, takesPrefix: false, isOpen: false
        ),
        Route(
            endpoint: .metrics, methods: [.GET, .HEAD], family: .own, takesPrefix: false,
            isOpen: false),
    ]

    static func route(_ path: String) -> Route? {
        routes.first { route in
            let name = route.endpoint.rawValue
            guard route.takesPrefix else { return path == name }
            return path.hasSuffix(name) && !isOfLaterVersion(route, path)
        }
    }

    /// `/api/v2/query` takes Flux and is no `/query` below the path `/api/v2`.
    private static func isOfLaterVersion(_ route: Route, _ path: String) -> Bool {
        guard route.endpoint == .query || route.endpoint == .writeV1 else { return false }
        let prefix = path.dropLast(route.endpoint.rawValue.count)
        return prefix.hasSuffix("/api/v2") || prefix.hasSuffix("/api/v3")
    }

    /// The conventions for a path that is no endpoint.
    static func family(ofUnknown path: String) -> APIFamily {
        if path.contains("/api/v2/") { return .influx2 }
        if path.contains("/api/v3/") { return .influx3 }
        return .own
    }
}
