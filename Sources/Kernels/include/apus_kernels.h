// What Swift cannot say in portable code: instructions chosen at run time, thread names, SIGBUS.
#ifndef APUS_KERNELS_H
#define APUS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "apus_file_calls.h"
#include "apus_mapping_guard.h"

// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) of `count` bytes, continuing from `crc`
// (0 for a fresh start). Uses the CPU's instruction where there is one, a table elsewhere.
uint32_t apus_crc32c(uint32_t crc, const void *bytes, size_t count);

// The same by table, whatever the CPU: what tests compare with.
uint32_t apus_crc32c_portable(uint32_t crc, const void *bytes, size_t count);

// Smallest and largest of `count` >= 1 numbers.
void apus_int64_range(const int64_t *values, size_t count, int64_t *low, int64_t *high);

// The same and the sum modulo 2^64.
void apus_int64_summary(const int64_t *values, size_t count, int64_t *low, int64_t *high,
                        uint64_t *sum);

// Unpacks `rows` × 8 numbers of `width` 1 ... 64 bits, one after another with low bits first, and
// adds `base` to each. Reads up to nine bytes behind the last row.
void apus_unpack_rows(const void *packed, size_t rows, unsigned width, uint64_t base,
                      uint64_t *numbers);

// Unpacks 1,024 numbers of 16 lanes × 64 rows from 128 × `width` bytes, `width` 1 ... 64, and adds
// `base` to each.
void apus_unpack_group(const void *packed, unsigned width, uint64_t base, uint64_t *numbers);

// Replaces every number by the sum of `sum` and all numbers up to it, modulo 2^64.
void apus_running_sums(uint64_t *numbers, size_t count, uint64_t sum);

// Replaces integers (two's complement, below 2^51) by the bits of integer / power, rounded once.
void apus_restore_decimals(uint64_t *values, size_t count, double power);

// Names the calling thread for `top -H` and `perf`; at most 15 bytes are kept.
void apus_set_thread_name(const char *name);

#endif
