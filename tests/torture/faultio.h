/* What faultio_calls.c asks of faultio.c. */
#ifndef FAULTIO_H
#define FAULTIO_H
#define _GNU_SOURCE
#include <stdbool.h>
#include <sys/types.h>

/* What a step must do now. */
enum verdict { GO_ON, RETURN_ERROR, WRITE_HALF, WRITE_HALF_AND_DIE };

/* Counts a step on a path, and says what it must do; may never return. */
enum verdict step(char kind, const char *path);
void die(void);

/* Whether a call is below the watched folder; the absolute path goes into *path*. */
bool watched_file(int fd, char *path);
bool watched_path(int folder_fd, const char *name, char *path);

/* Around a step and its line in the trace. */
void enter(void);
void leave(void);
void trace(const char *format, ...);
void trace_write(ino_t inode, off_t offset, const unsigned char *bytes, size_t length);
bool is_traced(const char *path);

extern long sync_delay_us;
extern long clock_shift_s;

#endif
