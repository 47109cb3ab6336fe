/// The commit of this build. A release script may write it here; a plain build doesn't know.
enum BuildCommit {
    static let text = "unknown"
}
