// What would become of batches, without a store: names, types and times are settled against a
// catalog that begins empty and ends with the process.

internal import Synchronization

/// Settles batches as a commit does and stores nothing. Thread-safe.
///
/// It knows neither the fields nor the retention of any database: a field has the type of the
/// first value it sees.
package final class BatchValidation: Sendable {
    package let catalog = Catalog()
    private let options: StorageOptions
    /// One batch at a time defines things.
    private let defining = Mutex(())

    package init(options: StorageOptions = StorageOptions()) {
        self.options = options
    }

    /// The rows and values that would be stored, and the lines that would not.
    package func validate(_ batch: WriteBatch) throws(StorageError) -> WriteReceipt {
        let resolver = BatchResolver(
            catalog: catalog, options: options, nowNanoseconds: EngineEnvironment.system.now(),
            // A partition is new for its first batch alone; a file may touch any number of them.
            isKnownPartition: { _, _ in true })
        try resolver.resolve(batch)
        defining.withLock { _ in
            var binder = BatchBinder(catalog: catalog, options: options)
            binder.bind(batch)
            catalog.enact(binder.staged)
        }
        return WriteReceipt(batch, sequence: 0)
    }
}
