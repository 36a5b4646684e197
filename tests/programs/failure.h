/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a program gives up: one line `NAME: CALL: TEXT` on stderr and an exit status. Any thread; the process
 * ends at once, other threads or not, and runs no exit handlers twice.
 */
#ifndef PROGRAMS_FAILURE_H
#define PROGRAMS_FAILURE_H

enum failure_status {
    FAILURE_OUT_OF_MEMORY = 2,
    FAILURE_OTHER = 3,
};

/* Prints the line and exits with `status`. `call` is what failed, `text` how. */
_Noreturn void failure_exit(enum failure_status status, const char *call, const char *text);

/* malloc that fails as above. The caller frees. */
void *failure_malloc(unsigned long bytes);

#endif
