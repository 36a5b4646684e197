/* SPDX-License-Identifier: Apache-2.0 */
/* replay_cut.h - the beginning of a trace, so that replaying it takes no longer than it may. */
#ifndef EBB_BENCH_REPLAY_CUT_H
#define EBB_BENCH_REPLAY_CUT_H

#include <stdint.h>

#include "trace.h"

/** Leave the longest beginning for which LRU moves `granules` at most, both ways, with a budget of so much of what that
 *  beginning needs. */
void replay_cut(struct trace *trace, unsigned percent, uint64_t granules);

#endif
