/* Preloaded into a process, lets the n-th write below a directory fail. Compiled and driven by faults.rs.
 *
 * WEFT_FAULT_DIR the directory; WEFT_FAULT_AT which write, from 1; WEFT_FAULT_ERRNO with what error; WEFT_FAULT_FOREVER
 * when all after it fail too; WEFT_FAULT_WHILE instead of a number: a file, while which exists all fail; WEFT_FAULT_REPORT a file that says what failed, made when something does. A write that
 * fails is half done, as on a disk that fills up. The text log of RocksDB is left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long count;

static const char *setting(const char *name) { return getenv(name); }

static int below(const char *path) {
    const char *dir = setting("WEFT_FAULT_DIR");
    if (!dir || strncmp(path, dir, strlen(dir)) != 0) return 0;
    const char *name = strrchr(path, '/');
    return !name || strncmp(name, "/LOG", 4) != 0;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return 1;
}

static int fails(const char *what, const char *path) {
    if (!below(path)) return 0;
    const char *gate = setting("WEFT_FAULT_WHILE");
    if (gate) {
        if (access(gate, F_OK) != 0) return 0;
        errno = atoi(setting("WEFT_FAULT_ERRNO"));
        return 1;
    }
    long at = atol(setting("WEFT_FAULT_AT")), now = atomic_fetch_add(&count, 1) + 1;
    if (now < at || (now > at && !setting("WEFT_FAULT_FOREVER"))) return 0;
    if (now == at) {
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
        int fd = real(setting("WEFT_FAULT_REPORT"), O_CREAT | O_WRONLY | O_TRUNC, 0600);
        if (fd >= 0) {
            dprintf(fd, "%s %s", what, path);
            close(fd);
        }
    }
    errno = atoi(setting("WEFT_FAULT_ERRNO"));
    return 1;
}

static int fails_fd(const char *what, int fd) {
    char path[PATH_MAX];
    return path_of(fd, path) && fails(what, path);
}

#define REAL(name, ...) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

ssize_t write(int fd, const void *bytes, size_t n) {
    if (!fails_fd("write", fd)) return REAL(write, fd, bytes, n);
    int error = errno;
    if (error == ENOSPC && n > 1) (void)!REAL(write, fd, bytes, n / 2);
    errno = error;
    return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    return fails_fd("pwrite", fd) ? -1 : REAL(pwrite, fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    return fails_fd("pwrite", fd) ? -1 : REAL(pwrite64, fd, bytes, n, at);
}

int fsync(int fd) { return fails_fd("fsync", fd) ? -1 : REAL(fsync, fd); }
int fdatasync(int fd) { return fails_fd("fdatasync", fd) ? -1 : REAL(fdatasync, fd); }
int ftruncate(int fd, off_t n) { return fails_fd("ftruncate", fd) ? -1 : REAL(ftruncate, fd, n); }
int ftruncate64(int fd, off64_t n) { return fails_fd("ftruncate", fd) ? -1 : REAL(ftruncate64, fd, n); }
int rename(const char *from, const char *to) { return fails("rename", to) ? -1 : REAL(rename, from, to); }

#define OPEN(name, ...)                                                    \
    mode_t mode = 0;                                                       \
    if (flags & O_CREAT) {                                                 \
        va_list rest;                                                      \
        va_start(rest, flags);                                             \
        mode = va_arg(rest, mode_t);                                       \
        va_end(rest);                                                      \
        if (fails("create", path)) return -1;                              \
    }                                                                      \
    return REAL(name, __VA_ARGS__);

int open(const char *path, int flags, ...) { OPEN(open, path, flags, mode) }
int open64(const char *path, int flags, ...) { OPEN(open64, path, flags, mode) }
int openat(int at, const char *path, int flags, ...) { OPEN(openat, at, path, flags, mode) }
int openat64(int at, const char *path, int flags, ...) { OPEN(openat64, at, path, flags, mode) }
