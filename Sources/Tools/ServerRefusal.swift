// What a command says of a server that did not do what it was asked.

internal import ApusClient

extension ServerAddress {
    func unavailable(_ reason: String) -> TransferFailure {
        TransferFailure(exitCode: ExitCodes.unavailable, "\(host):\(port): \(reason)")
    }

    func refusal(status: Int, message: String) -> TransferFailure {
        switch status {
        case 401: unavailable("it wants a token (--token, or APUS_TOKEN): \(message)")
        case 403: unavailable("the token does not allow it: \(message)")
        default: unavailable("it answered \(status): \(message)")
        }
    }
}
