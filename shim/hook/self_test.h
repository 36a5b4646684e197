/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self_test.h - the self-test: do the calls that managing rests on come to us?
 *
 * Blocks may be moved only while every launch, copy, allocation and free of the program passes our hooks. Where one
 * does not, memory is accounted and nothing is moved, and one line says why. Seen are: another library in front of
 * ours, a driver that is newer than the hook table, a second copy of the driver, and RTLD_DEEPBIND left as it is.
 * Threads  any. Nothing here calls malloc while the core is locked.
 */
#ifndef EBB_SELF_TEST_H
#define EBB_SELF_TEST_H

/** Ask for every entry as a linked program and as one that uses dlsym would. Once the driver has been found and the
 *  core has started. */
void self_test_start(void);

struct hook_row;

/** Why calls of this row's function do not come to us, or NULL when they do. */
const char *self_test_passed_by(const struct hook_row *row);

/** Something passes us by: the first reason counts. `entry` may be NULL. Before the core has started it waits for
 *  self_test_start. */
void self_test_doubt(const char *why, const char *entry);

/** A function was handed out under this name, and not replaced. One of ours, and one of a library that stands in front of
 *  us, end with us. What the driver has and we do not hook is noted under "unhooked" by its exact symbol, unless there is
 *  a reason to let it pass. */
void self_test_passed(const char *name, const void *function);

/** At the end of a process whose core never started: say that CUDA was used unseen, if it was. */
void self_test_finish(void);

#endif
