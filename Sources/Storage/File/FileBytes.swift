// Arrays in and out of files.

extension FileHandle {
    /// Reads up to `count` bytes; fewer at the end of the file.
    func readBytes(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        // Safe: `read` writes at most the buffer's size and keeps nothing.
        let outcome: Result<Int, StorageError> = bytes.withUnsafeMutableBytes { buffer in
            do throws(StorageError) { return .success(try read(into: buffer, at: offset)) } catch {
                return .failure(error)
            }
        }
        bytes.removeLast(count - (try outcome.get()))
        return bytes
    }

    /// Writes the first `count` bytes of an array.
    func writeBytes(
        _ bytes: [UInt8], count: Int? = nil, at offset: Int
    ) throws(StorageError) {
        // Safe: `prefix` never passes the array's end, and `write` keeps nothing.
        let outcome: Result<Void, StorageError> = bytes.withUnsafeBytes { buffer in
            let part = UnsafeRawBufferPointer(rebasing: buffer.prefix(count ?? buffer.count))
            do throws(StorageError) { return .success(try write(part, at: offset)) } catch {
                return .failure(error)
            }
        }
        try outcome.get()
    }
}
