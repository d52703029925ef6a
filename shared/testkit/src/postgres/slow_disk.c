/* Loaded before libc (LD_PRELOAD), makes whatever waits for the disk wait SLOW_DISK_US microseconds more.
 *
 * PostgreSQL flushes its log with fdatasync and its tables with fsync. Its sync_file_range is only a hint and waits for
 * nothing, so it stays as it is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec more;

__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("SLOW_DISK_US");
    long us = text ? atol(text) : 0;
    more.tv_sec = us / 1000000;
    more.tv_nsec = us % 1000000 * 1000;
}

/* A signal, of which PostgreSQL sends many, must not end it early. */
static long after_a_while(long result)
{
    int error = errno;
    struct timespec left = more;
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
    errno = error;
    return result;
}

int fdatasync(int file)
{
    return (int)after_a_while(syscall(SYS_fdatasync, file));
}

int fsync(int file)
{
    return (int)after_a_while(syscall(SYS_fsync, file));
}
