package struct ScanInput: Sendable { package enum Source: Sendable { case segment(SegmentTable); case chunk(ChunkView) }
  package var source: Source; package var priority: Int
  package init(source: Source, priority: Int) { self.source = source; self.priority = priority } }
package struct SourceScan: Sendable {
  package init(inputs: [ScanInput], request: ScanRequest, fieldTypes: [FieldType]) throws(StorageError) {}
  package func pieces(rowsPerMorsel: Int) -> [SourceScanPiece] { [] }
  package func run<Consumer: ScanConsumer>(_ piece: SourceScanPiece, into consumer: inout Consumer, counters: inout ScanCounters) throws(StorageError) {}
}
package struct SourceScanPiece: Sendable { package var estimatedRows: Int }
