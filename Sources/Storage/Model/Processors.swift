// What the machine has to run threads on.

internal import Glibc

package enum Processors {
    /// That are online, at least one.
    package static var count: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}
