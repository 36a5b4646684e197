/* SPDX-License-Identifier: Apache-2.0 */
/*
 * async_follow.c - which frees a stream comes behind, by what the program has made it and the host wait for. See async.h.
 *
 * Every free has a time, and a past says of some streams up to which time their frees are over by then. A stream has a past, which
 * grows with each event that it waits for; an event has that of its stream when it was recorded. A past that is too short makes
 * nothing wrong: what is not in it is not reused along a dependency.
 */
#include <utlist.h>

#include "base/table.h"
#include "cuda/async.h"
#include "cuda/async_state.h"
#include "cuda/capture.h"

struct event {
    uint64_t version;  /* of the last record that was begun */
    CUcontext context; /* of the stream */
    bool is_opaque;    /* others record it, too, and do not tell */
    struct async_past past;
};

static struct table events = TABLE_INIT(struct event);
static atomic_uint known_events;
static _Atomic uint64_t versions;

atomic_bool async_in_use;

/* ---- pasts -------------------------------------------------------------------------------------------------------- */

/* Where there is no room the oldest goes. */
static void add(struct async_past *past, uint64_t order, uint64_t time)
{
    unsigned at = 0;

    for (unsigned i = 0; i < past->count; i++) {
        if (past->of[i].order == order) {
            past->of[i].time = past->of[i].time < time ? time : past->of[i].time;
            return;
        }
        at = past->of[i].time < past->of[at].time ? i : at;
    }
    if (past->count < ASYNC_PAST_MOST)
        at = past->count++;
    else if (past->of[at].time >= time)
        return;
    past->of[at].order = order;
    past->of[at].time = time;
}

static void add_all(struct async_past *past, const struct async_past *more, uint64_t but)
{
    for (unsigned i = 0; i < more->count; i++)
        if (more->of[i].order != but)
            add(past, more->of[i].order, more->of[i].time);
}

static bool is_legacy(const struct async_order *order)
{
    return !order->stream && !order->is_own;
}

/* The legacy stream and the blocking ones of its context come behind each other without a word. */
static bool is_implied(const struct async_order *order, const struct async_order *other)
{
    return order->context == other->context &&
           ((is_legacy(order) && other->is_blocking) || (order->is_blocking && is_legacy(other)));
}

void async_follow_past(const struct async_order *order, uint64_t now, struct async_past *out)
{
    const struct async_order *other;

    *out = order->past;
    DL_FOREACH(async_orders(), other) {
        if (is_implied(order, other))
            add(out, other->id, now);
    }
}

bool async_follow_has(const struct async_past *past, const struct async_freed *freed)
{
    for (unsigned i = 0; i < past->count; i++)
        if (past->of[i].order == freed->order->id)
            return freed->time <= past->of[i].time;
    return false;
}

/* What a stream is behind now, its own frees among it. False: nothing. */
static bool past_of_stream(CUstream stream, bool per_thread, struct async_mark *out)
{
    struct async_order *order = async_order_known(stream, per_thread);
    uint64_t now;

    if (!order)
        return false;
    lock_acquire(&async_lock);
    now = async_time();
    async_follow_past(order, now, &out->past);
    add(&out->past, order->id, now);
    out->context = order->context;
    order->count--;
    lock_release(&async_lock);
    return true;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

void async_event_gone(CUevent event)
{
    struct event known;

    if (atomic_load_explicit(&known_events, memory_order_acquire) &&
        table_take(&events, real_key(event), &known))
        atomic_fetch_sub_explicit(&known_events, 1, memory_order_acq_rel);
}

/* What is known of an event is another thing from now on. */
static void put(CUevent event, uint64_t version, CUcontext context, const struct async_past *past,
                bool is_opaque)
{
    struct event *known;

    table_lock(&events);
    known = table_find(&events, real_key(event));
    if (!known) {
        known = table_add(&events, real_key(event));
        if (known)
            atomic_fetch_add_explicit(&known_events, 1, memory_order_acq_rel);
    }
    if (known) {
        known->version = version;
        known->context = context;
        known->past = *past;
        known->is_opaque = known->is_opaque || is_opaque;
    }
    table_unlock(&events);
}

void async_event_opaque(CUevent event)
{
    if (event)
        put(event, 0, NULL, &(struct async_past){0}, true);
}

void async_launch_records(const CUlaunchConfig *config)
{
    for (unsigned i = 0; i < config->numAttrs; i++) {
        const CUlaunchAttribute *attribute = &config->attrs[i];

        if (attribute->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)
            async_event_opaque(attribute->value.programmaticEvent.event);
        else if (attribute->id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
            async_event_opaque(attribute->value.launchCompletionEvent.event);
    }
}

static void forget_past(CUevent event)
{
    struct event known;

    if (!atomic_load_explicit(&known_events, memory_order_acquire) ||
        !table_get(&events, real_key(event), &known))
        return;
    if (known.is_opaque)
        put(event, 0, NULL, &(struct async_past){0}, false);
    else
        async_event_gone(event);
}

/* Whoever waits for an event while it is recorded learns nothing from it. */
void async_event_recording(CUevent event, CUstream stream, bool per_thread, struct async_mark *out)
{
    bool has_past;

    out->version = 0;
    if (LIKELY(!atomic_load_explicit(&async_in_use, memory_order_acquire)))
        return;
    has_past = !capture_records(stream, per_thread) && past_of_stream(stream, per_thread, out);
    if (!has_past) {
        forget_past(event);
        return;
    }
    out->version = atomic_fetch_add(&versions, 1) + 1;
    put(event, out->version, out->context, &(struct async_past){0}, false);
}

void async_event_recorded(CUevent event, const struct async_mark *mark)
{
    struct event *known;

    if (LIKELY(!mark->version))
        return;
    table_lock(&events);
    known = table_find(&events, real_key(event));
    if (known && !known->is_opaque)
        known->past = known->version == mark->version ? mark->past : (struct async_past){0};
    table_unlock(&events);
}

void async_event_waiting(CUevent event, struct async_mark *out)
{
    struct event known;

    out->version = 0;
    out->time = 0;
    if (LIKELY(!atomic_load_explicit(&known_events, memory_order_acquire)) ||
        !table_get(&events, real_key(event), &known) || known.is_opaque || !known.past.count)
        return;
    out->version = known.version;
    out->past = known.past;
}

/* Was it recorded anew since it was looked at? */
static bool is_same(CUevent event, const struct async_mark *mark)
{
    struct event known;

    return !event || (table_get(&events, real_key(event), &known) && known.version == mark->version &&
                      !known.is_opaque);
}

void async_event_followed(CUevent event, CUstream stream, bool per_thread, const struct async_mark *mark)
{
    struct async_order *order;

    if (LIKELY(!mark->version) || !is_same(event, mark) || capture_records(stream, per_thread) ||
        async_order_find(stream, per_thread, &order) != CUDA_SUCCESS)
        return;
    lock_acquire(&async_lock);
    add_all(&order->past, &mark->past, order->id);
    lock_release(&async_lock);
    async_order_let_go(order);
}

/* ---- the host waits ---------------------------------------------------------------------------------------------- */

void async_stream_waiting(CUstream stream, bool per_thread, struct async_mark *out)
{
    out->time = 0;
    out->version = UNLIKELY(atomic_load_explicit(&async_in_use, memory_order_acquire)) &&
                   past_of_stream(stream, per_thread, out);
}

void async_context_waiting(CUcontext context, struct async_mark *out)
{
    struct place place;

    out->version = 0;
    if (LIKELY(!atomic_load_explicit(&async_in_use, memory_order_acquire)) ||
        (!context && !contexts_here(&place)))
        return;
    out->context = context ? context : place.context;
    out->past.count = 0;
    lock_acquire(&async_lock);
    out->time = async_time();
    lock_release(&async_lock);
    out->version = 1;
}

/* Under the lock: by when the host has seen the end of what was freed in an order. */
static uint64_t seen(const struct async_order *order, const struct async_mark *mark)
{
    if (mark->time && order->context == mark->context)
        return mark->time;
    for (unsigned i = 0; i < mark->past.count; i++)
        if (mark->past.of[i].order == order->id)
            return mark->past.of[i].time;
    return 0;
}

void async_host_waited(CUevent event, const struct async_mark *mark)
{
    struct async_order *order;

    if (LIKELY(!mark->version) || !is_same(event, mark))
        return;
    lock_acquire(&async_lock);
    DL_FOREACH(async_orders(), order) {
        uint64_t time = seen(order, mark);

        order->waited = order->waited < time ? time : order->waited;
    }
    lock_release(&async_lock);
}

/* Their handles may be other events' soon. */
void async_follow_ended(CUcontext context)
{
    struct table_copy copy;

    if (!atomic_load_explicit(&known_events, memory_order_acquire) || table_copy(&events, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++) {
        const struct event *known = table_copy_record(&copy, i);

        if (known->context == context)
            async_event_gone((CUevent)(uintptr_t)table_copy_key(&copy, i));
    }
    table_copy_free(&copy);
}
