// Loaded into the server with LD_PRELOAD: writes down in which order requests come, log records are
// written, syncs return and answers leave. AckOrderTests builds it, and reads what it wrote.
//
//     one event a line:  ORDER WORD DESCRIPTOR DETAIL
//
//     asked D m      a read from D has returned and holds the marker m ("mark" and 8 digits)
//     wrote D m      a pwrite to D has returned; its bytes hold the marker m
//     syncing D      an fdatasync of D begins
//     synced D n     it has returned without error; n is the order of its beginning
//     answering D    a write to D begins whose bytes hold "HTTP/1.1 204"
//
// ORDER rises by one from event to event and is taken when the event happens, which says more than
// the order of lines.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_ulong next_order = 1;
static int output = -1;

static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_recv)(int, void *, size_t, int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);

__attribute__((constructor)) static void begin(void) {
    real_read = dlsym(RTLD_NEXT, "read");
    real_recv = dlsym(RTLD_NEXT, "recv");
    real_write = dlsym(RTLD_NEXT, "write");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_send = dlsym(RTLD_NEXT, "send");
    real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    const char *path = getenv("APUS_RECORDING");
    if (path) output = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static unsigned long take_order(void) { return atomic_fetch_add(&next_order, 1); }

static void record(unsigned long order, const char *word, int descriptor, const char *detail) {
    if (output < 0) return;
    char line[128];
    int length = snprintf(line, sizeof line, "%lu %s %d %s\n", order, word, descriptor, detail);
    syscall(SYS_write, output, line, (size_t)length);
}

// One event for each marker in the bytes, all with one order.
static void record_markers(const char *word, int descriptor, const void *bytes, size_t count) {
    if (output < 0 || !bytes) return;
    unsigned long order = 0;
    const char *position = bytes;
    const char *end = position + count;
    while ((size_t)(end - position) >= 12) {
        const char *found = memmem(position, (size_t)(end - position), "mark", 4);
        if (!found || end - found < 12) return;
        char marker[13] = {0};
        memcpy(marker, found, 12);
        if (strspn(marker + 4, "0123456789") == 8) {
            if (order == 0) order = take_order();
            record(order, word, descriptor, marker);
        }
        position = found + 4;
    }
}

static void record_answer(int descriptor, const void *bytes, size_t count) {
    if (output < 0 || !bytes) return;
    const char *position = bytes;
    const char *end = position + count;
    while (position < end) {
        const char *found = memmem(position, (size_t)(end - position), "HTTP/1.1 204", 12);
        if (!found) return;
        record(take_order(), "answering", descriptor, "204");
        position = found + 12;
    }
}

ssize_t read(int descriptor, void *bytes, size_t count) {
    ssize_t result = real_read(descriptor, bytes, count);
    if (result > 0) record_markers("asked", descriptor, bytes, (size_t)result);
    return result;
}

ssize_t recv(int descriptor, void *bytes, size_t count, int flags) {
    ssize_t result = real_recv(descriptor, bytes, count, flags);
    if (result > 0) record_markers("asked", descriptor, bytes, (size_t)result);
    return result;
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    record_answer(descriptor, bytes, count);
    return real_write(descriptor, bytes, count);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    for (int index = 0; index < count; index++)
        record_answer(descriptor, parts[index].iov_base, parts[index].iov_len);
    return real_writev(descriptor, parts, count);
}

ssize_t send(int descriptor, const void *bytes, size_t count, int flags) {
    record_answer(descriptor, bytes, count);
    return real_send(descriptor, bytes, count, flags);
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags) {
    for (size_t index = 0; index < message->msg_iovlen; index++)
        record_answer(descriptor, message->msg_iov[index].iov_base, message->msg_iov[index].iov_len);
    return real_sendmsg(descriptor, message, flags);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    ssize_t result = real_pwrite(descriptor, bytes, count, offset);
    if (result > 0) record_markers("wrote", descriptor, bytes, (size_t)result);
    return result;
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off_t offset) {
    return pwrite(descriptor, bytes, count, offset);
}

static int record_sync(int (*sync)(int), int descriptor) {
    unsigned long order = take_order();
    record(order, "syncing", descriptor, "-");
    int result = sync(descriptor);
    char began[24];
    snprintf(began, sizeof began, "%lu", order);
    if (result == 0) record(take_order(), "synced", descriptor, began);
    return result;
}

int fdatasync(int descriptor) { return record_sync(real_fdatasync, descriptor); }

int fsync(int descriptor) { return record_sync(real_fsync, descriptor); }
