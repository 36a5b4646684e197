/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core.h - what the hooks ask of the core.
 *
 * The core remembers every allocation, holds it to the budgets and moves blocks between tiers. It is one per
 * process. Everything here may be called from any thread; nothing here may be called from inside a user section
 * (between use_begin and use_end) except use_end itself.
 *
 * Errors: 0 or negative errno. A failed call has changed nothing.
 */
#ifndef EBB_CORE_H
#define EBB_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "host/host_block.h"
#include "ledger/block.h"
#include "ledger/busy.h"

struct budget;
struct kinds;
struct options;

/**
 * Start managing. Reserves the arena and starts the monitor when a period is set.
 *
 * @options, @device  live until core_finish
 * Returns  0; -ENOTSUP or -ENOMEM when no arena can be reserved: then every call below answers as if the core did
 *          not exist, and the hooks pass everything through
 */
int core_start(const struct options *options, struct device *device);

/** Start to hold host memory to its budget: the ledger of the host and the disk, with or without a device. core_start
 *  does it too. @options live until core_finish. Does nothing the second time. */
void core_host_start(const struct options *options);

/** The same as the options of the process say, unless they say EBBTIDE_DISABLE. */
void core_host_begin(void);

/** The process ends: on return nothing moves, and nothing moves any more that a kernel could reach meanwhile. Before
 *  calls of the program may pass us by. What is unmapped still comes back; what finds no room is the driver's affair.
 *  False: a move has not come to its end within EBBTIDE_DRAIN_MS, and is not waited for. */
bool core_leave(void);

/** Leave, if that has not been done, and settle what was freed. What cannot be given back for want of a device at
 *  rest leaves the ledger and is reported as leaked. Before the statistics are written. */
void core_settle(void);

/** Settle, give every idle handle, slab and file back. Blocks still alive are left alone. */
void core_finish(void);

/** In a forked child: forget threads and locks, manage no device; the ledger of the host goes on with what the child
 *  has of it. Async-signal-safe. */
void core_forked(void);

/* ---- blocks: allocate.c, free.c, block_pin.c ------------------------------------------------------------------- */

struct block_info {
    uint64_t base;
    uint64_t bytes; /**< as the program asked */
    unsigned ordinal;
    uint64_t id;      /**< never used twice in a process */
    uint64_t context; /**< as given to core_allocate */
    const void *call_site;
    bool is_handle;        /**< physical memory of the program's own, wherever that is mapped */
    uint64_t offset;       /**< of it in the pieces that core_share gives */
    uint64_t shared_bytes; /**< of all of these */
};

/**
 * Allocate a movable block, evicting others where needed.
 *
 * @bytes       as the program asked, > 0
 * @context     opaque owner for core_context_gone; may be 0
 * @call_site   return address of the program's call, for reports; may be NULL
 * @movable     false: accounted as CLASS_NATIVE's sibling and never a victim (a named library's own)
 * @wanted      the same as one
 * Returns      0; -ENOMEM refused by budget or by the driver (one line was logged); -ENOTSUP this size or moment is
 *              not for a block: allocate natively
 */
int core_allocate(unsigned ordinal, uint64_t bytes, uint64_t context, const void *call_site, bool movable,
                  uint64_t *out_address);
int core_allocate_wanted(const struct wanted *wanted, uint64_t *out_address);

/** The same if there is room on the device now, with nobody waiting or leaving. -EAGAIN: there is none. */
int core_allocate_in_room(const struct wanted *wanted, uint64_t *out_address);

/** Memory that an allocation of so many bytes takes, by itself or of what it shares. `bytes` + GRANULE_BYTES fit. */
uint64_t core_takes(uint64_t bytes);

/**
 * Free a block. Waits, as the driver's own free does, until the devices that reach it no longer use it, but no longer
 * than EBBTIDE_DRAIN_MS, and not at all where no call was made (use_begin) since they last were at rest. Where they do
 * not come to rest, and while a stream capture is open, the memory is given back later.
 *
 * Returns  0; -ENOENT not inside the arena: the driver's affair; -EINVAL inside, but not the start of a block
 */
int core_free(uint64_t address);

/**
 * Free memory in the order of a stream: the program has it no more, and it stays as it is for work that was given to the
 * stream before, until one of the next three is called for it. Whoever calls remembers it, and answers give_ordered of struct
 * device. Waits for nothing.
 *
 * Returns  0, with what the three want; -ENOENT, -EINVAL as core_free; -ENOTSUP: the driver places it
 */
int core_free_ordered(uint64_t address, uint64_t *out_id);

/** Allocate such memory anew: the caller sees to it that whatever uses it comes after what still may. Waits for nothing.
 *  -EAGAIN: not all of it is on the device, or it is not for such an allocation. */
int core_take_ordered(uint64_t address, uint64_t id, const struct wanted *wanted);

/** Give such memory back, which nothing uses any more. Returns the bytes that the device has again. */
uint64_t core_give_ordered(uint64_t address, uint64_t id);

/** Nobody can tell when the work before its free has ended: it is given back once its device is at rest. */
void core_defer_ordered(uint64_t address, uint64_t id);

/** The program's allocation that `address` lies in: a live block, or its share of one. -ENOENT when there is none. */
int core_find(uint64_t address, struct block_info *out);

/** The live block itself, whoever shares it. -ENOENT when there is none. */
int core_find_block(uint64_t address, struct block_info *out);

/** Free every block of a context that is about to go. Takes the gate as owner. */
void core_context_gone(uint64_t context);

/** Pin the block at `address` for a reason, restoring it to the device first; -ENOENT, -ENOMEM. */
int core_pin(uint64_t address, enum pin_reason reason);
void core_unpin(uint64_t address, enum pin_reason reason);

/** A descriptor of the index'th piece of a block that is pinned on the device; the caller closes it. -ENOENT past the
 *  last piece, or no such block; -ENOTSUP the driver shares none. */
int core_share(uint64_t address, unsigned index, uint64_t *out_bytes, int *out_fd);

/* ---- physical memory of the program's own virtual memory management: relocate.c --------------------------------
 *
 * It is a block (`is_handle`) that exists before it has an address that the program knows, and after it: then it lies at one
 * that is hidden, its home, which core_allocate_wanted gave. Where the program maps it, it is relocated to. All that moves
 * blocks finds it at either place.
 */

/** Addresses in the arena, multiples of GRANULE_BYTES, at which no block is made by itself: those from `at` on, or, where that
 *  is 0, any. -ENOMEM; -ENOTSUP: the driver places blocks. */
int core_addresses_take(uint64_t bytes, uint64_t at, uint64_t *out_address);
/** Is an address one that core_addresses_take may have given? None is where the driver chooses the places. */
bool core_addresses_lent(uint64_t address);
/** Give back what core_addresses_take gave, all of it: no block lies there. */
void core_addresses_give(uint64_t address, uint64_t bytes);

/**
 * The block at `from` lies at `to` from now on, where its owner has addresses for all of it and nothing is mapped: its home, or
 * an address in what the program has reserved from `range` on (0: home), which may have others. It keeps
 * its bytes and its tier, and what is unmapped and can be mapped is: pointers to `to` may lie anywhere. What the program has
 * said about it ends, and it has a new id.
 *
 * Nothing is in use that names either. Waits for what moves.
 * Returns  0; -ENOENT no such block; -ENOMEM or -EIO: it is where it was
 */
int core_relocate(uint64_t from, uint64_t to, uint64_t range);

/** Give back the block of a handle, which lies at its home: nobody can have used it there, so that nothing is waited for. */
void core_free_handle(uint64_t address);

/**
 * Map the block at `address` at `also`, too, where nothing is mapped: it is on the device and stays there, pinned. No access
 * until the program gives some. 0; -ENOENT, -ENOMEM, -EIO.
 */
int core_map_alias(uint64_t address, uint64_t also);
/** Undo it. 0; -EIO: it is still mapped. */
int core_unmap_alias(uint64_t address, uint64_t also);

/** Something of the program's that is no block is mapped at addresses of the arena, or no more. */
void core_guest(uint64_t address, uint64_t bytes, bool is_there);

/* ---- memory that is no block: charge.c ------------------------------------------------------------------------- */

/** Charge memory that the driver will allocate itself, evicting blocks where needed. Before the real call.
 *  -ENOMEM when the budget refuses (one line was logged). `bytes` may be 0. */
int core_charge(unsigned ordinal, enum device_class class, uint64_t bytes);
/** Charge memory that the driver holds already, evicting blocks where needed; over the limit where nothing can move,
 *  so that the ledger stays true. */
void core_charge_held(unsigned ordinal, enum device_class class, uint64_t bytes);
/** The same without the line and without EBBTIDE_ON_FULL: the caller has another place for it. */
int core_charge_quietly(unsigned ordinal, enum device_class class, uint64_t bytes);
/** Bytes of the program's managed memory on the device. Where the driver moves it, it is charged to nobody and never
 *  refused (CLASS_MANAGED above): this is what the driver's figures show beside what is charged. 0 elsewhere. */
uint64_t core_managed_on(unsigned ordinal);

/** Managed memory that floats was allocated, or (`again`) its free has failed: as much of it as there is room for may be on
 *  the device. Before the program knows the address. */
void core_managed_made(unsigned ordinal, uint64_t address, uint64_t bytes, bool again);
/** It is about to be freed. Waits for who works on it. */
void core_managed_gone(uint64_t address);

/** Does it float there, and has the device a budget? */
bool core_managed_limited(unsigned ordinal);

/** Is there any? Needs no lock, and costs a load. */
bool core_managed_any(void);

struct managed_info {
    uint64_t start, bytes;
    unsigned ordinal;
    bool is_altered; /**< the driver has, or had, other advice about it than the program gave */
};
/** What such memory an address lies in. False: none. */
bool core_managed_find(uint64_t address, struct managed_info *out);

/** What an address lies in does not change, nor go, until it is let go. False: there is none. Nothing of the core's that waits
 *  is called in between. */
bool core_managed_hold(uint64_t address);
void core_managed_let_go(uint64_t address);
/** Held: may what begins at the address be on that device? And how many of the bytes from there on are alike. */
bool core_managed_run(uint64_t address, uint64_t bytes, unsigned ordinal, uint64_t *out_bytes);
/** The program wants these bytes on that device: they come in there as far as there is room. */
void core_managed_bring(unsigned ordinal, uint64_t address, uint64_t bytes);
/** The device's budget as it is told: with what managed memory takes there. */
void core_device_budget(unsigned ordinal, struct budget *out);
/** Give back what core_charge charged: the real call failed, or before the real free. */
void core_credit(unsigned ordinal, enum device_class class, uint64_t bytes);

/** The driver has made an allocation that is no block, or it is about to go; and its free has failed. What is charged for it
 *  is another matter. `why` it is none. */
void core_native_made(unsigned ordinal, enum kind kind, enum stay why, uint64_t bytes);
void core_native_gone(unsigned ordinal, enum kind kind, enum stay why, uint64_t bytes);
void core_native_back(unsigned ordinal, enum kind kind, enum stay why, uint64_t bytes);
/** What is charged for the kind is what the driver holds. */
void core_native_held(unsigned ordinal, enum kind kind);

/** What there is on the device, by kind. No lock held. */
void core_kinds(unsigned ordinal, struct kinds *out);

/** The same for host memory. */
int core_host_charge(enum host_class class, uint64_t bytes);
void core_host_credit(enum host_class class, uint64_t bytes);
/** Charge what is in memory whatever the budget says: never refused, the limit may be passed. */
void core_host_force(enum host_class class, uint64_t bytes);

/** Charge host memory if there is room now, and tell what room is left in either case. Never waits, moves or calls out. 0
 *  or -ENOMEM. */
int core_host_try(enum host_class class, uint64_t bytes, uint64_t *out_room_bytes);

/** Wait up to `wait_ms` until room was made in the host's budget, by a thread that holds nothing. False: none was, or the
 *  caller is where nobody may wait (in a user section, the mover). */
bool core_host_wait_room(uint64_t bytes, uint64_t wait_ms);

/** Host memory was refused: `what` of it, "allocation" or "pinned allocation". Counts the refusal, and says the
 *  first, the second, the fourth, the eighth …; one for more than the machine has is only said at level info. */
void core_host_refused(uint64_t bytes, const char *what);

/** The driver has refused device memory that it takes for itself, `what` of it. Counts the refusal, and says so. */
void core_device_refused(unsigned ordinal, uint64_t bytes, const char *what);

/** Evict what can be evicted so that the driver can allocate `bytes` itself after it said that it is full.
 *  Returns the bytes given back to the driver, 0 when nothing more can move. */
uint64_t core_relieve(unsigned ordinal, uint64_t bytes);

/** Free and total bytes as the budget tells them. False: the device has no limit of ours. What is told then is the
 *  driver's own, with what we keep idle counted as free; untouched where the driver does not answer. */
bool core_memory(unsigned ordinal, uint64_t *out_free_bytes, uint64_t *out_total_bytes);

/* ---- calls that use blocks: use.c, use_list.c; use_source_rows: scan.c ---------------------------------------------- */

enum {
    USE_INLINE = 64,
    USE_MANAGED = 16 /**< addresses of managed memory; what is beyond is reached where it is */
};

/** A place in the program's managed memory, and how much is used from there on; 0: that is not known. */
struct use_managed {
    uint64_t address, bytes;
};

/** Why a call uses blocks that are not listed; bits. */
enum {
    USE_MORE = 1,  /**< it names more than the list holds: every block comes back for it */
    USE_UNSEEN = 2 /**< nobody knows what it names: what it reaches where it is stays there */
};

/** The blocks that one call to the driver uses. On the caller's stack. */
struct use {
    uint32_t count;
    uint8_t all;      /**< 0: what is listed; else every block, by USE_MORE and USE_UNSEEN */
    bool writes;      /**< it may write device memory: a launch, a graph, a copy or set into it */
    bool pinned;      /**< internal */
    bool nested;      /**< internal */
    bool device_only; /**< must not run from host memory (copies and sets that a graph or capture records) */
    bool beyond;      /**< it names bytes that no allocation has: the driver would refuse the call */
    bool kernel;      /**< the launch of one: it uses what is listed, and what its device reaches */
    /** It uses the bytes that it names (use_range), and does not go on into what lies beside them. */
    bool exact;
    uint8_t managed_count;
    uint32_t granule[USE_INLINE]; /**< where each word points to; whose that is, use_begin finds out */
    const void *stream;           /**< that the call goes to; NULL: not told, or the default one */
    const void *launched;         /**< its function; set with `kernel` alone */
    const uint32_t *more;         /**< a graph's own list of such, or NULL */
    uint32_t more_count;
    struct use_managed managed[USE_MANAGED];
    struct host_ranges host; /**< held until use_end */
};

static inline void use_init(struct use *use, bool writes)
{
    use->count = 0;
    use->all = 0;
    use->writes = writes;
    use->pinned = false;
    use->nested = false;
    use->device_only = false;
    use->beyond = false;
    use->kernel = false;
    use->exact = false;
    use->managed_count = 0;
    use->stream = 0;
    use->more = 0;
    use->more_count = 0;
    use->host.count = 0;
}

/** Note one more granule where the list is full: what it has twice makes room. */
void use_crowded(struct use *use, uint32_t granule);

/** Note that the call may use the block that `word` points into, if there is one. Never fails: past USE_INLINE granules
 *  it becomes USE_MORE. */
static inline void use_word(struct use *use, uint64_t word)
{
    uint32_t granule = (uint32_t)((word - core_arena.base) / GRANULE_BYTES);

    if (!core_owns(word))
        return;
    if (use->count < USE_INLINE)
        use->granule[use->count++] = granule;
    else
        use_crowded(use, granule);
}

/** use_word for all blocks that lie at these bytes, which the call reads or writes. A driver that finds one allocation's
 *  memory behind another's would let it go on: it is `beyond`. */
void use_range(struct use *use, uint64_t address, uint64_t bytes);

/** use_word for every aligned 8-byte word of a parameter or a small host buffer. */
static inline void use_words(struct use *use, const void *memory, size_t bytes)
{
    const char *at = (const char *)memory;
    uint64_t word;

    for (; bytes >= sizeof(word); at += sizeof(word), bytes -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        use_word(use, word);
    }
}

/** use_word for the 8 bytes that each of `count` pointers points at. */
static inline void use_pointed(struct use *use, void *const *pointer, uint32_t count)
{
    uint32_t found = use->count;

    if (UNLIKELY(count > USE_INLINE - found)) {
        for (uint32_t i = 0; i < count; i++)
            use_words(use, pointer[i], sizeof(uint64_t));
        return;
    }
#pragma GCC unroll 8
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word;

        memcpy(&word, pointer[i], sizeof(word));
        word -= core_arena.base;
        if (word < core_arena.bytes)
            use->granule[found++] = (uint32_t)(word / GRANULE_BYTES);
    }
    use->count = found;
}

/** Note managed memory that the call may use, if any is there: of a word, or of each aligned one of a parameter. */
void use_managed(struct use *use, uint64_t address, uint64_t bytes);
void use_managed_words(struct use *use, const void *memory, size_t bytes);

/**
 * Enter the user section with every block of the call reachable by the device.
 *
 * Waits while the gate is closed, for which a kernel's launch has to do with a device that it is closed for, and restores
 * what is not resident. Blocks that do not fit are left where the GPU can reach them.
 * Returns  0: the caller makes the real call and then calls use_end in the same thread.
 *          -ENOMEM: they cannot be made reachable together (one line was logged); nothing was entered.
 */
int use_begin(struct use *use);
void use_end(struct use *use);

struct gate_slot;

/** The sections of a slot's thread were given up: the launch pins that it holds are dropped. The gate's. */
void use_abandon(struct gate_slot *slot);

/** Rows of host memory that a copy reads, in slices of the same shape. */
struct use_rows {
    const void *memory;   /**< NULL: none */
    size_t width, height; /**< bytes, rows */
    size_t pitch;         /**< bytes from one row to the next; 0: they lie close together */
    size_t depth;         /**< slices */
    size_t slice_height;  /**< rows from one slice to the next; 0: they lie close together */
};

/** Note the blocks that a source of a host-to-device copy points at: all of it while an unregistered block is
 *  unmapped, else only a small one (64 KiB; a table of pointers). Before use_begin. What cannot be read is for the driver to
 *  refuse. */
void use_source_rows(struct use *use, const struct use_rows *rows);

static inline void use_source(struct use *use, const void *memory, size_t bytes)
{
    use_source_rows(use, &(const struct use_rows){memory, bytes, 1, bytes, 1, 1});
}

/** The call reads or writes this host memory: what of it is registered is in memory until use_end. Before use_begin,
 *  which lets go of it when it fails. */
static inline void use_host(struct use *use, const void *memory, size_t bytes)
{
    host_hold_add(&use->host, memory, bytes);
}

/* ---- lifecycle: core.c; what lies below it says so itself ------------------------------------------------------ */

/** A stream capture begins or ends. Begin waits for a running move; while any is open nothing is drained. */
void core_capture_begin(void);
void core_capture_end(void);

/** Whether host memory can be mapped at a block's address: found out only when there is a context, so that until then
 *  it counts as if. A "yes" after a "no" comes too late once host memory of the other sort is in use. */
void core_residency(bool can_map);

#endif
