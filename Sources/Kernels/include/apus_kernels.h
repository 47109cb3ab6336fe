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

// The sums of the numbers' upper and lower halves, value >> 32 and value & (2^32 − 1), without those
// whose byte of `valid` is 0, if it isn't NULL: their sum is high × 2^32 + low. Exact below 2^31 numbers.
void apus_int64_halves(const int64_t *values, const uint8_t *valid, size_t count, int64_t *high,
                       int64_t *low);

// Smallest and largest of `count` doubles but NaN; ∞ and −∞ where there is none. Returns how many are
// NaN.
size_t apus_double_range(const double *values, size_t count, double *low, double *high);

// differences[i] = numbers[i + 1] - numbers[i] - slope, modulo 2^64, count - 1 of them.
void apus_differences(const uint64_t *numbers, size_t count, uint64_t slope, uint64_t *differences);

// Splits the distances of numbers 1 ... count - 1 from a line, numbers[0] + i × slope, into `lows`, their
// `low_bits` low bits, and `differences` of what is above those, as signed numbers. A difference beyond
// ±15 becomes 0, and its number's index is put into `large`. Returns how many those are.
size_t apus_split_differences(const uint64_t *numbers, size_t count, uint64_t slope, unsigned low_bits,
                              int8_t *differences, uint64_t *lows, uint32_t *large);

// distances[i] = numbers[i] - base. Puts the indices of those that are not 0 ... mask into `outside`, and
// returns how many they are.
size_t apus_split_distances(const uint64_t *numbers, size_t count, uint64_t base, uint64_t mask,
                            uint64_t *distances, uint32_t *outside);

// How often each number occurs, of numbers low ... low + 255, into 256 counts.
void apus_count_bytes(const uint64_t *numbers, size_t count, uint64_t low, int32_t *counts);

// Replaces every number by number × factor + origin, modulo 2^64.
void apus_multiply(uint64_t *numbers, size_t count, uint64_t factor, uint64_t origin);

// The quotients of numbers - origin, as signed numbers, by a factor below 2^51; 0 if one is no integer
// or some distance has more than 51 bits and a sign.
int apus_divide_exactly(const uint64_t *numbers, size_t count, uint64_t factor, uint64_t origin,
                        uint64_t *quotients);

// How many numbers are not base + 0 ... mask.
size_t apus_count_outside(const uint64_t *numbers, size_t count, uint64_t base, uint64_t mask);

// Decodes `count` >= 1 doubles, the first known, from the flags and windows of their XORs
// (GorillaCodec.swift). 0 if flags or bits are not used up exactly, or are impossible. Reads up to
// APUS_XORS_SLACK bytes behind both.
int apus_decode_xors(const void *flags, size_t flag_count, const void *packed, size_t bit_count,
                     size_t count, uint64_t first, uint64_t *values);

#define APUS_XORS_STEP 28
// So many doubles of 75 bits each, and a load.
#define APUS_XORS_SLACK 288

// Unpacks `rows` × 8 numbers of `width` 1 ... 64 bits, one after another with low bits first, and
// adds `base` to each. Reads up to nine bytes behind the last row.
void apus_unpack_rows(const void *packed, size_t rows, unsigned width, uint64_t base,
                      uint64_t *numbers);

// Packs `rows` × 8 numbers of `width` 1 ... 64 bits that way, each XOR `flip`, which leaves `width` bits.
// Writes up to seven bytes behind the last row.
void apus_pack_rows(const uint64_t *numbers, size_t rows, unsigned width, uint64_t flip, void *packed);

// Unpacks 1,024 numbers of 16 lanes × 64 rows from 128 × `width` bytes, `width` 1 ... 64, and adds
// `base` to each.
void apus_unpack_group(const void *packed, unsigned width, uint64_t base, uint64_t *numbers);

// Replaces every number by the sum of `sum` and all numbers up to it, modulo 2^64.
void apus_running_sums(uint64_t *numbers, size_t count, uint64_t sum);

// Decodes the two streams of a coded frame (CodedFrame.swift) under the 2,048 `entries` and `firsts`
// of a symbol table (SymbolDecoder.swift), of which none stands for nothing: sets numbers[i] to
// first + (i + 1) × slope + sums[i] × 2^shift, modulo 2^64, and with a shift adds what was there.
// `scratch` has apus_symbols_room bytes, or is NULL if that is at most APUS_SYMBOLS_STACK. 0 if the
// streams don't hold `count` differences or are not used up exactly.
int apus_decode_symbols(const uint64_t *entries, const uint8_t *firsts, const void *streams,
                        size_t byte_count, size_t count, uint64_t first, uint64_t slope,
                        unsigned shift, uint64_t *numbers, void *scratch);

// Bytes that decoding takes beside its result.
static inline size_t apus_symbols_room(size_t byte_count, size_t count) {
    return 2 * (byte_count + 32) + 2 * (count + 48) + 64;
}

#define APUS_SYMBOLS_STACK 8192

// Unpacks `rows` × 8 numbers of `width` 1 ... 16 bits as apus_unpack_rows does, modulo 2^16. Reads up
// to 32 bytes behind the last row, and may write a row more.
void apus_unpack_narrow_rows(const void *packed, size_t rows, unsigned width, uint16_t base,
                             uint16_t *numbers);

// Unpacks 1,024 numbers of `width` 1 ... 16 bits as apus_unpack_group does, modulo 2^16.
void apus_unpack_narrow_group(const void *packed, unsigned width, uint16_t base, uint16_t *numbers);

// Puts exceptions into their places: 0 if one is `count` or more. An odd code c stands for
// base − 1 − (c − 1) / 2, an even one for base + bound + c / 2; the codes are replaced by that.
// `numbers` has room for 65,536, `codes` for a multiple of 16.
int apus_narrow_patch(uint16_t *numbers, size_t count, const uint16_t *positions, uint16_t *codes,
                      size_t exception_count, uint16_t bound, uint16_t base);

// Smallest, largest and sum of `count` numbers, at least 16 and a multiple of it, 65,536 at most.
void apus_narrow_summary(const int16_t *numbers, size_t count, int *low, int *high, int64_t *sum);

// The same of the sums of `before` and all numbers up to each, which is also what returns: the last
// of them. Sums inside of either half, from 0 in the second, are modulo 2^16.
int apus_narrow_running_summary(const int16_t *numbers, size_t count, int16_t before, int *low,
                                int *high, int64_t *sum);

// Replaces integers (two's complement, below 2^51) by the bits of integer / power, rounded once.
void apus_restore_decimals(uint64_t *values, size_t count, double power);

// The integer n below 2^51 of each double x with x == n / power, rounded once; APUS_NO_INTEGER where
// there is none. Returns how many those are.
size_t apus_scale_decimals(const uint64_t *values, size_t count, double power, uint64_t *integers);

#define APUS_NO_INTEGER ((uint64_t)1 << 63)

typedef enum { APUS_INT64, APUS_UINT64, APUS_FLOAT64 } apus_number_type;
typedef enum { APUS_LESS, APUS_EQUAL, APUS_GREATER } apus_order;

// Sets bit i % 8 of byte i / 8 where value i is less than, equal to or greater than a constant, which is
// no NaN; a NaN among the values is greater than all numbers. Bits up to the next multiple of eight hold
// anything.
void apus_filter(const uint64_t *values, size_t count, apus_number_type type, apus_order order,
                 uint64_t constant, uint64_t *bits);

// Sets bit i % 64 of word i / 64 where code i, of `width` 1, 2 or 4 bytes, is `code`; other bits stay.
void apus_match_codes(const void *codes, unsigned width, size_t count, uint32_t code, uint64_t *bits);

// Sets bit i % 64 of word i / 64 where the set has the bit of code i, of `width` 1, 2 or 4 bytes; other bits
// stay. Codes of `set_count` or more are in no set, whose word for `set_count` is there and has that bit 0.
void apus_select_codes(const void *codes, unsigned width, size_t count, const uint64_t *set,
                       uint32_t set_count, uint64_t *bits);

// Sets found[i] to 1 for each of `count` values, from value `first` on, that contains the needle, of at least
// one byte. Value n lies at bytes[ends[n - 1]] up to ends[n], the first from 0 on.
void apus_find_in_values(const uint8_t *bytes, const uint32_t *ends, size_t first, size_t count,
                         const uint8_t *needle, size_t needle_count, uint8_t *found);

// How many of `count` bytes are newlines; sets `has_quote` to 1 if one is a double quote.
size_t apus_count_newlines(const void *bytes, size_t count, int *has_quote);

// Asks for the line of memory at `address`, which may be anything, before it is needed.
static inline void apus_prefetch(const void *address) { __builtin_prefetch(address); }

// Keeps freed memory of up to 32 MiB a piece in the process, for whoever allocates and frees large
// buffers all the time: fresh pages cost as much as filling them.
void apus_keep_freed_memory(void);

// The calling thread is about to allocate so many bytes in small blocks, and to keep them: the allocator
// takes them from large pages, whose first touch costs a hundredth. Keeps freed memory, as above.
void apus_expect_allocations(size_t bytes);

// Has threads share at most so many of the allocator's arenas, each of which keeps what was freed in it.
void apus_share_freed_memory(int arenas);

// Gives freed memory back to the system, if the process has more than `resident_max` bytes of anonymous
// memory and more than `idle_max` bytes of it are free. Takes milliseconds then. Returns the bytes free.
size_t apus_return_freed_memory(size_t resident_max, size_t idle_max);

// Names the calling thread for `top -H` and `perf`; at most 15 bytes are kept.
void apus_set_thread_name(const char *name);

#endif
