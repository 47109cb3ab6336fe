// A store for one test.

import Apus
import ApusTestKit

/// Opens a store in a directory of its own, and closes and removes it afterwards.
func withTemporaryStore(
    _ options: StoreOptions = StoreOptions(), _ body: (Store) async throws -> Void
) async throws {
    let directory = TemporaryDirectory()
    let store = try await Store.open(at: directory.path, options: options)
    try await body(store)
    try await store.close()
}
