/* SPDX-License-Identifier: Apache-2.0 */
/*
 * async_order.c - how far the streams have come in which memory was freed. See async.h.
 *
 * While one stream alone allocates and frees, as is the rule, nobody but itself reuses what was freed in it, and a free
 * needs no event: where somebody wants to know, the stream itself is asked, which says so later, and never too early.
 */
#include <pthread.h>
#include <utlist.h>

#include "base/compiler.h"
#include "base/pages.h"
#include "base/table.h"
#include "cuda/async.h"
#include "cuda/async_state.h"
#include "cuda/capture.h"
#include "engine/core.h"

struct entry {
    struct async_order *order;
};

static struct table streams = TABLE_INIT(struct entry);
static struct async_order *orders;
static uint64_t last_id, last_time;
static struct pages_pool order_records = PAGES_POOL(struct async_order);
static struct pages_pool freed_records = PAGES_POOL(struct async_freed);

/* There has been more than one, or one that only its own thread can ask. */
static atomic_bool are_many;

/* The calling thread's own default streams, one in each context. */
static THREAD_LOCAL struct async_order *own;
static pthread_key_t own_key;
static pthread_once_t own_key_once = PTHREAD_ONCE_INIT;
static bool own_key_made;

/* Under the lock: it is found no more. */
static void forget(struct async_order *order)
{
    struct entry entry;

    if (order->own)
        LL_DELETE2(*order->own, order, own_next);
    else if (!order->is_gone)
        table_take(&streams, order->key, &entry);
    order->own = NULL;
    order->is_gone = true;
}

/* What a thread has freed in a stream of its own is marked: nobody has to ask the stream. */
static void thread_ends(void *list)
{
    struct async_order **mine = list;

    lock_acquire(&async_lock);
    while (*mine)
        forget(*mine);
    lock_release(&async_lock);
}

static void own_key_make(void)
{
    own_key_made = pthread_key_create(&own_key, thread_ends) == 0;
}

static bool thread_tells_its_end(void)
{
    pthread_once(&own_key_once, own_key_make);
    return own_key_made && pthread_setspecific(own_key, &own) == 0;
}

/* ---- found by the stream ------------------------------------------------------------------------------------- */

/* What tells a stream from any other: handles are aligned, so that low bits are free. False: no context. */
static bool name(CUstream stream, bool per_thread, struct async_order *out)
{
    struct place place;
    bool is_own = stream == CU_STREAM_PER_THREAD || (!stream && per_thread);

    *out = (struct async_order){.key = real_key(stream), .stream = stream};
    if (stream && !is_own && stream != CU_STREAM_LEGACY)
        return true;
    if (!contexts_here(&place))
        return false;
    out->stream = is_own ? CU_STREAM_PER_THREAD : NULL;
    out->context = place.context;
    out->ordinal = place.ordinal;
    out->is_own = is_own;
    out->key = is_own ? 0 : real_key(place.context) + 1;
    return true;
}

struct async_order *async_orders(void)
{
    return orders;
}

uint64_t async_time(void)
{
    return last_time;
}

/* Under the lock: who asks works with it. */
static struct async_order *known(const struct async_order *named)
{
    struct entry entry = {NULL};

    if (named->is_own)
        LL_SEARCH_SCALAR2(own, entry.order, context, named->context, own_next);
    else
        table_get(&streams, named->key, &entry);
    if (entry.order)
        entry.order->count++;
    return entry.order;
}

static CUresult ask_device(struct async_order *out)
{
    CUdevice device;

    if (contexts_ordinal_of(out->context, &out->ordinal))
        return CUDA_SUCCESS;
    CUresult result =
        real.cuStreamGetDevice ? real.cuStreamGetDevice(out->stream, &device) : CUDA_ERROR_NOT_SUPPORTED;

    if (result != CUDA_SUCCESS)
        return result;
    out->ordinal = contexts_ordinal(device);
    return out->ordinal < DEVICE_MAX ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

/* What a name does not say of a stream that is met for the first time. */
static CUresult complete(struct async_order *out)
{
    CUresult result;

    if (out->is_own)
        return thread_tells_its_end() ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
    if (out->context)
        return CUDA_SUCCESS;
    result = real.cuStreamGetCtx ? real.cuStreamGetCtx(out->stream, &out->context) : CUDA_ERROR_NOT_SUPPORTED;
    return result == CUDA_SUCCESS ? ask_device(out) : result;
}

/* Has it to do with the legacy stream of its context? Without an answer what that implies is not made use of. */
static bool ask_blocking(const struct async_order *order)
{
    unsigned flags;

    if (order->is_own || !order->stream)
        return order->is_own;
    return real.cuStreamGetFlags && real.cuStreamGetFlags(order->stream, &flags) == CUDA_SUCCESS &&
           !(flags & CU_STREAM_NON_BLOCKING);
}

/* Under the lock, as known. NULL without memory. */
static struct async_order *remember(const struct async_order *fresh)
{
    struct async_order *order = pages_pool_take(&order_records);
    const struct entry entry = {order};

    if (!order)
        return NULL;
    *order = *fresh;
    order->id = ++last_id;
    order->count = 1;
    if (!order->is_own && table_put(&streams, order->key, &entry)) {
        pages_pool_give(&order_records, order);
        return NULL;
    }
    if (order->is_own) {
        order->own = &own;
        LL_PREPEND2(own, order, own_next);
    }
    if (orders || order->is_own)
        atomic_store_explicit(&are_many, true, memory_order_release);
    DL_APPEND(orders, order);
    atomic_store_explicit(&async_in_use, true, memory_order_release);
    return order;
}

CUresult async_order_find(CUstream stream, bool per_thread, struct async_order **out)
{
    struct async_order named, *order;
    CUresult result;

    if (!name(stream, per_thread, &named))
        return CUDA_ERROR_NOT_SUPPORTED;
    lock_acquire(&async_lock);
    order = known(&named);
    lock_release(&async_lock);
    if (!order) {
        result = complete(&named);
        if (result != CUDA_SUCCESS)
            return result;
        named.is_blocking = ask_blocking(&named);
        async_order_sweep();
        lock_acquire(&async_lock);
        order = known(&named);
        order = order ? order : remember(&named);
        lock_release(&async_lock);
    }
    if (!order)
        return CUDA_ERROR_NOT_SUPPORTED;
    *out = order;
    return CUDA_SUCCESS;
}

struct async_order *async_order_known(CUstream stream, bool per_thread)
{
    struct async_order named, *order;

    if (!name(stream, per_thread, &named))
        return NULL;
    lock_acquire(&async_lock);
    order = known(&named);
    lock_release(&async_lock);
    return order;
}

void async_order_let_go(struct async_order *order)
{
    lock_acquire(&async_lock);
    order->count--;
    lock_release(&async_lock);
}

struct async_order *async_order_after(uint64_t id)
{
    struct async_order *order;

    DL_FOREACH(orders, order) {
        if (order->id > id)
            break;
    }
    return order;
}

/* ---- events --------------------------------------------------------------------------------------------------- */

/* An event behind what the stream has now. */
static CUresult record(const struct async_order *order, CUevent *event)
{
    CUstreamCaptureMode mode = quiet_begin();
    CUcontext popped;
    CUresult result = real.cuCtxPushCurrent_v2(order->context);

    if (result == CUDA_SUCCESS) {
        if (!*event)
            result = real.cuEventCreate(event, CU_EVENT_DISABLE_TIMING);
        if (result == CUDA_SUCCESS)
            result = real.cuEventRecord(*event, order->stream);
        real.cuCtxPopCurrent_v2(&popped);
    }
    quiet_end(mode);
    return result;
}

bool async_order_marks(const struct async_order *order)
{
    return order->is_own || atomic_load_explicit(&are_many, memory_order_acquire);
}

CUresult async_order_mark(struct async_order *order, struct async_freed **out)
{
    struct async_freed *freed;
    CUevent event = NULL;
    uint64_t time;

    lock_acquire(&async_lock);
    time = ++last_time;
    freed = order->spare;
    if (freed) {
        event = freed->event;
        order->spare = freed->newer;
    } else {
        freed = pages_pool_take(&freed_records);
    }
    if (freed)
        order->count++;
    lock_release(&async_lock);
    if (!freed)
        return CUDA_ERROR_NOT_SUPPORTED;
    *freed = (struct async_freed){
        .order = order, .time = time, .event = event, .is_marked = async_order_marks(order)};
    if (!freed->is_marked || record(order, &freed->event) == CUDA_SUCCESS) {
        *out = freed;
        return CUDA_SUCCESS;
    }
    lock_acquire(&async_lock);
    async_order_give(freed);
    lock_release(&async_lock);
    return CUDA_ERROR_NOT_SUPPORTED;
}

void async_order_give(struct async_freed *freed)
{
    struct async_order *order = freed->order;

    freed->newer = order->spare;
    order->spare = freed;
    order->count--;
}

/* ---- how far ---------------------------------------------------------------------------------------------------- */

/* What a stream has been asked says when all of it is done, later than it might. */
static CUresult ask_stream(const struct async_order *order)
{
    CUcontext popped;
    CUresult result = CUDA_ERROR_NOT_READY;

    if (!capture_hold_off()) /* to ask would break the capture */
        return result;
    if (real.cuCtxPushCurrent_v2(order->context) == CUDA_SUCCESS) {
        result = real.cuStreamQuery(order->stream);
        real.cuCtxPopCurrent_v2(&popped);
    }
    capture_let_begin();
    return result;
}

static CUresult ask(const struct async_freed *freed, CUevent last)
{
    CUstreamCaptureMode mode;
    CUresult result;

    if (!freed->is_marked && !last)
        return ask_stream(freed->order);
    mode = quiet_begin();
    result = real.cuEventQuery(freed->is_marked ? freed->event : last);
    quiet_end(mode);
    return result;
}

/* A context that is broken runs nothing any more. */
bool async_order_passed(const struct async_freed *freed)
{
    const struct async_order *order = freed->order;
    bool is_ended, is_ending;
    CUevent last;
    CUresult result;

    contexts_keep();
    lock_acquire(&async_lock);
    is_ended = order->is_ended;
    is_ending = order->is_ending;
    last = order->last;
    lock_release(&async_lock);
    result = is_ended ? CUDA_SUCCESS : is_ending ? CUDA_ERROR_NOT_READY : ask(freed, last);
    contexts_let_go();
    return result != CUDA_ERROR_NOT_READY;
}

/* ---- streams and contexts go ------------------------------------------------------------------------------------ */

/* Under the lock: one that is gone and empty, out of the list; NULL: none. */
static struct async_order *take_empty(void)
{
    struct async_order *order;

    DL_FOREACH(orders, order) {
        if (order->is_gone && !order->count)
            break;
    }
    if (order)
        DL_DELETE(orders, order);
    return order;
}

static void destroy(const struct async_order *order, CUevent event)
{
    if (event && !order->is_ended) /* events end with their context */
        real.cuEventDestroy_v2(event);
}

void async_order_sweep(void)
{
    struct async_order *order;

    for (;;) {
        lock_acquire(&async_lock);
        order = take_empty();
        lock_release(&async_lock);
        if (!order)
            return;
        destroy(order, order->last);
        for (struct async_freed *freed = order->spare; freed; freed = freed->newer)
            destroy(order, freed->event);
        lock_acquire(&async_lock);
        while (order->spare) {
            struct async_freed *freed = order->spare;

            order->spare = freed->newer;
            freed->event = NULL;
            pages_pool_give(&freed_records, freed);
        }
        pages_pool_give(&order_records, order);
        lock_release(&async_lock);
    }
}

/* Under the lock: does anything that was freed in the stream depend on asking it? */
static bool has_unmarked(const struct async_order *order)
{
    const struct async_freed *freed;

    DL_FOREACH2(order->freed, freed, newer)
    {
        if (!freed->is_marked)
            return true;
    }
    return false;
}

static bool is_in(const struct async_freed *freed, const void *order)
{
    return freed->order == order && !freed->is_marked;
}

void async_stream_gone(CUstream stream)
{
    struct entry entry = {NULL};
    CUevent last = NULL;
    bool wants_last;

    if (stream == NULL || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD)
        return;
    lock_acquire(&async_lock);
    if (table_get(&streams, real_key(stream), &entry)) {
        entry.order->count++;
        forget(entry.order);
    }
    wants_last = entry.order && has_unmarked(entry.order);
    lock_release(&async_lock);
    if (!entry.order)
        return;
    if (wants_last && (capture_records(stream, false) || record(entry.order, &last) != CUDA_SUCCESS))
        async_freed_defer(is_in, entry.order);
    lock_acquire(&async_lock);
    entry.order->last = last;
    entry.order->count--;
    lock_release(&async_lock);
    async_order_sweep();
}

void async_order_ending(CUcontext context)
{
    struct async_order *order;

    lock_acquire(&async_lock);
    DL_FOREACH(orders, order) {
        if (order->context != context)
            continue;
        order->is_ending = true;
        forget(order);
    }
    lock_release(&async_lock);
}

void async_order_ended(CUcontext context)
{
    struct async_order *order;

    lock_acquire(&async_lock);
    DL_FOREACH(orders, order) {
        if (order->context == context && order->is_ending)
            order->is_ended = true;
    }
    lock_release(&async_lock);
}
