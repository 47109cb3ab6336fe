// The loops of aggregates over a column's slots.
#include "apus_kernels.h"
#include "wide.h"

typedef double doubles8 __attribute__((vector_size(64), aligned(8), may_alias));
typedef int64_t signed8 __attribute__((vector_size(64), aligned(8), may_alias));

WIDE void apus_int64_halves(const int64_t *values, const uint8_t *valid, size_t count,
                            int64_t *high, int64_t *low) {
    int64_t upper = 0, lower = 0;
    if (valid) {
        for (size_t i = 0; i < count; i++) {
            const int64_t value = values[i] & -(int64_t)valid[i];
            upper += value >> 32;
            lower += value & 0xFFFFFFFF;
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            upper += values[i] >> 32;
            lower += values[i] & 0xFFFFFFFF;
        }
    }
    *high = upper;
    *low = lower;
}

// Lane by lane; a comparison with NaN is false, so that it leaves both as they are.
WIDE size_t apus_double_range(const double *values, size_t count, double *low, double *high) {
    double smallest = __builtin_inf(), largest = -__builtin_inf();
    size_t i = 0, numbers = 0;
    if (count >= 8) {
        signed8 lows = (signed8)((doubles8){} + smallest), highs = (signed8)((doubles8){} + largest);
        signed8 seen = {};
        for (; i + 8 <= count; i += 8) {
            const doubles8 lane = *(const doubles8 *)(values + i);
            const signed8 bits = (signed8)lane;
            const signed8 below = lane < (doubles8)lows, above = lane > (doubles8)highs;
            lows = (bits & below) | (lows & ~below);
            highs = (bits & above) | (highs & ~above);
            seen -= lane == lane;
        }
        for (int j = 0; j < 8; j++) {
            const double a = ((doubles8)lows)[j], b = ((doubles8)highs)[j];
            smallest = a < smallest ? a : smallest;
            largest = b > largest ? b : largest;
            numbers += (size_t)seen[j];
        }
    }
    for (; i < count; i++) {
        smallest = values[i] < smallest ? values[i] : smallest;
        largest = values[i] > largest ? values[i] : largest;
        numbers += values[i] == values[i];
    }
    *low = smallest;
    *high = largest;
    return count - numbers;
}
