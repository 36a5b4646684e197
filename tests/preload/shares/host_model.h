/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_model.h - how operations and buffers share the host, as the design says it, with nothing of the library in it.
 *
 * As model.h, for ranges of host memory: C is what the budget has beside everything else that the process holds. Ranges
 * leave piece by piece, the least recent first, and exactly as much as must.
 *
 * Units    bytes, multiples of a piece of 64 KiB. Errors as ebbtide.h.
 */
#ifndef EBB_TEST_SHARES_HOST_MODEL_H
#define EBB_TEST_SHARES_HOST_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HOST_RANGES = 6
};

struct host_range {
    bool is_registered;
    uint64_t bytes, here_bytes;
    unsigned pins;
    uint64_t use; /* when it was used last */
};

struct host_model {
    uint64_t capacity_bytes; /* C */
    struct host_range range[HOST_RANGES];
    uint64_t now;
};

uint64_t host_operations(const struct host_model *model);
uint64_t host_buffers(const struct host_model *model);

int host_register(struct host_model *model, int index, uint64_t bytes);
int host_unregister(struct host_model *model, int index);
int host_pin(struct host_model *model, int index, bool waits);
int host_unpin(struct host_model *model, int index);
int host_touch(struct host_model *model, int index);
int host_prefetch(struct host_model *model, int index);
/** Bytes that left, or an error. */
long host_evict(struct host_model *model, int index);
long host_evict_any(struct host_model *model, uint64_t bytes);

#endif
