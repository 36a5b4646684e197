/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.h - a thread of ours: no signal of the program is handled in it, and debuggers see its name.
 *
 * Threads  any, but not under a lock that malloc's hooks may want: a new thread allocates.
 */
#ifndef EBB_THREAD_H
#define EBB_THREAD_H

#include <pthread.h>
#include <stddef.h>

/** A stack for what calls libc, the kernel and our log only. */
#define THREAD_SMALL_BYTES ((size_t)256 << 10)

struct thread {
    const char *name; /**< at most 15 characters */
    void *(*run)(void *);
    void *arg;
    size_t stack_bytes; /**< 0: as the program's have it */
    /** pthread_create where NULL, or private_fds_thread. */
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
};

/**
 * Start it.
 *
 * @thread  read by the new thread as it begins: live until `run` was called
 * @out     to join it with; NULL: it is detached
 * Returns  0 or a negative errno
 */
int thread_start(const struct thread *thread, pthread_t *out);

#endif
