/* SPDX-License-Identifier: Apache-2.0 */
/* ebbtide.h alone, as C and as C++: without the library every call says so, with it each finds its function. */
#include "ebbtide.h"

#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* What each call answers to arguments that no library takes. */
static int answers(int want_absent)
{
    int here = 0;
    struct ebb_block_info info;
    ebb_reservation reservation = 0;
    int (*volatile by_address)(void *) = ebb_touch;

    memset(&info, 0, sizeof info);
    {
        const long got[] = {
            ebb_register(NULL, 0, 0, "x"),
            ebb_unregister(NULL),
            ebb_pin(&here, EBB_RO | EBB_NOWAIT, NULL),
            ebb_unpin(&here, EBB_CLEAN),
            ebb_touch(&here),
            ebb_reserve(0, EBB_OVERBOOK_NO, 0, &reservation, NULL),
            ebb_reserve_commit(reservation, &here),
            ebb_reserve_release(reservation, 1),
            ebb_prefetch(NULL, EBB_TIER_DEVICE, NULL),
            ebb_evict(NULL, 0, EBB_TIER_DEVICE),
            ebb_set_budget(EBB_TIER_DISK, 0, 1),
            ebb_set_priority(NULL, 0),
            ebb_set_stage(NULL, 0),
            ebb_set_reload_callback(NULL, NULL, NULL),
            ebb_query(&here, &info),
            ebb_get_stats(NULL),
            ebb_pop_peak(NULL),
            by_address(&here),
        };

        for (size_t i = 0; i < COUNT(got); i++)
            if (got[i] >= 0 || (got[i] == -ENOSYS) != want_absent)
                return (int)i + 1;
    }
    if (ebb_push_peak() != (want_absent ? -ENOSYS : 0))
        return 100;
    return ebb_set_pressure_callback(NULL, NULL) == (want_absent ? -ENOSYS : 0) ? 0 : 101;
}

int main(int argc, char **argv)
{
    return answers(argc > 1 && strcmp(argv[1], "absent") == 0);
}
