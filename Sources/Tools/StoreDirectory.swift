// A data directory opened by a command that works without a server.

package import Apus
internal import ApusStorage
internal import Glibc

package enum StoreDirectory {
    /// Opens a directory. Other people's directories are left alone, and a path with a typing error
    /// must not become a new database.
    ///
    /// - Parameter create: make it if there is none, or if it is empty.
    package static func open(
        _ path: String, create: Bool, options: StoreOptions
    ) throws(TransferFailure) -> Store {
        var status = stat()
        let isThere = stat(path, &status) == 0
        if isThere, status.st_mode & S_IFMT != S_IFDIR {
            throw TransferFailure(exitCode: ExitCodes.usage, "\(path) is not a directory")
        }
        if !isThere, !create {
            throw TransferFailure(
                exitCode: ExitCodes.noInput, "\(path): there is no such directory")
        }
        let begins = !isThere || !isStore(path)
        if isThere, begins, !create || !isEmpty(path) {
            throw TransferFailure(
                exitCode: ExitCodes.format, "\(path) is not a data directory of Apus")
        }
        do throws(StorageError) {
            return try Store(blockingAt: path, options: options)
        } catch {
            if case .locked = error {
                // What is in it is the other process's by now.
            } else if begins {
                removeBeginning(path, withFolder: !isThere)
            }
            throw TransferFailure(error)
        }
    }

    /// Closes what `open` gave, and ends its threads.
    package static func close(_ store: Store) throws(TransferFailure) {
        defer { store.stopWorkers() }
        do throws(StorageError) { try store.closeBlocking() } catch {
            throw TransferFailure(error)
        }
    }

    /// Takes away what a store that could not begin has made: nothing was ever stored in it.
    private static func removeBeginning(_ path: String, withFolder: Bool) {
        guard let files = try? PosixFileSystem(root: path, create: false) else { return }
        for folder in ["log", "catalog", "data"] {
            for name in (try? files.list(folder)) ?? [] { unlink("\(path)/\(folder)/\(name)") }
            rmdir("\(path)/\(folder)")
        }
        for name in ["MANIFEST", "MANIFEST.new", "LOCK"] { unlink("\(path)/\(name)") }
        if withFolder { rmdir(path) }
    }

    /// Also one that lost its MANIFEST: opening it says so.
    private static func isStore(_ path: String) -> Bool {
        let hasManifest = ["MANIFEST", "MANIFEST.previous"].contains {
            access("\(path)/\($0)", F_OK) == 0
        }
        if hasManifest { return true }
        guard let files = try? PosixFileSystem(root: path, create: false) else { return false }
        return StoreFiles.exist(in: files)
    }

    /// Whether nothing is in it but what a store that never began left behind.
    private static func isEmpty(_ path: String) -> Bool {
        guard let files = try? PosixFileSystem(root: path, create: false),
            let names = try? files.list("")
        else { return false }
        return names.allSatisfy { $0 == "LOCK" }
    }
}
