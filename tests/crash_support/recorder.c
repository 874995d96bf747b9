/* Loaded with LD_PRELOAD into a program under test: writes down every change that the program makes to the files of one folder, in
 * order, so that the folder can be rebuilt as a loss of power at any moment would have left it.
 *
 * SEALTRAIL_RECORD_DIR  the folder, an absolute path without symbolic links
 * SEALTRAIL_RECORD_LOG  the file to append the operations to
 * SEALTRAIL_FAIL_SYNC   "SUFFIX:FIRST:COUNT": the FIRST-th sync (from 1) of files whose name ends with SUFFIX, and COUNT - 1 after it, fail
 *
 * A record: kind, number of the file, offset (8 bytes each, in the machine's order), length of the path and of the data (8 bytes each),
 * path, data. Every record is one append, so that other programs can put theirs between them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, SYNC_FAILED, RENAME, UNLINK, MKDIR, DIRSYNC_BEGIN, DIRSYNC_END, LINK };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char dir[PATH_MAX];
static size_t dir_len;
static int log_fd = -1;
static char fail_suffix[64];
static long fail_first, fail_count, fail_seen;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void) {
    const char *d = getenv("SEALTRAIL_RECORD_DIR"), *l = getenv("SEALTRAIL_RECORD_LOG"), *f = getenv("SEALTRAIL_FAIL_SYNC");
    if (!d || !l) return;
    snprintf(dir, sizeof dir, "%s", d);
    dir_len = strlen(dir);
    if (f) sscanf(f, "%63[^:]:%ld:%ld", fail_suffix, &fail_first, &fail_count);
    int fd = REAL(open)(l, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    log_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 500);
}

/* The part of a path inside the folder, or NULL. */
static const char *inside(const char *path) {
    if (log_fd < 0 || strncmp(path, dir, dir_len) != 0) return NULL;
    if (path[dir_len] == 0) return path + dir_len;
    return path[dir_len] == '/' ? path + dir_len + 1 : NULL;
}

/* The same for a path as a program gives it, of a file that need not exist. */
static const char *inside_of(int at, const char *path, char *buffer) {
    if (log_fd < 0) return NULL;
    char parent[PATH_MAX], real[2 * PATH_MAX + 2];
    if (path[0] != '/' && at != AT_FDCWD) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t n = readlink(link, parent, sizeof parent - 1);
        if (n < 0) return NULL;
        parent[n] = 0;
        snprintf(real, sizeof real, "%s/%s", parent, path);
    } else {
        snprintf(real, sizeof real, "%s", path);
    }
    char *slash = strrchr(real, '/');
    const char *name = slash ? slash + 1 : real;
    if (slash) *slash = 0;
    if (!realpath(slash ? (slash == real ? "/" : real) : ".", parent)) return NULL;
    if (snprintf(buffer, PATH_MAX, "%s/%s", parent, name) >= PATH_MAX) return NULL;
    return inside(buffer);
}

/* The part of an open file's path inside the folder, or NULL; also of a file that has lost its name. */
static const char *inside_fd(int fd, char *buffer) {
    if (log_fd < 0) return NULL;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, buffer, PATH_MAX - 1);
    if (n < 0) return NULL;
    buffer[n] = 0;
    return inside(buffer);
}

static uint64_t number_of(int fd) {
    struct stat s;
    return fstat(fd, &s) == 0 ? (uint64_t)s.st_ino : 0;
}

static void record(uint64_t kind, uint64_t file, uint64_t offset, const char *path, const void *data, size_t len) {
    int saved = errno;
    uint64_t head[5] = {kind, file, offset, strlen(path), len};
    struct iovec parts[3] = {{head, sizeof head}, {(void *)path, strlen(path)}, {(void *)data, len}};
    if (writev(log_fd, parts, 3) < 0) abort();
    errno = saved;
}

static int opened(int fd, const char *path, int flags, int existed) {
    if (fd < 0 || !path) return fd;
    uint64_t file = number_of(fd);
    if ((flags & O_CREAT) && !existed) record(CREATE, file, 0, path, "", 0);
    else if (flags & O_TRUNC) record(TRUNCATE, file, 0, path, "", 0);
    return fd;
}

static int any_open(int at, const char *path, int flags, mode_t mode) {
    char buffer[PATH_MAX];
    const char *in = (flags & (O_CREAT | O_TRUNC)) ? inside_of(at, path, buffer) : NULL;
    if (!in) return REAL(openat)(at, path, flags, mode);
    pthread_mutex_lock(&lock);
    int existed = access(buffer, F_OK) == 0;
    int fd = opened(REAL(openat)(at, path, flags, mode), in, flags, existed);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list a; va_start(a, flags); mode = va_arg(a, mode_t); va_end(a); }

int open(const char *path, int flags, ...) { MODE(flags) return any_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return any_open(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return any_open(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return any_open(at, path, flags | O_LARGEFILE, mode); }

static ssize_t any_write(int fd, const void *data, size_t len, int64_t at) {
    char buffer[PATH_MAX];
    const char *in = inside_fd(fd, buffer);
    if (!in) return at < 0 ? REAL(write)(fd, data, len) : REAL(pwrite)(fd, data, len, at);
    pthread_mutex_lock(&lock);
    int64_t offset = at;
    if (at < 0) offset = (fcntl(fd, F_GETFL) & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ssize_t n = at < 0 ? REAL(write)(fd, data, len) : REAL(pwrite)(fd, data, len, at);
    if (n > 0) record(WRITE, number_of(fd), offset, in, data, n);
    pthread_mutex_unlock(&lock);
    return n;
}

ssize_t write(int fd, const void *data, size_t len) { return any_write(fd, data, len, -1); }
ssize_t pwrite(int fd, const void *data, size_t len, off_t at) { return any_write(fd, data, len, at); }
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) { return any_write(fd, data, len, at); }

static int any_truncate(int fd, int64_t len) {
    char buffer[PATH_MAX];
    const char *in = inside_fd(fd, buffer);
    if (!in) return REAL(ftruncate)(fd, len);
    pthread_mutex_lock(&lock);
    int n = REAL(ftruncate)(fd, len);
    if (n == 0) record(TRUNCATE, number_of(fd), len, in, "", 0);
    pthread_mutex_unlock(&lock);
    return n;
}

int ftruncate(int fd, off_t len) { return any_truncate(fd, len); }
int ftruncate64(int fd, off64_t len) { return any_truncate(fd, len); }

static int fails(const char *path) {
    size_t n = strlen(path), m = strlen(fail_suffix);
    if (m == 0 || n < m || strcmp(path + n - m, fail_suffix) != 0) return 0;
    fail_seen++;
    return fail_seen >= fail_first && fail_seen < fail_first + fail_count;
}

static int any_sync(int fd, int data_only) {
    char buffer[PATH_MAX];
    const char *in = inside_fd(fd, buffer);
    if (!in) return data_only ? REAL(fdatasync)(fd) : REAL(fsync)(fd);
    struct stat s;
    int folder = fstat(fd, &s) == 0 && S_ISDIR(s.st_mode);
    pthread_mutex_lock(&lock);
    if (!folder && fails(in)) {
        record(SYNC_FAILED, s.st_ino, 0, in, "", 0);
        pthread_mutex_unlock(&lock);
        errno = EIO;
        return -1;
    }
    record(folder ? DIRSYNC_BEGIN : SYNC_BEGIN, s.st_ino, 0, in, "", 0);
    pthread_mutex_unlock(&lock);
    /* Writes of other threads may come between: whether they are synced is open. */
    int n = data_only ? REAL(fdatasync)(fd) : REAL(fsync)(fd);
    pthread_mutex_lock(&lock);
    if (n == 0) record(folder ? DIRSYNC_END : SYNC_END, s.st_ino, 0, in, "", 0);
    pthread_mutex_unlock(&lock);
    return n;
}

int fsync(int fd) { return any_sync(fd, 0); }
int fdatasync(int fd) { return any_sync(fd, 1); }

/* What changes names: `from` is where it was, `to` where it is. */
static int named(uint64_t kind, int n, const char *from, const char *to) {
    if (n == 0 && from) record(kind, 0, 0, from, to ? to : "", to ? strlen(to) : 0);
    return n;
}

int rename(const char *from, const char *to) {
    char a[PATH_MAX], b[PATH_MAX];
    const char *x = inside_of(AT_FDCWD, from, a), *y = inside_of(AT_FDCWD, to, b);
    pthread_mutex_lock(&lock);
    int n = named(RENAME, REAL(rename)(from, to), x, y);
    pthread_mutex_unlock(&lock);
    return n;
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char a[PATH_MAX], b[PATH_MAX];
    const char *x = inside_of(from_at, from, a), *y = inside_of(to_at, to, b);
    pthread_mutex_lock(&lock);
    int n = named(LINK, REAL(linkat)(from_at, from, to_at, to, flags), x, y);
    pthread_mutex_unlock(&lock);
    return n;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlink(const char *path) {
    char a[PATH_MAX];
    const char *x = inside_of(AT_FDCWD, path, a);
    pthread_mutex_lock(&lock);
    int n = named(UNLINK, REAL(unlink)(path), x, NULL);
    pthread_mutex_unlock(&lock);
    return n;
}

int mkdir(const char *path, mode_t mode) {
    char a[PATH_MAX];
    const char *x = inside_of(AT_FDCWD, path, a);
    pthread_mutex_lock(&lock);
    int n = named(MKDIR, REAL(mkdir)(path, mode), x, NULL);
    pthread_mutex_unlock(&lock);
    return n;
}
