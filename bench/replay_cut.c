/* SPDX-License-Identifier: Apache-2.0 */
/* replay_cut.c - see replay_cut.h. */
#include "replay_cut.h"

#include "replay_mover.h"

struct cut {
    uint64_t granules;
    uint32_t last; /* launch that it is not passed with */
};

static bool is_below(uint32_t launch, const struct traffic *traffic, void *arg)
{
    struct cut *cut = arg;

    if (traffic_sum(traffic) > cut->granules)
        return false;
    cut->last = launch;
    return true;
}

/* A beginning needs less than the whole, so that its budget is smaller: again until nothing more is cut. */
void replay_cut(struct trace *trace, unsigned percent, uint64_t granules)
{
    struct traffic all, steady;

    for (;;) {
        struct cut cut = {.granules = granules};

        replay_run(trace, replay_room(trace, percent), &policies[POLICY_LRU], &all, &steady, is_below, &cut);
        if (cut.last == trace->launches)
            return;
        trace_settle(trace, cut.last);
    }
}
