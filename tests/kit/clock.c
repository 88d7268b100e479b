/* Preloaded into the server under test: adds to the system's clock what a file says, 64 bits of milliseconds. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset_ms;

__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("TEST_CLOCK_OFFSET");
    int fd = path ? open(path, O_RDONLY) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset_ms, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        offset_ms = map;
}

int clock_gettime(clockid_t id, struct timespec *time)
{
    long failed = syscall(SYS_clock_gettime, id, time);
    if (!failed && id == CLOCK_REALTIME && offset_ms)
        time->tv_sec += *offset_ms / 1000;
    return (int)failed;
}
