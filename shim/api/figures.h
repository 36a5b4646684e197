/* SPDX-License-Identifier: Apache-2.0 */
/*
 * figures.h - figures for ebb_get_stats, and peaks over brackets that nest.
 *
 * Each tier keeps one running peak. A bracket takes what it was and starts it again; its end puts the larger of both
 * back, so the outer bracket has seen everything. The outermost is the life of the process.
 *
 * Threads  any. Figures of one call are exact one by one, not one instant.
 */
#ifndef EBB_FIGURES_H
#define EBB_FIGURES_H

#include "ebbtide.h"

/** Fill *out but struct_bytes; peaks are those since the innermost bracket began. */
void figures_now(unsigned ordinal, struct ebb_stats *out);

/** -ENOSPC 64 are open. */
int figures_push(void);

/** Figures as differences since the push, budgets and uses as they are; `out` may be NULL. -EINVAL none is open. */
int figures_pop(unsigned ordinal, struct ebb_stats *out);

#endif
