// Who may do what: tokens from a file.
//
//     # a comment
//     TOKEN read|write|admin[,…] [database,database]
//
// One token a line, fields separated by blanks. `admin` may everything. Without databases a token
// holds for all of them.

internal import ApusQuery

/// What a token is good for.
package struct Permissions: Sendable, Equatable {
    package var canRead: Bool
    package var canWrite: Bool
    package var isAdmin: Bool
    /// Nil means every database.
    package var databases: [String]?
    /// Equal for whatever comes with one token, and means nothing beyond this process; nil without tokens.
    package var holder: Int?

    package init(canRead: Bool, canWrite: Bool, isAdmin: Bool, databases: [String]?) {
        self.canRead = canRead
        self.canWrite = canWrite
        self.isAdmin = isAdmin
        self.databases = databases
    }

    package static let everything = Permissions(
        canRead: true, canWrite: true, isAdmin: true, databases: nil)

    package func covers(_ database: String) -> Bool { queryAccess.covers(database) }

    /// The same, for statements: the query engine asks it of each, and of each database named.
    var queryAccess: QueryAccess {
        var access = QueryAccess()
        access.canRead = canRead
        access.canWrite = canWrite
        access.isAdmin = isAdmin
        access.databases = databases
        access.holder = holder
        return access
    }
}

/// The tokens of a server. Immutable.
package struct TokenTable: Sendable {
    private var entries: [(token: [UInt8], permissions: Permissions)] = []

    package var count: Int { entries.count }

    /// Reads the text of a token file. Errors name the line, never the token.
    package init(text: String) throws(OptionError) {
        var number = 0
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            number += 1
            let words = line.split { $0 == " " || $0 == "\t" || $0 == "\r" }
            guard let token = words.first, !token.hasPrefix("#") else { continue }
            guard words.count >= 2 else {
                throw OptionError(
                    "line \(number): no rights after the token (read, write or admin)")
            }
            guard words.count <= 3 else {
                throw OptionError(
                    "line \(number): more than token, rights and databases; join databases by commas"
                )
            }
            var permissions = Permissions(
                canRead: false, canWrite: false, isAdmin: false, databases: nil)
            for right in words[1].split(separator: ",") {
                switch right {
                case "read": permissions.canRead = true
                case "write": permissions.canWrite = true
                case "admin":
                    permissions.canRead = true
                    permissions.canWrite = true
                    permissions.isAdmin = true
                default: throw OptionError("line \(number): '\(right)' is not read, write or admin")
                }
            }
            if words.count == 3 {
                permissions.databases = words[2].split(separator: ",").map(String.init)
            }
            let bytes = Array(token.utf8)
            // Seeded anew in each process: it tells nothing about the token.
            permissions.holder = bytes.hashValue
            guard !entries.contains(where: { $0.token == bytes }) else {
                throw OptionError("line \(number): the token is there twice")
            }
            entries.append((bytes, permissions))
        }
        guard !entries.isEmpty else { throw OptionError("no token in the file") }
    }

    /// The permissions of a token; nil if it is unknown. Takes as long for any wrong token.
    package func permissions(of token: String) -> Permissions? {
        let given = Array(token.utf8)
        var found: Permissions?
        for entry in entries where Self.isEqual(entry.token, given) { found = entry.permissions }
        return found
    }

    /// Compares every byte of `expected`, wherever the first difference is.
    private static func isEqual(_ expected: [UInt8], _ given: [UInt8]) -> Bool {
        var difference = UInt(bitPattern: expected.count ^ given.count)
        for index in expected.indices {
            let other = given.isEmpty ? 0 : given[index % given.count]
            difference |= UInt(expected[index] ^ other)
        }
        return difference == 0
    }
}
