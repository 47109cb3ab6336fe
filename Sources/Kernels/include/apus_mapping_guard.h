// Keeps a process alive when a page of a mapped file can't be read: the device fails, or the file
// was cut short. The system says so by SIGBUS, which Swift cannot catch.
//
// The handler puts a page of zeros over the one that can't be read and marks the mapping as
// poisoned. Whoever used bytes of it has to ask afterwards whether they were the file's.
#ifndef APUS_MAPPING_GUARD_H
#define APUS_MAPPING_GUARD_H

#include <stddef.h>

// Guards a mapping of whole pages; the first call installs the handler, which passes every fault
// outside guarded mappings on to the one that was there. Returns a number for the calls below, or
// -1 if there is no room: the mapping can be used, and a fault in it ends the process.
int apus_guard_mapping(const void *address, size_t byte_count);

// Whether a page of the mapping was replaced by zeros. Always 0 for -1.
int apus_mapping_is_poisoned(int number);

// To be called before the mapping is unmapped.
void apus_release_mapping(int number);

#endif
