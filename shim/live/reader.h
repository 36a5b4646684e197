/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.h - a page in a file: any file, by anybody. Nothing is mapped, nothing blocks.
 */
#ifndef EBB_LIVE_READER_H
#define EBB_LIVE_READER_H

#include "live/page.h"

enum live_state {
    LIVE_RUNS,
    LIVE_ENDS,  /**< it came to its end by itself */
    LIVE_KILLED /**< it has gone, or become another program, without a word */
};

/**
 * Read the page of that name in a folder (AT_FDCWD: a path).
 *
 * Returns  0; -errno of opening or reading it; -EINVAL, -EPROTONOSUPPORT, -ENODATA as live_view. Then *out is of no use
 */
int live_read(int folder, const char *name, struct live_view *out, enum live_state *out_state);

/** The newest page of a process, one that runs before all others. @asked  of EBBTIDE_LIVE_DIR. -ESRCH: there is none. */
int live_read_process(const char *asked, int pid, struct live_view *out, enum live_state *out_state);

#endif
