/* SPDX-License-Identifier: Apache-2.0 */
/*
 * async.h - stream-ordered memory that lies in blocks, and so can leave the device.
 *
 * Order    a block that is freed in a stream stays as it is until the stream has come to the free. Before that it is given
 *          to whoever allocates in the same stream, or, by what its pool allows, in one that comes after the free: because
 *          the program made it wait, because the free has been passed, or because it is made to wait by us.
 * Room     what is freed stays with its pool, and counts in the budget as blocks do, until a stream, an event or a context
 *          is synchronised and the pool holds more than its threshold, until the pool is trimmed, or until somebody
 *          needs the room.
 * Native   pools that can be exported or were imported, whose memory is not of a device, or whose allocations a graph
 *          makes, are the driver's own affair: CUDA_ERROR_NOT_SUPPORTED.
 * Files    async.c allocations          async_pool.c   what the program was told and says of pools
 *          async_freed.c freed blocks   async_order.c  how far streams have come
 *                                       async_follow.c which come behind which
 * Threads  any. One load where nothing of this is in use.
 */
#ifndef EBB_ASYNC_H
#define EBB_ASYNC_H

#include <stdatomic.h>

#include "base/compiler.h"
#include "cuda/real.h"
#include "ledger/kind.h"
#include "tier/device.h"

struct async_request {
    size_t bytes;
    CUmemoryPool pool; /**< NULL: the current one of the stream's device */
    CUstream stream;   /**< that does not capture */
    bool per_thread;   /**< stream 0 is the thread's own */
    const void *call_site;
    bool is_movable;
};

/** A block for memory out of a pool. What the driver says of the stream; CUDA_ERROR_OUT_OF_MEMORY; CUDA_ERROR_NOT_SUPPORTED:
 *  for the driver to serve, because of the pool (`*out_why`, which stays as it is where that is not so). */
CUresult async_allocate(const struct async_request *request, CUdeviceptr *out, enum stay *out_why);

/** Free a block in the order of a stream that does not capture, be it out of a pool or not. What the driver says of the stream;
 *  CUDA_ERROR_INVALID_VALUE: it is no allocation's address; CUDA_ERROR_NOT_SUPPORTED: its stream has to be waited for. */
CUresult async_free(CUdeviceptr address, CUstream stream, bool per_thread);

/** The program frees the block at once, or its context goes: no pool has it any more. */
void async_forget(CUdeviceptr address);

/** The pool of a block. NULL: none. */
CUmemoryPool async_pool_of(CUdeviceptr base);

/** Somebody has waited for a stream, an event or a context: pools give back what they hold above their threshold. */
void async_synchronised(void);

/* ---- who comes behind whom; around the real call of the program ------------------------------------------------- */

enum {
    ASYNC_PAST_MOST = 16 /**< streams; of more, what was freed last */
};

/** Streams, by their order, whose frees are over by some point, up to a time. */
struct async_past {
    unsigned count;
    struct {
        uint64_t order, time;
    } of[ASYNC_PAST_MOST];
};

/** What was known before the call. */
struct async_mark {
    uint64_t version; /**< 0: nothing */
    uint64_t time;
    CUcontext context;
    struct async_past past;
};

/** An event is about to be recorded in a stream, and was. */
void async_event_recording(CUevent event, CUstream stream, bool per_thread, struct async_mark *out);
void async_event_recorded(CUevent event, const struct async_mark *mark);
/** It may be recorded by others than a stream of the program's: a graph, another process, a launch. */
void async_event_opaque(CUevent event);
/** It is about to be destroyed. */
void async_event_gone(CUevent event);

/** There is or was a stream that memory was allocated or freed in. */
extern atomic_bool async_in_use;

/** A launch may record events by its attributes. */
void async_launch_records(const CUlaunchConfig *config);
static inline bool async_launching(const CUlaunchConfig *config)
{
    if (UNLIKELY(atomic_load_explicit(&async_in_use, memory_order_relaxed)) && config && config->numAttrs)
        async_launch_records(config);
    return config;
}

/** A stream, or the host, is about to wait for an event; the stream has been told to. */
void async_event_waiting(CUevent event, struct async_mark *out);
void async_event_followed(CUevent event, CUstream stream, bool per_thread, const struct async_mark *mark);

/** The host is about to wait for a stream, or a context, NULL: the current one; and has waited, for an event or NULL. */
void async_stream_waiting(CUstream stream, bool per_thread, struct async_mark *out);
void async_context_waiting(CUcontext context, struct async_mark *out);
void async_host_waited(CUevent event, const struct async_mark *mark);

/* ------------------------------------------------------------------------------------------------------------------ */

/** A stream is about to be destroyed: what was freed in it is told by an event from now on. */
void async_stream_gone(CUstream stream);

/** A context is about to go, and its blocks have gone. */
void async_context_going(CUcontext context);
/** It has gone, and all that its streams had with it. */
void async_context_gone(CUcontext context);

/** give_ordered of struct device. */
uint64_t async_give(struct device *self, unsigned ordinal, uint64_t bytes);

struct async_pool;

/** A pool is about to be destroyed, and has been or has not. No lock held at the second. */
struct async_pool *async_pool_going(CUmemoryPool pool);
void async_pool_gone(struct async_pool *pool, bool is_gone);

/* ---- pools; each after the real call ------------------------------------------------------------------------ */

void async_pool_created(CUmemoryPool pool, const CUmemPoolProps *properties);
void async_pool_trimmed(CUmemoryPool pool, size_t keep_bytes);
void async_pool_changed(CUmemoryPool pool, CUmemPool_attribute attribute);
/** Add to the driver's answer what lies in blocks. */
void async_pool_told(CUmemoryPool pool, CUmemPool_attribute attribute, void *value);
void async_pool_granted(CUmemoryPool pool, const CUmemAccessDesc *grants, size_t count);

#endif
