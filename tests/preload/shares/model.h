/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - how operations and buffers share a device, as the design says it, with nothing of the library in it.
 *
 *     op      what is pinned, and what is reserved and has nothing behind it yet; each block as a whole
 *     buf     what is registered and unpinned, as far as it is on the device
 *     loose   what is not registered, as far as it is on the device
 *     op + buf + loose <= C    always
 *     op <= 0.7 C              refused where it would be more, and nothing is changed then
 *     buf <= 0.7 C             kept to by evicting, as long as anything can leave
 *
 * For operations, the least recent leave until all fits: loose ones before registered ones; the former in pieces, the
 * latter whole. Slower tiers have room for everything. The model decides what each call returns and what is where
 * afterwards.
 *
 * Units    bytes, all of them multiples of 2 MiB. Errors as ebbtide.h.
 */
#ifndef EBB_TEST_SHARES_MODEL_H
#define EBB_TEST_SHARES_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MODEL_BLOCKS = 12,
    MODEL_RESERVATIONS = 3,
    MODEL_NONE = -1
};

struct model_block {
    bool is_alive, is_registered;
    uint64_t bytes;
    uint64_t here;   /* a bit for each piece of it that is on the device */
    uint64_t copied; /* of those here, which have an equal copy in a slower tier */
    uint64_t mapped; /* of those away, which went while it was not registered: no copy of them is kept */
    unsigned pins;
    int drawn_from; /* a reservation that it was drawn from and not committed to; MODEL_NONE */
    uint64_t use;   /* when it was used last */
    unsigned saves;
};

struct model_reservation {
    bool is_alive;
    uint64_t bytes;  /* nothing behind them yet */
    uint64_t number; /* they are drawn on latest first */
};

struct model {
    uint64_t capacity_bytes; /* C */
    uint64_t piece_bytes; /* memory is handed out in pieces of so much, the last of a block may be smaller */
    struct model_block block[MODEL_BLOCKS];
    struct model_reservation reservation[MODEL_RESERVATIONS];
    uint64_t now, evictions, saves;
    bool is_over; /* a step was taken whose outcome the design leaves open */
};

uint64_t model_operations(const struct model *model);
uint64_t model_buffers(const struct model *model);
uint64_t model_used(const struct model *model);
/** What of a block is on the device. */
uint64_t model_here(const struct model *model, const struct model_block *block);

void model_begin(struct model *model, uint64_t capacity_bytes, uint64_t piece_bytes);
void model_set_capacity(struct model *model, uint64_t capacity_bytes);

/** Always succeeds: what does not fit beside operations comes into being in host memory. */
void model_allocate(struct model *model, int index, uint64_t bytes);
void model_free(struct model *model, int index);
int model_register(struct model *model, int index);
int model_unregister(struct model *model, int index);
int model_pin(struct model *model, int index, bool writes, bool waits);
int model_unpin(struct model *model, int index, bool wrote);
int model_touch(struct model *model, int index);
int model_prefetch(struct model *model, int index);
/** Bytes that left, or an error. */
long model_evict(struct model *model, int index);
long model_evict_any(struct model *model, uint64_t bytes);
int model_reserve(struct model *model, int index, uint64_t bytes);
/** Would it be refused? Nothing is changed. */
int model_weigh(const struct model *model, uint64_t bytes);
int model_commit(struct model *model, int reservation, int index);
/** @bytes  UINT64_MAX: all */
int model_release(struct model *model, int reservation, uint64_t bytes);

#endif
