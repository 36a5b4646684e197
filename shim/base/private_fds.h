/* SPDX-License-Identifier: Apache-2.0 */
/*
 * private_fds.h - descriptors of ours that the program can neither close nor come upon.
 *
 * Shape    a few threads share a table of descriptors of their own (close_range(2) with CLOSE_RANGE_UNSHARE, Linux 5.9).
 *          What one of them opens is a number there and nothing in the program's table, so that closefrom(3), a number
 *          that is closed twice, or a child, does not meet it. They hold nothing of what the program has open: who waits
 *          for the end of its pipe is not kept waiting. 0, 1 and 2 are nothing there.
 * Owns     one thread, made with the first job.
 * Threads  any. A driver's call must not be made in such a thread: its descriptors are in the program's table.
 * Errors   where there can be no such table (an old kernel, a sandbox), everything runs in the program's: private_fds_apart is
 *          false, and who keeps a descriptor looks before each use whether it is still his (output_is).
 */
#ifndef EBB_PRIVATE_FDS_H
#define EBB_PRIVATE_FDS_H

#include <pthread.h>
#include <stdbool.h>

/** Has the calling thread our descriptors? False for all threads where there is no such table. */
bool private_fds_mine(void);

/** Is there such a table in this process? Asks for it first. */
bool private_fds_apart(void);

/** Do something with our descriptors, and wait for it. 0; -EDEADLK the caller is about to make the table. */
int private_fds_run(void (*act)(void *arg), void *arg);

/** In a thread with our descriptors: a duplicate of what the program has under a number. Elsewhere: in the caller's table,
 *  what such a thread has under a number, opened once more for reading. -1 and errno. */
int private_fds_from_program(int file);
int private_fds_to_program(int file);

/** As pthread_create, for a thread with our descriptors, which first calls private_fds_enter. 0 or an errno. */
int private_fds_thread(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
void private_fds_enter(void);

#endif
