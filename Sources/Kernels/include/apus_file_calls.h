// Linux's own file calls, which the Glibc module doesn't show to Swift.
// Each returns 0, or -1 with errno set.
#ifndef APUS_FILE_CALLS_H
#define APUS_FILE_CALLS_H

#include <stdint.h>

// Reserves blocks for the first byte_count bytes; the file grows to them.
int apus_allocate(int descriptor, int64_t byte_count);

// Starts writing a range of dirty pages out, without waiting.
int apus_start_writeback(int descriptor, int64_t offset, int64_t byte_count);

// Swaps two names of one file system atomically.
int apus_exchange(const char *first, const char *second);

#endif
