// The types of other modules that the façade's signatures speak of, under their own names: a program
// that imports `Apus` needs no other module of ours.

public import ApusQuery
public import ApusStorage

public typealias Durability = ApusStorage.Durability
public typealias StorageError = ApusStorage.StorageError
public typealias StorageOptions = ApusStorage.StorageOptions
public typealias Timestamp = ApusStorage.Timestamp

public typealias QueryError = ApusQuery.QueryError
public typealias QueryStatistics = ApusQuery.QueryStatistics
public typealias ResultType = ApusQuery.ResultType
