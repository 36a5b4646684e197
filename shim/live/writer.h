/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.h - this process's page.
 *
 * The page is mapped, and stored to by the kernel (process_vm_writev): what somebody else has cut off the file is an
 * error there, and would be a SIGBUS in a store of ours. It costs 1 us, beside calls of the driver that take more. No
 * descriptor stays open that the program could close, and give its number to a file of its own.
 *
 * Threads  one at a time for each of now and look; the rest says so itself.
 * Errors   whatever goes wrong, there is no page from then on, and the program goes on.
 */
#ifndef EBB_LIVE_WRITER_H
#define EBB_LIVE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "live/page.h"

/**
 * Make the page, with these figures.
 *
 * @asked    of EBBTIDE_LIVE_DIR
 * @shared   the user's group may read it
 * Returns   0, or negative errno: there is none. Once in a process
 */
int live_writer_open(const char *asked, bool shared, uint32_t devices, const struct live_now *now);

/** Is there a page? Any thread. */
bool live_writer_is_open(void);

void live_writer_now(const struct live_now *now);
void live_writer_look(uint32_t ordinal, const struct live_look *look);

/** The page stays, and nothing is written to it any more. In a forked child, too: async-signal-safe. */
void live_writer_leave(void);

/** The page is removed: nobody was to see it. */
void live_writer_remove(void);

#endif
