// Loaded into the server with LD_PRELOAD: a disk that is full, breaks or stalls while a file says so.
// FaultTests makes and removes those files, in the directory that APUS_FAULTS names:
//
//     disk-full      pwrite stores half of what it is given, then fails with ENOSPC; fallocate fails
//     syncs-fail     fdatasync and fsync fail with EIO
//     syncs-wait     fdatasync and fsync return only once the file is gone
//     opening-waits  flock, the first step of opening a store, returns only once the file is gone
//
// Sockets and logs are not touched: they go through other calls.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static const char *directory;
// A short write has just happened on this thread, so that what comes next is the rest of it.
static __thread int is_short;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_flock)(int, int);

__attribute__((constructor)) static void begin(void) {
    directory = getenv("APUS_FAULTS");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_fallocate = dlsym(RTLD_NEXT, "fallocate");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_flock = dlsym(RTLD_NEXT, "flock");
}

static int is_set(const char *fault) {
    if (!directory) return 0;
    int before = errno;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, fault);
    int found = access(path, F_OK) == 0;
    errno = before;
    return found;
}

static void wait_while(const char *fault) {
    while (is_set(fault)) usleep(2000);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    if (!is_set("disk-full")) {
        is_short = 0;
        return real_pwrite(descriptor, bytes, count, offset);
    }
    if (is_short || count < 2) {
        is_short = 0;
        errno = ENOSPC;
        return -1;
    }
    is_short = 1;
    return real_pwrite(descriptor, bytes, count / 2, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off_t offset) {
    return pwrite(descriptor, bytes, count, offset);
}

int fallocate(int descriptor, int mode, off_t offset, off_t count) {
    if (is_set("disk-full")) {
        errno = ENOSPC;
        return -1;
    }
    return real_fallocate(descriptor, mode, offset, count);
}

int fallocate64(int descriptor, int mode, off_t offset, off_t count) {
    return fallocate(descriptor, mode, offset, count);
}

static int synced(int (*sync)(int), int descriptor) {
    wait_while("syncs-wait");
    if (is_set("syncs-fail")) {
        errno = EIO;
        return -1;
    }
    return sync(descriptor);
}

int fdatasync(int descriptor) { return synced(real_fdatasync, descriptor); }

int fsync(int descriptor) { return synced(real_fsync, descriptor); }

int flock(int descriptor, int operation) {
    wait_while("opening-waits");
    return real_flock(descriptor, operation);
}
