/* The calls of the C library that faultio.c decides on; each does the real one itself. */
#include "faultio.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static ino_t inode_of(int fd) {
    struct stat status;
    return fstat(fd, &status) ? 0 : status.st_ino;
}

/* ---- opens ---------------------------------------------------------------- */

static int open_step(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) || !watched_path(folder, name, path))
        return syscall(SYS_openat, folder, name, flags, mode);
    if (step('o', path) == RETURN_ERROR) return -1;
    enter();
    struct stat status;
    bool existed = !fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW);
    int fd = syscall(SYS_openat, folder, name, flags, mode);
    if (fd >= 0 && is_traced(path)) {
        if (!existed) trace("create\t%lu\t%s\n", (unsigned long)inode_of(fd), path);
        else if (flags & O_TRUNC) trace("truncate\t%lu\t0\n", (unsigned long)status.st_ino);
    }
    leave();
    return fd;
}

#define OPEN(folder, name, flags)                         \
    mode_t mode = 0;                                      \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {              \
        va_list arguments;                                \
        va_start(arguments, flags);                       \
        mode = va_arg(arguments, mode_t);                 \
        va_end(arguments);                                \
    }                                                     \
    return open_step(folder, name, flags, mode)

int open(const char *name, int flags, ...) { OPEN(AT_FDCWD, name, flags); }
int open64(const char *name, int flags, ...) { OPEN(AT_FDCWD, name, flags); }
int openat(int folder, const char *name, int flags, ...) { OPEN(folder, name, flags); }
int openat64(int folder, const char *name, int flags, ...) { OPEN(folder, name, flags); }

/* ---- writes --------------------------------------------------------------- */

static ssize_t raw_write(int fd, const void *bytes, size_t length, off_t offset, bool at_offset) {
    return at_offset ? syscall(SYS_pwrite64, fd, bytes, length, offset)
                     : syscall(SYS_write, fd, bytes, length);
}

static off_t position(int fd) {
    return fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
}

static ssize_t write_step(int fd, const void *bytes, size_t length, off_t offset, bool at_offset) {
    char path[PATH_MAX];
    if (!length || !watched_file(fd, path)) return raw_write(fd, bytes, length, offset, at_offset);
    switch (step('w', path)) {
    case RETURN_ERROR:
        return -1;
    case WRITE_HALF_AND_DIE:
        raw_write(fd, bytes, length / 2, offset, at_offset);
        die();
    case WRITE_HALF:
        if (length < 2) {
            errno = ENOSPC;
            return -1;
        }
        length /= 2;
    default:
        break;
    }
    enter();
    off_t begin = at_offset ? offset : position(fd);
    ssize_t written = raw_write(fd, bytes, length, offset, at_offset);
    if (written > 0 && is_traced(path)) trace_write(inode_of(fd), begin, bytes, (size_t)written);
    leave();
    return written;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    return write_step(fd, bytes, length, 0, false);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return write_step(fd, bytes, length, offset, true);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    return write_step(fd, bytes, length, offset, true);
}

/* One piece at a time: a gathered write may always be shorter than asked. */
ssize_t writev(int fd, const struct iovec *pieces, int count) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return syscall(SYS_writev, fd, pieces, count);
    for (int i = 0; i < count; i++)
        if (pieces[i].iov_len) return write_step(fd, pieces[i].iov_base, pieces[i].iov_len, 0, false);
    return 0;
}

/* Callers fall back to read and write, which are seen. */
ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) {
    char path[PATH_MAX];
    if (!watched_file(to, path)) return syscall(SYS_sendfile, to, from, offset, length);
    errno = ENOSYS;
    return -1;
}

ssize_t sendfile(int to, int from, off_t *offset, size_t length) {
    return sendfile64(to, from, offset, length);
}

/* ---- syncs, lengths, times ------------------------------------------------ */

static int sync_step(int fd, long call) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return syscall(call, fd);
    if (sync_delay_us) usleep((useconds_t)sync_delay_us);
    if (step('s', path) == RETURN_ERROR) return -1;
    enter();
    int result = syscall(call, fd);
    if (!result && is_traced(path)) trace("sync\t%lu\n", (unsigned long)inode_of(fd));
    leave();
    return result;
}

int fsync(int fd) { return sync_step(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_step(fd, SYS_fdatasync); }

static int truncate_step(int fd, off_t length) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return syscall(SYS_ftruncate, fd, length);
    if (step('t', path) == RETURN_ERROR) return -1;
    enter();
    int result = syscall(SYS_ftruncate, fd, length);
    if (!result && is_traced(path))
        trace("truncate\t%lu\t%ld\n", (unsigned long)inode_of(fd), (long)length);
    leave();
    return result;
}

int ftruncate(int fd, off_t length) { return truncate_step(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncate_step(fd, length); }

static int times_step(int folder, const char *name, const struct timespec times[2], int flags,
                      const char *path) {
    if (step('a', path) == RETURN_ERROR) return -1;
    enter();
    int result = syscall(SYS_utimensat, folder, name, times, flags);
    struct stat status;
    int found = name ? fstatat(folder, name, &status, flags) : fstat(folder, &status);
    if (!result && !found)
        trace("times\t%lu\t%lld\n", (unsigned long)status.st_ino,
              (long long)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec);
    leave();
    return result;
}

int utimensat(int folder, const char *name, const struct timespec times[2], int flags) {
    char path[PATH_MAX];
    if (!watched_path(folder, name, path)) return syscall(SYS_utimensat, folder, name, times, flags);
    return times_step(folder, name, times, flags, path);
}

int futimens(int fd, const struct timespec times[2]) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return syscall(SYS_utimensat, fd, NULL, times, 0);
    return times_step(fd, NULL, times, 0, path);
}

/* ---- names ---------------------------------------------------------------- */

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    char from_path[PATH_MAX], to_path[PATH_MAX];
    bool seen = watched_path(from_folder, from, from_path);
    seen |= watched_path(to_folder, to, to_path);
    if (!seen) return syscall(SYS_renameat, from_folder, from, to_folder, to);
    if (step('r', to_path) == RETURN_ERROR) return -1;
    enter();
    int result = syscall(SYS_renameat, from_folder, from, to_folder, to);
    if (!result) trace("rename\t%s\t%s\n", from_path, to_path);
    leave();
    return result;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    char from_path[PATH_MAX], to_path[PATH_MAX];
    bool seen = watched_path(from_folder, from, from_path);
    seen |= watched_path(to_folder, to, to_path);
    if (!seen) return syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    if (step('l', to_path) == RETURN_ERROR) return -1;
    enter();
    int result = syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    if (!result) trace("link\t%s\t%s\n", from_path, to_path);
    leave();
    return result;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    if (!watched_path(folder, name, path)) return syscall(SYS_unlinkat, folder, name, flags);
    if (step('u', path) == RETURN_ERROR) return -1;
    enter();
    int result = syscall(SYS_unlinkat, folder, name, flags);
    if (!result && is_traced(path)) trace("unlink\t%s\n", path);
    leave();
    return result;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX];
    if (!watched_path(folder, name, path)) return syscall(SYS_mkdirat, folder, name, mode);
    if (step('m', path) == RETURN_ERROR) return -1;
    enter();
    int result = syscall(SYS_mkdirat, folder, name, mode);
    struct stat status;
    if (!result && !fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW))
        trace("mkdir\t%lu\t%s\n", (unsigned long)status.st_ino, path);
    leave();
    return result;
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* ---- the clock ------------------------------------------------------------ */

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (!result && clock == CLOCK_REALTIME) now->tv_sec += clock_shift_s;
    return result;
}
