internal import ApusStorage
internal import Glibc

/// A file of `SimulatedFileSystem`, whatever its names: touched only under that one's lock.
final class SimulatedFile {
    enum Change {
        case write(Int, [UInt8])
        case resize(Int)
    }

    static let sectorBytes = 512

    var content: [UInt8] = []
    var durable: [UInt8] = []
    /// What lies between `durable` and `content`, in order.
    var pending: [Change] = []

    func copied() -> SimulatedFile {
        let copy = SimulatedFile()
        copy.content = content
        copy.durable = durable
        copy.pending = pending
        return copy
    }

    func apply(_ change: Change) {
        SimulatedFile.apply(change, to: &content)
        pending.append(change)
    }

    func syncAll() {
        for change in pending { SimulatedFile.apply(change, to: &durable) }
        pending = []
    }

    /// Makes a random part durable; with `forgetting`, no later sync brings the rest.
    func syncPart(_ random: inout SimulatedRandom, forgetting: Bool) {
        durable = withRandomPart(&random)
        if forgetting { pending = [] }
    }

    /// The durable bytes with any sectors of the pending writes.
    func withRandomPart(_ random: inout SimulatedRandom) -> [UInt8] {
        var result = durable
        // A share of its own for each file, so that all and nothing come up often.
        let keptOfFour = random.below(5)
        for change in pending {
            guard case .write(let offset, let bytes) = change else {
                if random.below(4) < keptOfFour { SimulatedFile.apply(change, to: &result) }
                continue
            }
            var start = 0
            while start < bytes.count {
                let sectorEnd =
                    ((offset + start) / SimulatedFile.sectorBytes + 1)
                    * SimulatedFile.sectorBytes
                let end = min(bytes.count, sectorEnd - offset)
                if random.below(4) < keptOfFour {
                    SimulatedFile.apply(
                        .write(offset + start, Array(bytes[start..<end])), to: &result)
                }
                start = end
            }
        }
        return result
    }

    private static func apply(_ change: Change, to bytes: inout [UInt8]) {
        switch change {
        case .resize(let size):
            if size < bytes.count {
                bytes.removeLast(bytes.count - size)
            } else {
                bytes.append(contentsOf: repeatElement(0, count: size - bytes.count))
            }
        case .write(let offset, let written):
            let end = offset + written.count
            if end > bytes.count {
                bytes.append(contentsOf: repeatElement(0, count: end - bytes.count))
            }
            bytes.withUnsafeMutableBytes { target in
                UnsafeMutableRawBufferPointer(rebasing: target[offset..<end])
                    .copyBytes(from: written)
            }
        }
    }
}

/// What `SimulatedFileSystem` guards with its lock.
struct SimulatedState {
    struct Fault {
        var kind: SimulatedFileSystem.CallKind
        var remaining: Int
        var failure: SimulatedFileSystem.Failure
        var forEver: Bool
        var pathContains: String
    }

    enum NameChange {
        case link(String, SimulatedFile)
        case unlink(String)
        case rename(String, String, SimulatedFile)
        case makeDirectory(String)
        case removeDirectory(String)

        /// The directory whose sync makes it durable.
        var directory: String {
            switch self {
            case .link(let path, _), .unlink(let path), .rename(let path, _, _),
                .makeDirectory(let path), .removeDirectory(let path):
                SimulatedState.parent(path)
            }
        }
    }

    var names: [String: SimulatedFile] = [:]
    var directories: Set<String> = []
    var durableNames: [String: SimulatedFile] = [:]
    var durableDirectories: Set<String> = []
    var pendingNames: [NameChange] = []

    var callCount = 0
    var changeCount = 0
    var crashAtCall: Int?
    var crashAtChange: Int?
    var crashed = false
    var faults: [Fault] = []
    var bytesMax: Int?
    var recordsCalls = false
    var callLog: [SimulatedFileSystem.Call] = []
    var random = SimulatedRandom(seed: 1)
    private var partialWriteIsDue = false

    static func parent(_ path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
    }

    static func name(_ path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    func hasDirectory(_ path: String) -> Bool { path.isEmpty || directories.contains(path) }

    var usedBytes: Int { names.values.reduce(0) { $0 + $1.content.count } }
    var roomToGrow: Int? { bytesMax.map { max(0, $0 - usedBytes) } }

    /// Whether the call that has just failed may do a part of its work.
    mutating func takePartialWrite() -> Bool {
        defer { partialWriteIsDue = false }
        return partialWriteIsDue
    }

    /// Counts a call, and throws if it is to fail.
    mutating func begin(
        _ kind: SimulatedFileSystem.CallKind, _ path: String, offset: Int = 0, count: Int = 0
    ) throws(StorageError) {
        guard !crashed else { throw .io(file: path, call: "\(kind)", errno: EIO) }
        callCount += 1
        if kind.changes { changeCount += 1 }
        if recordsCalls {
            callLog.append(
                SimulatedFileSystem.Call(kind: kind, path: path, offset: offset, count: count))
        }
        if callCount == crashAtCall || (kind.changes && changeCount == crashAtChange) {
            crashed = true
            partialWriteIsDue = true
            throw .io(file: path, call: "\(kind)", errno: EIO)
        }
        for index in faults.indices
        where faults[index].kind == kind
            && (faults[index].pathContains.isEmpty || path.contains(faults[index].pathContains))
        {
            faults[index].remaining -= 1
            let fault = faults[index]
            guard fault.remaining == 0 || (fault.remaining < 0 && fault.forEver) else { continue }
            partialWriteIsDue = true
            switch fault.failure {
            case .noSpace: throw .diskFull(file: path)
            case .inputOutput: throw .io(file: path, call: "\(kind)", errno: EIO)
            }
        }
    }

    mutating func applyDurably(_ change: NameChange) {
        switch change {
        case .link(let path, let file): durableNames[path] = file
        case .unlink(let path): durableNames[path] = nil
        case .rename(let from, let to, let file):
            if durableNames[from] === file { durableNames[from] = nil }
            durableNames[to] = file
        case .makeDirectory(let path): durableDirectories.insert(path)
        case .removeDirectory(let path): durableDirectories.remove(path)
        }
    }

    /// The same bytes and names, synced or not, without faults.
    func copied() -> SimulatedState {
        var copies: [ObjectIdentifier: SimulatedFile] = [:]
        func copy(_ file: SimulatedFile) -> SimulatedFile {
            if let known = copies[ObjectIdentifier(file)] { return known }
            let made = file.copied()
            copies[ObjectIdentifier(file)] = made
            return made
        }
        var result = SimulatedState()
        result.names = names.mapValues(copy)
        result.durableNames = durableNames.mapValues(copy)
        result.directories = directories
        result.durableDirectories = durableDirectories
        result.pendingNames = pendingNames.map { change in
            switch change {
            case .link(let path, let file): .link(path, copy(file))
            case .rename(let from, let to, let file): .rename(from, to, copy(file))
            default: change
            }
        }
        result.bytesMax = bytesMax
        return result
    }

    func surviving(_ kept: SimulatedFileSystem.PowerLoss, seed: UInt64) -> SimulatedState {
        var random = SimulatedRandom(seed: seed)
        var image = copied()
        switch kept {
        case .nothingUnsynced: break
        case .everything:
            for change in image.pendingNames { image.applyDurably(change) }
        case .randomSubset:
            let keptOfFour = random.below(5)
            for change in image.pendingNames where random.below(4) < keptOfFour {
                image.applyDurably(change)
            }
        }
        image.pendingNames = []
        // A name is reachable only if all directories above it are.
        func isReachable(_ path: String) -> Bool {
            let parent = SimulatedState.parent(path)
            return parent.isEmpty
                || (image.durableDirectories.contains(parent) && isReachable(parent))
        }
        image.durableDirectories = image.durableDirectories.filter(isReachable)
        image.durableNames = image.durableNames.filter { isReachable($0.key) }
        image.directories = image.durableDirectories
        image.names = image.durableNames
        var done: Set<ObjectIdentifier> = []
        // In order of names: the same seed has to give the same image.
        for (_, file) in image.names.sorted(by: { $0.key < $1.key })
        where done.insert(ObjectIdentifier(file)).inserted {
            switch kept {
            case .nothingUnsynced: file.content = file.durable
            case .everything: break
            case .randomSubset: file.content = file.withRandomPart(&random)
            }
            file.durable = file.content
            file.pending = []
        }
        return image
    }
}

/// SplitMix64: small, and the same everywhere for a seed.
struct SimulatedRandom: Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed &>> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed &>> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed &>> 31)
    }

    mutating func below(_ limit: Int) -> Int {
        limit <= 0 ? 0 : Int(next() % UInt64(limit))
    }
}
