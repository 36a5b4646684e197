/* SPDX-License-Identifier: Apache-2.0 */
/*
 * async_state.h - what is remembered of stream-ordered memory that lies in blocks; for the files of async.h only.
 *
 * Shape    a pool, an order and a freed block are records that point to each other. An order is a stream as it orders
 *          frees: what was freed in it is a list, the oldest first. What may be reused is found by pool and size, too.
 * Threads  async_lock guards all of it; no call of the driver or the core is made with it held. Who claims a freed block
 *          has it to himself until he ends the claim.
 */
#ifndef EBB_ASYNC_STATE_H
#define EBB_ASYNC_STATE_H

#include <stdatomic.h>

#include "base/lock.h"
#include "cuda/contexts.h"
#include "ledger/block.h"

/* Policies of reuse, in the order of their attributes. */
enum async_reuse {
    REUSE_FOLLOW,    /* along dependencies that the program has made */
    REUSE_COMPLETED, /* of what the free's stream has come to */
    REUSE_DEPEND,    /* with a dependency of ours */
    REUSE_COUNT
};

struct async_pool {
    struct async_pool *prev, *next;
    CUmemoryPool handle;
    unsigned ordinal;
    uint32_t users; /* who works with it */
    bool is_gone;   /* destroyed: what it has lives on */
    enum stay why;  /* its memory is the driver's affair; STAY_NOT: it is ours */
    bool reuse[REUSE_COUNT];
    _Atomic uint32_t reach; /* who may do what with what is out of it */
    uint64_t threshold_bytes;
    uint64_t most_bytes; /* 0: no limit */
    /* Of blocks: in use, and with those that were freed and not given back. */
    uint64_t used_bytes, used_high_bytes, held_bytes, held_high_bytes;
};

struct async_freed;

struct async_order {
    struct async_order *prev, *next; /* by id */
    uint64_t id;
    uint64_t key;             /* how it is found; 0: by its thread */
    struct async_order **own; /* the list of its thread's that it is found in, or NULL */
    struct async_order *own_next;
    CUstream stream;           /* NULL: the default one of the context */
    CUcontext context;         /* of the stream */
    unsigned ordinal;          /* its device */
    bool is_own;               /* the default stream of one thread: no other can name it */
    bool is_gone;              /* the stream, or its thread: it is found no more */
    bool is_ending;            /* its context is about to go: nobody asks the driver */
    bool is_ended;             /* with its context: nothing of it runs any more */
    CUevent last;              /* behind all that a stream had that is gone, or NULL */
    bool is_blocking;          /* as streams are that the legacy one waits for */
    struct async_past past;    /* what it comes behind */
    uint64_t waited;           /* the host has waited for what was freed in it up to this time */
    uint32_t count;            /* of freed blocks, and of who works with it */
    struct async_freed *freed; /* the oldest first */
    struct async_freed *spare; /* by `newer`, with their events */
};

struct async_freed {
    struct async_freed *older, *newer; /* in its order */
    struct async_freed *prev, *next;   /* in its bucket, the latest first */
    struct async_order *order;
    struct async_pool *pool; /* NULL: not out of one */
    uint64_t address, id;
    uint64_t bytes; /* that it takes */
    uint64_t time;  /* later frees have later ones */
    CUevent event;  /* NULL: none was ever made for this record, which keeps it */
    bool is_marked; /* the event was recorded at the free */
    bool is_claimed;
    bool is_spoiled; /* it cannot be reused, and waits to be given back */
};

extern struct lock async_lock;

/* ---- async.c --------------------------------------------------------------------------------------------------- */

/** Who reaches what is out of a pool has changed. async_lock not held. */
void async_let_in(const struct async_pool *pool);

/* ---- async_pool.c ---------------------------------------------------------------------------------------------- */

/** The pool that serves `pool`, or NULL for the current one of the device, with blocks; until async_pool_let_go.
 *  CUDA_ERROR_NOT_SUPPORTED: none, its memory is the driver's; `*out_why`, or NULL. async_lock not held. */
CUresult async_pool_find(CUmemoryPool pool, unsigned ordinal, struct async_pool **out, enum stay *out_why);
void async_pool_let_go(struct async_pool *pool);

/** It uses and holds so much more. async_lock held; a pool that is gone and holds nothing is forgotten. */
void async_pool_count(struct async_pool *pool, int64_t used_bytes, int64_t held_bytes);

/** Does any pool hold more than it is to keep? async_lock not held. */
bool async_pool_any_excess(void);
/** Does this one? */
bool async_pool_has_excess(const struct async_pool *pool);

/* ---- async_order.c --------------------------------------------------------------------------------------------- */

/** The order of a stream of the calling thread's, until async_order_let_go. Else what the driver says of the stream.
 *  async_lock not held. */
CUresult async_order_find(CUstream stream, bool per_thread, struct async_order **out);
void async_order_let_go(struct async_order *order);

/** True where another stream may ask for what was freed in this one, so that each free is marked with an event. */
bool async_order_marks(const struct async_order *order);

/** A record for a free in the order, marked where that is wanted. CUDA_ERROR_NOT_SUPPORTED: it cannot be. async_lock not
 *  held. */
CUresult async_order_mark(struct async_order *order, struct async_freed **out);

/** Has the order come to the free? False where that cannot be told now. The caller has claimed it; async_lock not held. */
bool async_order_passed(const struct async_freed *freed);

/** Give back a record that is in no list. async_lock held. */
void async_order_give(struct async_freed *freed);

/** The order of a stream if it has one, until async_order_let_go; NULL: none. async_lock not held. */
struct async_order *async_order_known(CUstream stream, bool per_thread);

/** All of them, by id; the time of the latest free. async_lock held. */
struct async_order *async_orders(void);
uint64_t async_time(void);

/** Forget the streams that are gone and in which nothing waits any more. async_lock not held. */
void async_order_sweep(void);

/** A context is about to go, and has gone. async_lock not held. */
void async_order_ending(CUcontext context);
void async_order_ended(CUcontext context);

/** The first order with an id above `id`, or NULL. async_lock held. */
struct async_order *async_order_after(uint64_t id);

/* ---- async_follow.c -------------------------------------------------------------------------------------------- */

/** What an order comes behind at a time, which is now. async_lock held. */
void async_follow_past(const struct async_order *order, uint64_t now, struct async_past *out);
/** Is a free in it? */
bool async_follow_has(const struct async_past *past, const struct async_freed *freed);

/** A context has gone with its events. async_lock not held. */
void async_follow_ended(CUcontext context);

/* ---- async_freed.c --------------------------------------------------------------------------------------------- */

/** How many blocks are freed and not given back. */
extern atomic_uint async_freed_count;
/** Is any of them out of none? */
bool async_freed_without_pool(void);

typedef bool (*async_freed_is_fn)(const struct async_freed *freed, const void *arg);

/** Into the lists, with everything else filled in. async_lock held. */
void async_freed_add(struct async_freed *freed);
/** Out of them, and its record given back: who has claimed it has done with it what there was to do. async_lock held. */
void async_freed_remove(struct async_freed *freed);

/** Memory for an allocation by a stream of `order`, which `take` has made a block again: in its address. False:
 *  none. async_lock not held. */
struct async_wanted {
    struct async_pool *pool;
    struct async_order *order;
    CUstream stream; /* as the calling thread names it */
    struct wanted memory;
    uint64_t bytes; /* that it takes */
};
bool async_freed_reuse(const struct async_wanted *wanted, CUdeviceptr *out);
/** The same with the stream made to wait for the free. */
bool async_freed_depend(const struct async_wanted *wanted, CUdeviceptr *out);

/** Give back, until `bytes` are, what orders have passed and `may_go` says. Returns the bytes. async_lock not held. */
uint64_t async_freed_give(async_freed_is_fn may_go, const void *arg, uint64_t bytes);

/** Leave to the core when they are given back, all that `may_go` says: nobody can tell how far their stream is. */
void async_freed_defer(async_freed_is_fn may_go, const void *arg);

#endif
