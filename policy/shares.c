/* SPDX-License-Identifier: Apache-2.0 */
/* shares.c - see shares.h. */
#include "policy/shares.h"

static uint64_t share(uint64_t bytes, uint32_t ppm)
{
    if (bytes == UINT64_MAX)
        return bytes;
    return bytes / 1000000 * ppm + bytes % 1000000 * ppm / 1000000;
}

struct share_limits shares_limit(uint64_t capacity_bytes, uint64_t untracked_bytes,
                                 struct share_bounds operations, struct share_bounds buffers)
{
    uint64_t capacity =
        capacity_bytes == UINT64_MAX ? UINT64_MAX : shares_over(capacity_bytes, untracked_bytes);

    return (struct share_limits){
        .capacity_bytes = capacity,
        .operations_max_bytes = share(capacity, operations.max_ppm),
        .buffers_max_bytes = share(capacity, buffers.max_ppm),
        .buffers_min_bytes = untracked_bytes ? share(capacity, buffers.min_ppm) : 0,
    };
}
