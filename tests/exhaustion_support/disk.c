/* A disk that misbehaves on demand, for tests/exhaustion_disk.rs: preloaded into the server, it stands between the program and the
 * system calls that write, read and sync files. What it does is in the file that DISK_CONTROL names, read at every call:
 *
 *     <operation> <part of a path, or with a $ after it its end> <what>
 *
 * with the operations write (also making files longer), sync and read, and what is one of: errno N, sleep MILLISECONDS, hang (until
 * the line is gone; the call then goes on as if nothing had been). After errno N two more numbers may name the bytes FROM and TO of the
 * file that alone fail, when they are read. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Whether a path has this part; or this end, if that is followed by a dollar sign. */
static int matches(const char *path, char *part) {
    size_t end = strlen(part);
    if (part[end - 1] != '$')
        return strstr(path, part) != NULL;
    part[--end] = 0;
    return strlen(path) >= end && !strcmp(path + strlen(path) - end, part);
}

/* The first line for this operation and path: 0 none, 1 errno, 2 sleep, 3 hang. */
static int rule(const char *operation, int fd, off64_t at, size_t length_asked, int *number) {
    static const char *control;
    char text[1024], link[64], path[512];
    if (!control && !(control = getenv("DISK_CONTROL")))
        return 0;
    int file = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    if (length <= 0)
        return 0;
    text[length] = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return 0;
    path[n] = 0;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char op[16], part[128], what[16];
        long long from = 0, to = -1;
        *number = 0;
        if (sscanf(line, "%15s %127s %15s %d %lld %lld", op, part, what, number, &from, &to) < 3)
            continue;
        if (strcmp(op, operation) || !matches(path, part))
            continue;
        if (to >= 0 && (at < 0 || at >= to || at + (off64_t)length_asked <= from))
            continue;
        return what[0] == 'e' ? 1 : what[0] == 's' ? 2 : 3;
    }
    return 0;
}

/* Waits or fails as told; -1 with errno set if the call is to fail. */
static int disturbed(const char *operation, int fd, off64_t at, size_t length) {
    int number, before = errno;
    switch (rule(operation, fd, at, length, &number)) {
    case 1:
        errno = number;
        return -1;
    case 2:
        usleep((useconds_t)number * 1000);
        break;
    case 3:
        while (rule(operation, fd, at, length, &number) == 3)
            usleep(20000);
        break;
    }
    errno = before;
    return 0;
}

#define WRAP(result, name, operation, parameters, arguments) WRAP_AT(result, name, operation, parameters, arguments, -1, 0)

#define WRAP_AT(result, name, operation, parameters, arguments, at, length) \
    result name parameters { \
        static __typeof__(name) *next; \
        if (!next) \
            next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name); \
        if (disturbed(operation, fd, at, length)) \
            return -1; \
        return next arguments; \
    }

WRAP(ssize_t, write, "write", (int fd, const void *p, size_t n), (fd, p, n))
WRAP(ssize_t, writev, "write", (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP(ssize_t, pwrite, "write", (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, pwrite64, "write", (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
WRAP(int, ftruncate, "write", (int fd, off_t n), (fd, n))
WRAP(int, ftruncate64, "write", (int fd, off64_t n), (fd, n))
WRAP(int, fsync, "sync", (int fd), (fd))
WRAP(int, fdatasync, "sync", (int fd), (fd))
WRAP_AT(ssize_t, read, "read", (int fd, void *p, size_t n), (fd, p, n), lseek64(fd, 0, SEEK_CUR), n)
WRAP_AT(ssize_t, pread, "read", (int fd, void *p, size_t n, off_t at), (fd, p, n, at), at, n)
WRAP_AT(ssize_t, pread64, "read", (int fd, void *p, size_t n, off64_t at), (fd, p, n, at), at, n)
