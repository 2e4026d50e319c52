/* A disk that fails on demand, between a Python program and the C library.
 *
 *     cc -shared -fPIC -O2 -o faultio.so faultio.c faultio_calls.c -ldl -lpthread
 *     LD_PRELOAD=./faultio.so python program.py
 *
 * The program switches it on itself, through ctypes (see shim.py): first
 * faultio_watch() names the folder below which calls are steps, then
 * faultio_arm() starts counting and says what happens at which step. Nothing
 * happens before faultio_watch().
 *
 * Here is what decides and notes; faultio_calls.c has the calls that are stood for.
 *
 * Kinds of step, one letter each:
 *   o  open that may create or empty a file      r  rename
 *   w  write, at the end or at an offset         u  unlink, rmdir
 *   s  fsync, fdatasync                          m  mkdir
 *   t  ftruncate                                 a  change of a file's times
 *   l  link, a second name
 *
 * The trace has one line a step that came to pass, fields divided by tabs:
 *   create INODE PATH | write INODE OFFSET HEX | sync INODE | truncate INODE LENGTH
 *   rename FROM TO | link FROM TO | unlink PATH | mkdir INODE PATH | times INODE NANOSECONDS
 *   note TEXT
 * Files are named by inode, since a file can be renamed between its writes.
 */
#include "faultio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The numbers are repeated in shim.py. */
enum action { COUNT = 0, KILL = 1, TORN = 2, SHORT = 3, FAIL = 4, STOP = 5 };

static char watched[PATH_MAX];
static size_t watched_length;
static char kinds[16];
static char path_part[NAME_MAX];
static bool armed;
static atomic_long steps;
static long fault_at;
static enum action fault_action;
static int fault_errno;
static bool fault_for_good;
long sync_delay_us;
long clock_shift_s;
static int trace_fd = -1;
static pthread_mutex_t trace_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- control, called through ctypes -------------------------------------- */

void faultio_watch(const char *folder) {
    snprintf(watched, sizeof watched, "%s/", folder);
    watched_length = strlen(watched);
}

void faultio_arm(const char *only_kinds, const char *only_path_part, long at, int action,
                 int error_number, int for_good) {
    snprintf(kinds, sizeof kinds, "%s", only_kinds);
    snprintf(path_part, sizeof path_part, "%s", only_path_part);
    fault_at = at;
    fault_action = (enum action)action;
    fault_errno = error_number;
    fault_for_good = for_good;
    atomic_store(&steps, 0);
    armed = true;
}

void faultio_disarm(void) { armed = false; }

long faultio_steps(void) { return atomic_load(&steps); }

void faultio_delay_syncs(long microseconds) { sync_delay_us = microseconds; }

void faultio_shift_clock(long seconds) { clock_shift_s = seconds; }

int faultio_trace(const char *path) {
    trace_fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return trace_fd < 0 ? errno : 0;
}

/* ---- the trace ------------------------------------------------------------ */

/* While a trace is kept, a step and its line are one: two threads' steps stand
 * in the trace in the order in which they reached the disk. */
void enter(void) {
    if (trace_fd >= 0) pthread_mutex_lock(&trace_lock);
}

void leave(void) {
    int kept = errno;
    if (trace_fd >= 0) pthread_mutex_unlock(&trace_lock);
    errno = kept;
}

void trace(const char *format, ...) {
    if (trace_fd < 0) return;
    int kept = errno;
    char line[2 * PATH_MAX + 64];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    syscall(SYS_write, trace_fd, line, (size_t)length);
    errno = kept;
}

void trace_write(ino_t inode, off_t offset, const unsigned char *bytes, size_t length) {
    static const char digits[] = "0123456789abcdef";
    if (trace_fd < 0) return;
    char *line = malloc(2 * length + 80);
    size_t end = (size_t)sprintf(line, "write\t%lu\t%ld\t", (unsigned long)inode, (long)offset);
    for (size_t i = 0; i < length; i++) {
        line[end++] = digits[bytes[i] >> 4];
        line[end++] = digits[bytes[i] & 15];
    }
    line[end++] = '\n';
    syscall(SYS_write, trace_fd, line, end);
    free(line);
}

void faultio_note(const char *text) {
    enter();
    trace("note\t%s\n", text);
    leave();
}

/* ---- which calls count ---------------------------------------------------- */

static bool is_watched(const char *path) {
    return watched_length && !strncmp(path, watched, watched_length);
}

/* The path that the kernel knows an open file by; it follows renames. */
bool watched_file(int fd, char *path) {
    char link[40];
    if (!watched_length) return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return false;
    path[length] = 0;
    if (is_watched(path)) return true;
    /* The watched folder itself, which is synced as a folder. */
    return (size_t)length == watched_length - 1 && !strncmp(path, watched, (size_t)length);
}

/* Makes a path that is relative to a folder's descriptor absolute. */
bool watched_path(int folder_fd, const char *name, char *path) {
    char folder[PATH_MAX];
    if (!watched_length || !name) return false;
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return is_watched(path);
    }
    if (folder_fd == AT_FDCWD) {
        if (!getcwd(folder, sizeof folder)) return false;
    } else {
        char link[40];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder_fd);
        ssize_t length = readlink(link, folder, sizeof folder - 1);
        if (length < 0) return false;
        folder[length] = 0;
    }
    if (strlen(folder) + strlen(name) + 2 > PATH_MAX) return false;
    strcpy(path, folder);
    strcat(path, "/");
    strcat(path, name);
    return is_watched(path);
}

/* SQLite's shared memory is made anew after a crash: its writes may fail, but a
 * power cut's replay leaves it out. */
bool is_traced(const char *path) {
    size_t length = strlen(path);
    return length < 4 || strcmp(path + length - 4, "-shm");
}

void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

enum verdict step(char kind, const char *path) {
    if (!armed || !strchr(kinds, kind)) return GO_ON;
    if (path_part[0] && !strstr(path, path_part)) return GO_ON;
    long number = atomic_fetch_add(&steps, 1) + 1;
    if (!fault_at || (fault_for_good ? number < fault_at : number != fault_at)) return GO_ON;
    switch (fault_action) {
    case KILL:
        die();
    case TORN:
        if (kind == 'w') return WRITE_HALF_AND_DIE;
        die();
    case SHORT:
        return kind == 'w' ? WRITE_HALF : GO_ON;
    case STOP:
        kill(getpid(), SIGSTOP);
        return GO_ON;
    case FAIL:
        errno = fault_errno;
        return RETURN_ERROR;
    default:
        return GO_ON;
    }
}
