// The loop that decodes symbol tables. The forms are drawn in CodedFrame.swift and SymbolDecoder.swift.
#include "apus_kernels.h"
#include "wide.h"
#include <string.h>

typedef int16_t sums8 __attribute__((vector_size(16), aligned(2), may_alias));
typedef int8_t bytes8 __attribute__((vector_size(8), aligned(1), may_alias));
typedef uint64_t eight __attribute__((vector_size(64), aligned(8), may_alias));
typedef int64_t signed8 __attribute__((vector_size(64), aligned(8), may_alias));

enum { INDEX_MASK = 2047, SLACK = 16 };

// Bits can be read SLACK bytes past their end, and eight sums be written past `end`.
typedef struct {
    const uint8_t *bits;
    size_t position;
    uint64_t window;
    int16_t *next;
    int16_t *end;
    sums8 sum;
} stream;

static inline ptrdiff_t left(const stream *s) { return s->end - s->next; }

// At least 57 bits.
static inline void refill(stream *s) {
    uint64_t word;
    memcpy(&word, s->bits + (s->position >> 3), 8);
    s->window = word >> (s->position & 7);
}

static inline sums8 sums_of(const stream *s, const uint64_t *entry) {
    return s->sum + __builtin_convertvector(*(const bytes8 *)entry, sums8);
}

// Of the last byte of an entry: how many differences, and how many bits their codes took.
static inline unsigned tag_of(const uint64_t *entry) { return ((const uint8_t *)entry)[7]; }

// All codes of one look-up. Writes eight sums, of which the next step overwrites those that are none.
static inline void step(stream *s, const uint64_t *entries) {
    const uint64_t *entry = entries + (s->window & INDEX_MASK);
    const sums8 sums = sums_of(s, entry);
    const unsigned tag = tag_of(entry);
    *(sums8 *)s->next = sums;
    s->sum = __builtin_shufflevector(sums, sums, 6, 6, 6, 6, 6, 6, 6, 6);
    s->next += tag & 15;
    s->window >>= tag >> 4;
    s->position += tag >> 4;
}

// Near the end: only the last code may bring more than is left, which doesn't count.
static inline int finish(stream *s, size_t bit_count, const uint64_t *entries,
                         const uint8_t *firsts) {
    while (left(s) > 0) {
        if (s->position > bit_count) return 0;
        refill(s);
        const size_t index = s->window & INDEX_MASK;
        const uint64_t *entry = entries + index;
        unsigned tag = tag_of(entry);
        if ((ptrdiff_t)(tag & 15) > left(s)) tag = firsts[index];
        const ptrdiff_t count = (ptrdiff_t)(tag & 15) < left(s) ? (ptrdiff_t)(tag & 15) : left(s);
        *(sums8 *)s->next = sums_of(s, entry);
        s->next += count;
        const int16_t sum = s->next[-1];
        s->sum = (sums8){sum, sum, sum, sum, sum, sum, sum, sum};
        s->position += tag >> 4;
    }
    return s->position <= bit_count;
}

// Whether the bits of a stream's last byte that it didn't take are zero.
static inline int is_padded(const stream *s) {
    return (s->position & 7) == 0 || s->bits[s->position >> 3] >> (s->position & 7) == 0;
}

static inline void place(const int16_t *sums, size_t count, uint64_t first, uint64_t slope,
                         unsigned shift, uint64_t *numbers) {
    const eight steps = {0, 1, 2, 3, 4, 5, 6, 7};
    eight line = steps * slope + first;
    const uint64_t step = slope * 8;
    size_t i = 0;
    if (shift == 0) {
        for (; i + 8 <= count; i += 8, line += step)
            *(eight *)(numbers + i) =
                (eight)__builtin_convertvector(*(const sums8 *)(sums + i), signed8) + line;
    } else {
        for (; i + 8 <= count; i += 8, line += step)
            *(eight *)(numbers + i) +=
                ((eight)__builtin_convertvector(*(const sums8 *)(sums + i), signed8) << shift) +
                line;
    }
    for (uint64_t at = line[0]; i < count; i++, at += slope)
        numbers[i] = (shift == 0 ? 0 : numbers[i]) + ((uint64_t)(int64_t)sums[i] << shift) + at;
}

// The streams' bytes forwards and backwards, with zeros behind them.
static inline void copy(const uint8_t *bytes, size_t count, uint8_t *forwards, uint8_t *backwards) {
    memcpy(forwards, bytes, count);
    memset(forwards + count, 0, SLACK);
    size_t rest = count;
    for (; rest >= 8; rest -= 8, backwards += 8) {
        uint64_t word;
        memcpy(&word, bytes + rest - 8, 8);
        word = __builtin_bswap64(word);
        memcpy(backwards, &word, 8);
    }
    while (rest > 0) *backwards++ = bytes[--rest];
    memset(backwards, 0, SLACK);
}

// A coded frame on its way: its two streams, and where their sums go.
typedef struct {
    stream a, b;
    size_t half, byte_count;
    int16_t *sums, *more;
} frame;

static inline void open_frame(frame *f, const apus_symbols_job *job, uint8_t *memory) {
    const size_t byte_count = job->byte_count;
    f->byte_count = byte_count;
    f->half = (job->count + 1) / 2;
    uint8_t *const forwards = memory;
    uint8_t *const backwards = memory + byte_count + SLACK;
    f->sums = (int16_t *)(memory + ((2 * (byte_count + SLACK) + 15) & ~(size_t)15));
    f->more = f->sums + ((f->half + 15) & ~(size_t)7);
    copy(job->streams, byte_count, forwards, backwards);
    f->a = (stream){forwards, 0, 0, f->sums, f->sums + f->half, {0}};
    f->b = (stream){backwards, 0, 0, f->more, f->more + (job->count - f->half), {0}};
}

// Decodes what is left of both streams. Inlined, so that it has the instructions of its callers.
__attribute__((always_inline)) static inline int close_frame(frame *f, const apus_symbols_job *job) {
    const size_t bit_count = f->byte_count * 8;
    stream a = f->a, b = f->b;
    // Five look-ups take 55 bits and bring 35 sums at most.
    while (left(&a) >= 35 && left(&b) >= 35 && a.position <= bit_count && b.position <= bit_count) {
        refill(&a);
        refill(&b);
        for (int i = 0; i < 5; i++) {
            step(&a, job->entries);
            step(&b, job->entries);
        }
    }
    while (left(&a) >= 14 && left(&b) >= 14 && a.position <= bit_count && b.position <= bit_count) {
        refill(&a);
        refill(&b);
        for (int i = 0; i < 2; i++) {
            step(&a, job->entries);
            step(&b, job->entries);
        }
    }
    if (!finish(&a, bit_count, job->entries, job->firsts) ||
        !finish(&b, bit_count, job->entries, job->firsts))
        return 0;
    if ((a.position + 7) / 8 + (b.position + 7) / 8 != f->byte_count || !is_padded(&a) ||
        !is_padded(&b))
        return 0;
    const size_t half = f->half;
    place(f->sums, half, job->first + job->slope, job->slope, job->shift, job->numbers);
    const uint64_t middle = (uint64_t)(int64_t)f->sums[half - 1] << job->shift;
    place(f->more, job->count - half, job->first + middle + job->slope * (half + 1), job->slope,
          job->shift, job->numbers + half);
    return 1;
}

WIDE int apus_decode_symbols(const apus_symbols_job *job, void *scratch) {
    _Alignas(16) uint8_t stack[APUS_SYMBOLS_STACK];
    frame f;
    open_frame(&f, job, scratch ? scratch : stack);
    return close_frame(&f, job);
}

// Each stream waits for its look-up most of the time: of two frames, four do so together.
WIDE int apus_decode_symbols_twice(const apus_symbols_job *one, const apus_symbols_job *two) {
    _Alignas(16) uint8_t stack[2 * APUS_SYMBOLS_STACK];
    frame f, g;
    open_frame(&f, one, stack);
    open_frame(&g, two, stack + APUS_SYMBOLS_STACK);
    stream a = f.a, b = f.b, c = g.a, d = g.b;
    const uint64_t *const left_entries = one->entries, *const right_entries = two->entries;
    const size_t left_bits = f.byte_count * 8, right_bits = g.byte_count * 8;
    while (left(&a) >= 35 && left(&b) >= 35 && left(&c) >= 35 && left(&d) >= 35 &&
           a.position <= left_bits && b.position <= left_bits && c.position <= right_bits &&
           d.position <= right_bits) {
        refill(&a);
        refill(&b);
        refill(&c);
        refill(&d);
        for (int i = 0; i < 5; i++) {
            step(&a, left_entries);
            step(&b, left_entries);
            step(&c, right_entries);
            step(&d, right_entries);
        }
    }
    f.a = a, f.b = b, g.a = c, g.b = d;
    const int is_first_whole = close_frame(&f, one), is_second_whole = close_frame(&g, two);
    return is_first_whole && is_second_whole;
}
