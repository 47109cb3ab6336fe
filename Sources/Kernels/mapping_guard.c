#define _GNU_SOURCE
#include "apus_mapping_guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

// A place in the registry. Its owner writes it, the handler on any thread reads it: no locks.
// A thread that faults in a mapping holds a reference to it, so that its place can't change
// meanwhile. The others can: a start of one mapping and an end of the next, read from one place,
// would take in what lies between. So the state counts the uses of its place, and what was read is
// good only if it stands still.
enum { FREE, CLAIMED, LIVE, STATE_COUNT = 4 };
struct guarded {
    // FREE, CLAIMED or LIVE, and STATE_COUNT times the number of uses.
    _Atomic uint64_t state;
    _Atomic int is_poisoned;
    _Atomic uintptr_t start;
    _Atomic uintptr_t end;
};

// As many as Linux lets a process map by default. Untouched places cost no memory.
enum { PLACE_COUNT = 65536 };
static struct guarded places[PLACE_COUNT];
// Places from here on were never used.
static _Atomic int used_end;
// Where a free place is likely.
static _Atomic int hint;

static struct sigaction previous;
static uintptr_t page_byte_count;

static struct guarded *find(uintptr_t address) {
    int end = atomic_load(&used_end);
    for (int i = 0; i < end; i++) {
        struct guarded *place = &places[i];
        uint64_t state = atomic_load(&place->state);
        if (state % STATE_COUNT == LIVE && address >= atomic_load(&place->start) &&
            address < atomic_load(&place->end) && atomic_load(&place->state) == state)
            return place;
    }
    return NULL;
}

static void pass_on(int number, siginfo_t *info, void *context) {
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    } else if (previous.sa_handler == SIG_DFL || info->si_code > 0) {
        // A fault comes again on return, and then ends the process where it happened; the system
        // ignores no fault either. A signal that was sent has to be sent again.
        signal(number, SIG_DFL);
        if (info->si_code <= 0) raise(number);
    }
}

static void on_bus_error(int number, siginfo_t *info, void *context) {
    int saved = errno;
    // Only faults (codes above 0) have an address.
    struct guarded *place = info->si_code > 0 ? find((uintptr_t)info->si_addr) : NULL;
    if (place) {
        // First the mark: who reads zeros then surely finds it.
        atomic_store(&place->is_poisoned, 1);
        uintptr_t page = (uintptr_t)info->si_addr & ~(page_byte_count - 1);
        void *zeros = mmap((void *)page, page_byte_count, PROT_READ,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        errno = saved;
        if (zeros != MAP_FAILED) return;
    }
    pass_on(number, info, context);
    errno = saved;
}

static void install(void) {
    page_byte_count = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct sigaction action = {0};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    // What was there is known before the first fault of ours can be passed on.
    sigaction(SIGBUS, NULL, &previous);
    sigaction(SIGBUS, &action, NULL);
}

int apus_guard_mapping(const void *address, size_t byte_count) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    int start = atomic_load(&hint);
    for (int step = 0; step < PLACE_COUNT; step++) {
        int i = (start + step) % PLACE_COUNT;
        struct guarded *place = &places[i];
        uint64_t state = atomic_load(&place->state);
        if (state % STATE_COUNT != FREE ||
            !atomic_compare_exchange_strong(&place->state, &state, state + CLAIMED))
            continue;
        atomic_store(&place->is_poisoned, 0);
        atomic_store(&place->start, (uintptr_t)address);
        // The last page belongs to the mapping as a whole.
        atomic_store(&place->end,
                     ((uintptr_t)address + byte_count + page_byte_count - 1) &
                         ~(page_byte_count - 1));
        int end = atomic_load(&used_end);
        while (end <= i && !atomic_compare_exchange_weak(&used_end, &end, i + 1)) {
        }
        atomic_store(&place->state, state + LIVE);
        atomic_store(&hint, (i + 1) % PLACE_COUNT);
        return i;
    }
    return -1;
}

int apus_mapping_is_poisoned(int number) {
    return number >= 0 && number < PLACE_COUNT &&
           atomic_load_explicit(&places[number].is_poisoned, memory_order_acquire);
}

void apus_release_mapping(int number) {
    if (number < 0 || number >= PLACE_COUNT) return;
    atomic_fetch_add(&places[number].state, STATE_COUNT - LIVE);
    atomic_store(&hint, number);
}
