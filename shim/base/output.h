/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.h - bytes into descriptors that the program can see: standard error, the log, the statistics.
 *
 * Whatever becomes of them, the program goes on as if nothing had been written: no signal of a write reaches it, and no
 * file of its own is written to because it has got a number that was another file's.
 *
 * Threads   any, behind a door; output_write and output_error also in a signal handler or a child between fork and exec.
 * Nothing here allocates or locks.
 */
#ifndef EBB_OUTPUT_H
#define EBB_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** What a descriptor stood for when it was looked at. All zero: nothing. */
struct output_file {
    dev_t device, special; /* `special`: of the device that it is, if it is one */
    ino_t inode;
};

/** What `fd` stands for now. False: it is closed. */
bool output_look(int fd, struct output_file *out);

/** Is it still the same? */
bool output_is(int fd, const struct output_file *file);

/** Standard error is what descriptor 2 is now. Without this it is what it is when output_error is called first. */
void output_start(void);

/** Descriptor 2, or -1: what it stood for at the start has been closed, and another file may have its number. */
int output_error(void);

/** The same of a duplicate: does it stand for that? */
bool output_is_error(int fd);

/**
 * write(2) until something was written or that failed. A reader that has gone and a file that may not grow are errors
 * like any other, without their signals; a terminal does not stop the process.
 *
 * Returns  bytes, or a negative errno
 */
ssize_t output_write(int fd, const void *text, size_t length);

#endif
