/* SPDX-License-Identifier: Apache-2.0 */
/*
 * step.h - one chunk on its way between the tiers: copied, waited for, committed.
 *
 * A move is a list of steps: planned under core.lock, which marks the chunks, copied without it, committed under it.
 *
 * Threads  the mover's role; no lock, but where it says so.
 */
#ifndef EBB_STEP_H
#define EBB_STEP_H

#include "engine/allocate.h"
#include "ledger/state.h"

struct remap;

enum {
    STEPS_MAX = 256 /**< in a list */
};

struct step {
    uint32_t first, granule;
    uint64_t handle; /**< device memory in its hands: taken for it, and not the chunk's; 0: none */
    uint64_t slab;   /**< host memory that is copied to or from; 0: none */
    struct transfer transfer;
    bool submitted; /**< the transfer */
    int result; /**< -EFAULT: the chunk's address is broken, and what was mapped there not to be used again */
    /* eviction, spill */
    bool clean;      /**< an equal copy is in a slower tier */
    bool reloadable; /**< dropped: the program has the bytes */
    bool saves;      /**< a chunk of its block that leaves with it is not clean */
    bool unmap;      /**< its address stays unmapped */
    bool whole;      /**< fails when another chunk of its block does */
    /* restore */
    uint64_t scratch; /**< private address of the handle; 0: none */
    uint64_t epoch;   /**< gate_writes() before it was mapped */
    bool from_disk;
    bool dropped; /**< no slot: the program fills the slab */
    bool keep;    /**< what it comes from stays good */
};

static inline struct chunk *step_chunk(const struct step *step)
{
    return &core.blocks.chunk[step->granule];
}

static inline uint64_t step_bytes(const struct step *step)
{
    return chunk_bytes(step_chunk(step));
}

static inline uint64_t step_address(const struct step *step)
{
    return granule_address(&core.blocks, step->granule);
}

static inline unsigned step_ordinal(const struct step *step)
{
    return core.blocks.block[step->first].ordinal;
}

static inline bool step_registered(const struct step *step)
{
    return core.blocks.block[step->first].flags & BLOCK_REGISTERED;
}

static inline struct slab *step_slab(const struct step *step)
{
    return slab_of(step->slab);
}

/** A chunk at rest sets out: it is marked with the state that it moves in. What comes from a slab has it in hand.
 *  core.lock held. */
struct step step_begin(uint32_t first, uint32_t granule, enum chunk_state moving);

/** Start a transfer between its slab and `device_address`, or its slot. The result says whether it was started. */
void step_submit(struct step *step, enum tier from, enum tier to, uint64_t device_address, uint64_t slot);

/** Wait for what was submitted. */
void steps_wait(struct step *list, uint32_t count);

/** Change what is mapped for those steps of a list, all of one device, for which `ends` fills in the two ends; the address it
 *  finds there is the chunk's own. A step that has not failed before gets the result. False: some change failed. */
bool steps_remap(struct step *list, uint32_t count, bool (*ends)(const struct step *step, struct remap *out));

/** Count the copies that succeeded, of a list that was started at `since_ns`. */
void steps_count(enum move_kind move, const struct step *list, uint32_t count, uint64_t since_ns);

/**
 * Settle each chunk's new state under core.lock; then what the step has left over goes back.
 *
 * @settle  core.lock held. Leaves in `handle` and `slab` what is left over, 0 for what the chunk keeps; true: it moved
 * Returns  the bytes that moved
 */
uint64_t steps_commit(struct step *list, uint32_t count, bool (*settle)(struct step *step));

/** An unregistered chunk is unmapped (1), or mapped again (-1): such ones are counted. core.lock held. */
void step_count_unproven(const struct step *step, int more);

/* ---- coming back ----------------------------------------------------------------------------------------- */

/** Take device memory for the chunk; errors as recycler_take. */
static inline int step_take(struct step *step, uint64_t keep_free_bytes)
{
    int error = allocate_take(step_ordinal(step), step_bytes(step), keep_free_bytes, &step->handle);

    if (error < 0)
        step->handle = 0;
    return error;
}

/** Give up its device memory, before the step is committed; it is used again only if `is_good`. */
void step_give(struct step *step, bool is_good);

/** For steps_commit: by the result the chunk is back, on the device or, without a handle, in mapped host memory. */
bool step_settle_restored(struct step *step);

/** While a chunk moves it is the mover's, but whoever counts under core.lock what is held looks at its slab: that is given to it,
 *  or taken from it (NULL), under the lock, too. */
void chunk_set_slab(struct chunk *chunk, struct slab *slab);

/* ---- checksums ------------------------------------------------------------------------------------------- */

/** A checksum of what is in a slab, when EBBTIDE_VERIFY asks for it; remember, or compare (-EILSEQ, logged). */
void chunk_remember(struct chunk *chunk);
int chunk_verify(const struct chunk *chunk, uint64_t address);

#endif
