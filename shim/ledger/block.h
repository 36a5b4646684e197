/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block.h - what is remembered of each block and of each of its chunks, found by arithmetic on its address.
 *
 * Shape    the arena is a row of granules of 2 MiB. Every table here is an array with an entry per granule, in memory
 *          that costs nothing until it is touched: a block's record is the entry of its first granule, a chunk's
 *          record likewise. So there is no record allocator, no hash and no list.
 * Threads  `owner` and `stamp` are read without a lock by the launch path, `alive` by the mover; all else belongs to
 *          core.lock. A record stays readable for ever.
 */
#ifndef EBB_BLOCK_H
#define EBB_BLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/extent.h"
#include "ledger/kind.h"
#include "policy/queues.h"
#include "tier/device.h"

/** The addresses that blocks lie at: what is asked for every word of every launch. */
struct arena {
    uint64_t base;
    uint64_t bytes; /**< 0: no arena */
    bool is_shared; /**< other memory lies between the blocks: what no block is at is not ours */
};

/** Set by core_start, emptied in a forked child; read only for all others. */
extern struct arena core_arena;

/** Uses of device memory; the rows of "classes" in the statistics. */
enum device_class {
    CLASS_BLOCK,  /**< movable blocks */
    CLASS_NATIVE, /**< small or unmovable allocations of the driver's own */
    CLASS_MANAGED,
    CLASS_POOL, /**< stream-ordered pools */
    CLASS_ARRAY,
    CLASS_VMM, /**< handles that the program created itself */
    CLASS_GRAPH,
    CLASS_RESERVED, /**< for what a thread has announced; nothing is behind it yet */
    CLASS_COUNT
};

/** The kind of what is charged as a class. Of CLASS_BLOCK there are several: KIND_BLOCK. */
enum kind kind_of_class(enum device_class class);

/** Uses of host memory. */
enum host_class {
    HOST_HEAP,
    HOST_PINNED,
    HOST_REGISTERED,
    HOST_TIER, /**< slabs that hold blocks */
    HOST_CLASS_COUNT
};

/** Why a block may not move. Counted, so that reasons add up and go away one by one. */
enum pin_reason {
    PIN_EXPORTED,
    PIN_PEER,
    PIN_REGISTERED,
    PIN_TEXTURE,
    PIN_GRAPH,
    PIN_API,
    PIN_LIBRARY,
    PIN_ALIAS,      /**< of a handle that is mapped elsewhere, too */
    PIN_REFERENCED, /**< keeps it out of the unmapped tiers only */
    PIN_REASON_COUNT
};

struct bin;
struct slab;

/** Place of the authoritative bytes of a chunk. Written by chunk_move only (block.c). */
enum chunk_state {
    CHUNK_NONE,      /**< no chunk */
    CHUNK_RESIDENT,  /**< device memory at its address */
    CHUNK_LEAVING,   /**< resident; being copied out */
    CHUNK_HOST,      /**< slab; at its address too when `mapped` */
    CHUNK_SPILLING,  /**< slab, unmapped; being written to its slot */
    CHUNK_DISK,      /**< slot, or none where it was dropped; address unmapped */
    CHUNK_RETURNING, /**< slab or slot; being brought back */
    CHUNK_UNMAPPING, /**< slab; its address is being unmapped */
    CHUNK_BROKEN,    /**< slab; its address could not be mapped again: no launch may run */
    CHUNK_IDLE,      /**< device memory of a freed block, kept mapped for the next one of its size */
    CHUNK_STATE_COUNT
};

/** Sets of chunks by their state, and by whether a slab is mapped at their address. They add up by `|`. */
#define CHUNKS_UNMAPPED(state) (1u << (state))
#define CHUNKS_MAPPED(state)   (1u << (16 + (state)))
#define CHUNKS(state)          (CHUNKS_UNMAPPED(state) | CHUNKS_MAPPED(state))

#define SLOT_NONE UINT64_MAX

struct chunk {
    uint64_t handle;     /**< device memory; 0: none */
    struct slab *slab;   /**< host memory; NULL: none */
    uint64_t slot;       /**< place on disk; SLOT_NONE: none */
    uint64_t slot_epoch; /**< gate_writes() when the slot's bytes were last known equal to the chunk's */
    uint64_t checksum;   /**< of the bytes that left, when EBBTIDE_VERIFY asks for it */
    uint32_t granules;
    uint8_t state; /**< enum chunk_state */
    bool mapped;   /**< the slab is mapped at the chunk's address */
    bool copied;   /**< resident, and by the program's word its slab, else its slot, holds the same bytes */
    bool stuck;    /**< what was left at its address could not be unmapped */
};

enum block_flag {
    BLOCK_REGISTERED = 1, /**< reachable by seen arguments only */
    BLOCK_HOLDER = 2,     /**< the last search found a word inside the arena in it */
    BLOCK_REFERENCED = 4, /**< the last search found a word that points at it */
    BLOCK_DEAD = 8,       /**< freed by the program, memory not given back yet */
    BLOCK_FIXED = 16,     /**< never a victim: a named library's own */
    BLOCK_DEFERRED = 32,  /**< dead, and waiting for the device to be at rest */
    BLOCK_DRAWN = 64,     /**< made of a reservation, whose pin it has until that is committed or ends */
    BLOCK_ORDERED = 256, /**< dead, and its memory as it was: work before the free in its stream may use it */
    BLOCK_STREAM = 512,  /**< stream-ordered: out of a pool */
    BLOCK_WHOLE = 1024,  /**< one chunk, however large */
};

struct block {
    uint64_t id; /**< 0: no block here */
    uint64_t bytes;
    uint64_t context;
    const void *call_site;
    uint32_t granules;
    uint32_t chunk_granules;      /**< of every chunk but the last */
    _Atomic uint32_t launch_pins; /**< of this granule, whosever it is: launches that name it */
    uint32_t mark;                /**< the role's: last list that it is in */
    uint32_t
        ring; /**< of this granule, whosever it is: a block of the ring that begins here, and 1; 0: there is none */
    uint32_t range;    /**< the granule that its ring begins at, and 1; 0: it is in none */
    uint32_t mate;     /**< the next block of its ring, as that closes */
    uint64_t returned; /**< stamp of when it last came back to the device; 0: never */
    uint16_t pins[PIN_REASON_COUNT];
    uint16_t stage;  /**< 0 to STAGE_MAX of policies.h */
    uint16_t flags;  /**< enum block_flag */
    int8_t priority; /**< PRIORITY_MIN to PRIORITY_MAX */
    uint8_t ordinal;
    uint8_t share; /**< enum share: where it counts; share.c writes it */
    /** What it is from its birth on, and read without the lock: */
    bool is_bin;    /**< small allocations share it (bin.h) */
    bool is_handle; /**< behind a handle of the program's own: it lies where that is mapped (relocate.c) */
};

/** Top bit of an owner entry: some chunk of the block is not resident. */
#define OWNER_AWAY 0x80000000u
/** And below it: some chunk is not mapped at its address at all. */
#define OWNER_GONE 0x40000000u
/** And below that: a copy of some chunk is good only until the block is written. */
#define OWNER_COPIED 0x20000000u
/** And below that: the same ring has another block of which some chunk is not mapped at its address. */
#define OWNER_MATES 0x10000000u
#define OWNER_FLAGS (OWNER_AWAY | OWNER_GONE | OWNER_COPIED | OWNER_MATES)

enum object_flag {
    OBJECT_KEEP = 1,       /**< what comes back keeps its copy; the role's */
    OBJECT_RELOADABLE = 2, /**< registered as such */
};

/** The program's words about a block that it registered; all zeros for others. core.lock. */
struct object {
    struct queue_entry entry; /**< in the queues of its device */
    uint64_t bytes;           /**< as registered */
    uint64_t host_bytes;      /**< of it in host memory, as the host's shares count it; share.c's */
    uint64_t reservation;     /**< that it was drawn from; only with BLOCK_DRAWN */
    uint32_t copies;          /**< of its chunks that are `copied` */
    uint32_t saves;           /**< times that it left the device by being copied */
    uint8_t flags;            /**< enum object_flag */
    char name[24];            /**< ended by NUL */
    int (*reload)(void *ptr, size_t offset, void *memory, size_t bytes, void *arg); /**< NULL: it is saved */
    void *reload_arg;
};

/** What an allocation is to be. */
struct wanted {
    uint64_t bytes;        /**< as the program asks, > 0 */
    uint64_t context;      /**< opaque owner; may be 0 */
    uint64_t group;        /**< only allocations of one group share a block: opaque; 0: those of none */
    const void *call_site; /**< return address of the program's call, for reports; may be NULL */
    uint8_t ordinal;
    bool is_fixed;  /**< never a victim: a named library's own */
    bool is_handle; /**< physical memory of the program's own virtual memory management */
    bool is_whole;  /**< one chunk */
};

/** Flags of a block for it: what is in a group is out of a pool. */
static inline uint16_t wanted_flags(const struct wanted *wanted)
{
    return (uint16_t)((wanted->is_fixed ? BLOCK_FIXED : 0) | (wanted->group ? BLOCK_STREAM : 0) |
                      (wanted->is_whole ? BLOCK_WHOLE : 0));
}

struct blocks {
    uint64_t base;  /**< of the arena */
    uint64_t bytes; /**< 0: no arena */
    uint32_t granules;
    _Atomic uint32_t *owner; /**< first granule of the block + 1, or 0; OWNER_FLAGS */
    _Atomic uint64_t *stamp; /**< last use of the block that starts here; 0: no candidate. At -1: 0 */
    struct block *block;
    struct chunk *chunk;
    struct object *object;
    struct extents arena; /**< which granules are taken */
    uint32_t lent; /**< of these, what the program has reserved: blocks lie there that have a home, too */
    struct bin *bin;
    _Atomic uint8_t *guest;   /**< the program has mapped something there that is no block; without a lock */
    _Atomic uint64_t last_id; /**< of blocks and cells */
    _Atomic uint32_t alive;   /**< blocks; written under core.lock, read by anybody */
};

/** Does a block lie at `address`? For an arena that has others' memory in it. */
bool core_has_block(uint64_t address);

/** True when `address` is ours: in the arena, and where that is shared in a block. */
static inline bool core_owns(uint64_t address)
{
    return address - core_arena.base < core_arena.bytes &&
           (LIKELY(!core_arena.is_shared) || core_has_block(address));
}

/** Tables for an arena. -ENOMEM. */
int blocks_init(struct blocks *blocks, uint64_t base, uint64_t bytes);
void blocks_finish(struct blocks *blocks);

static inline bool blocks_own(const struct blocks *blocks, uint64_t address)
{
    return address - blocks->base < blocks->bytes;
}

static inline uint64_t granule_address(const struct blocks *blocks, uint32_t granule)
{
    return blocks->base + granule * GRANULE_BYTES;
}

static inline uint32_t address_granule(const struct blocks *blocks, uint64_t address)
{
    return (uint32_t)((address - blocks->base) / GRANULE_BYTES);
}

/** Is something of the program's mapped at an address of the arena that is no block? Its granule begins at `*out_base`. */
static inline bool blocks_guest(const struct blocks *blocks, uint64_t address, uint64_t *out_base)
{
    uint32_t granule = address_granule(blocks, address);

    *out_base = granule_address(blocks, granule);
    return blocks_own(blocks, address) && atomic_load_explicit(&blocks->guest[granule], memory_order_acquire);
}

/** Owner entry of the block that a granule below `granules` lies in; 0 when in none. Any thread, without a lock. */
static inline uint32_t owner_at(const struct blocks *blocks, uint32_t granule)
{
    return atomic_load_explicit(&blocks->owner[granule], memory_order_acquire);
}

/** Owner entry of the block that starts at `first`; 0 when none does any more. */
static inline uint32_t owner_entry(const struct blocks *blocks, uint32_t first)
{
    uint32_t entry = owner_at(blocks, first);

    return (entry & ~OWNER_FLAGS) == first + 1 ? entry : 0;
}

/** Stamp of the block that an owner entry tells; the 0 at -1 when it tells none. */
static inline _Atomic uint64_t *owner_stamp(const struct blocks *blocks, uint32_t entry)
{
    return blocks->stamp + (entry & ~OWNER_FLAGS) - 1;
}

static inline uint64_t chunk_bytes(const struct chunk *chunk)
{
    return chunk->granules * GRANULE_BYTES;
}

/** Is the chunk in a set made of CHUNKS(state)? */
static inline bool chunk_in(const struct chunk *chunk, uint32_t set)
{
    return set & (chunk->mapped ? CHUNKS_MAPPED(chunk->state) : CHUNKS_UNMAPPED(chunk->state));
}

/** Nobody but the program has its bytes; see callbacks.h. core.lock held. */
static inline bool chunk_dropped(const struct chunk *chunk)
{
    return chunk->state == CHUNK_DISK && chunk->slot == SLOT_NONE;
}

/** Is the block at `first` dropped and never saved? core.lock held. */
static inline bool block_reloadable(const struct blocks *blocks, uint32_t first)
{
    return blocks->block[first].flags & BLOCK_REGISTERED && blocks->object[first].reload;
}

/** Has the program got this block? core.lock held. */
static inline bool block_alive(const struct block *block)
{
    return block->id && !(block->flags & BLOCK_DEAD);
}

/** May others reach its memory past us, until its address is unmapped or for longer? core.lock held. */
static inline bool block_let_in(const struct block *block)
{
    return block->pins[PIN_EXPORTED] || block->pins[PIN_REGISTERED];
}

/* ---- where a block lies for its whole life; any thread, core.lock not held ------------------------- */

/** Addresses for `fresh->granules` of `fresh->ordinal`. 0; -ENOMEM the arena or the driver has none. */
int address_take(const struct block *fresh, uint32_t *out_first);

/** Give back what address_take gave; no block is there any more, and nothing is mapped. `context` as the block's. */
void address_give(uint64_t context, uint32_t first, uint32_t granules);

/* ---- records ------------------------------------------------------------------------------------------------- */

/** Fill the record of a new block. Launch pins are the granule's and stay. */
void block_begin(struct block *block, const struct block *fresh);

/** Block that owns a granule, or NULL; its first granule in `*out_first`. */
static inline struct block *blocks_at(struct blocks *blocks, uint32_t granule, uint32_t *out_first)
{
    uint32_t owner;

    if (granule >= blocks->granules)
        return NULL;
    owner = owner_at(blocks, granule) & ~OWNER_FLAGS;
    if (!owner)
        return NULL;
    *out_first = owner - 1;
    return &blocks->block[owner - 1];
}

/** Each chunk of the block at `first`, by its granule. The body may empty the chunk, but not unmake it. */
#define chunks_each(granule, blocks, first)                                                                  \
    for (uint32_t granule = (first), granule##_end = granule + (blocks)->block[granule].granules;            \
         granule < granule##_end; granule += (blocks)->chunk[granule].granules)

/** Bytes of the block's chunks that are in a set made of CHUNKS(state). core.lock held. */
uint64_t chunks_bytes(const struct blocks *blocks, uint32_t first, uint32_t set);

/** Each granule that a block has ever lain in. No lock needed. */
#define granules_each(granule, blocks)                                                                       \
    for (uint32_t granule = extent_low(&(blocks)->arena), granule##_end = extent_high(&(blocks)->arena);     \
         granule < granule##_end; granule++)

/** Stands for no block where the first granule of one is asked for. */
#define BLOCK_NONE UINT32_MAX

/** First granule of the first block from a granule on, alive or dead; BLOCK_NONE past the last. core.lock held. */
uint32_t blocks_next(const struct blocks *blocks, uint32_t granule);

/** Each block, alive or dead, by its first granule. core.lock held between two of them. */
#define blocks_each(first, blocks)                                                                           \
    for (uint32_t first = blocks_next(blocks, 0); first != BLOCK_NONE; first = blocks_next(blocks, first + 1))

/** The one place where a chunk changes state. The step must be one that the residency design knows (asserted). */
void chunk_move(struct chunk *chunk, enum chunk_state to);

/** Publish, under core.lock, whether every chunk of the block is resident. A dead block stays unknown. */
void block_publish(struct blocks *blocks, uint32_t first);

/*
 * Rings: blocks behind handles that the program has mapped in one reservation, where a kernel goes from one into the next
 * though it was given an address in the first. Where nothing but what is on the device can be reached (strict residency), the
 * owner entry of each tells of all of them (OWNER_MATES), and a call that names one uses all. core.lock held.
 */

/** The block is one of the ring that begins at granule `range`, or of none any more. block_publish comes after it. */
void ring_join(struct blocks *blocks, uint32_t first, uint32_t range);
void ring_leave(struct blocks *blocks, uint32_t first);
/** Publish all blocks that are in one: whether host memory is mapped at addresses has changed. */
void rings_publish(struct blocks *blocks);

/** Any pin that keeps it on the device (all reasons but referenced). */
static inline bool block_pinned(const struct block *block)
{
    unsigned pins = 0;

#pragma GCC unroll 8
    for (unsigned reason = 0; reason < PIN_REASON_COUNT; reason++)
        pins |= reason == PIN_REFERENCED ? 0 : block->pins[reason];
    return pins || block->flags & BLOCK_FIXED;
}

#endif
