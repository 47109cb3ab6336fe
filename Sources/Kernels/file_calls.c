#define _GNU_SOURCE
#include "apus_file_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int apus_allocate(int descriptor, int64_t byte_count) {
#if defined(__linux__)
    return fallocate(descriptor, 0, 0, byte_count);
#else
    (void)descriptor, (void)byte_count;
    errno = ENOSYS;
    return -1;
#endif
}

int apus_start_writeback(int descriptor, int64_t offset, int64_t byte_count) {
#if defined(__linux__)
    return sync_file_range(descriptor, offset, byte_count, SYNC_FILE_RANGE_WRITE);
#else
    (void)descriptor, (void)offset, (void)byte_count;
    return 0;
#endif
}

int apus_exchange(const char *first, const char *second) {
#if defined(__linux__) && defined(RENAME_EXCHANGE)
    return renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE);
#else
    (void)first, (void)second;
    errno = ENOSYS;
    return -1;
#endif
}
