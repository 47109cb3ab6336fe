// Text on its way into the network.

package import ApusQuery
package import NIOCore

extension TextWriter {
    /// The bytes as a buffer of the network's; the writer is empty after.
    package func take(_ allocator: ByteBufferAllocator) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: count)
        buffer.writeBytes(bytes)
        removeAll()
        return buffer
    }
}
