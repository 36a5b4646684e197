/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public functions of ebbtide.h: arguments are checked and sent to whom they concern, device blocks to the core,
 * other addresses to the host's blocks. No state.
 *
 * The program's own memory, names and structs, is read before anything is locked and written after: it may be away, and
 * whoever brings it back may need the lock.
 */
#define EBB_IMPLEMENTATION
#include "ebbtide.h"

#include <limits.h>
#include <string.h>

#include "api/figures.h"
#include "api/object.h"
#include "base/cancel_guard.h"
#include "base/compiler.h"
#include "base/log.h"
#include "cuda/contexts.h"
#include "cuda/driver_memory.h"
#include "engine/callbacks.h"
#include "engine/core.h"
#include "engine/reservation.h"
#include "host/host_block.h"
#include "ledger/limit.h"

/* The host is managed from the first call on that asks for it, be it before any device is used. */
static bool is_here(void)
{
    if (UNLIKELY(!core_manages()))
        core_host_begin();
    return core_manages();
}

static uint64_t address_of(const void *ptr)
{
    return (uintptr_t)ptr;
}

/* 0, or why nothing can be answered. */
static int check_here(void)
{
    if (UNLIKELY(reload_callback_running()))
        return -EDEADLK;
    return is_here() ? 0 : -ENOSYS;
}

/* The owner of a block: 1 the device, 0 the host, negative: nobody. */
static int owner_of(const void *ptr)
{
    return ptr ? core_owns(address_of(ptr)) : -EINVAL;
}

/* One answer for a block of the device, another for other memory: host blocks answer in the same words, but for
 * what they cannot do at all. */
#define BY_OWNER(ptr, device, host)                                                                          \
    ({                                                                                                       \
        int on_device = owner_of(ptr);                                                                       \
                                                                                                             \
        on_device < 0 ? on_device : on_device ? (device) : (host);                                           \
    })

static int host_register(void *ptr, size_t bytes, const char *name)
{
    struct driver_memory record;
    int error;

    if (driver_memory_find(DRIVER_MEMORY, address_of(ptr), &record))
        return -ENOTSUP;
    error = host_object_register(ptr, bytes, name);
    if (!error)
        driver_memory_registered_settle(ptr, bytes);
    return error;
}

static int inner_register(void *ptr, size_t bytes, unsigned flags, const char *name)
{
    char own[sizeof((struct ebb_block_info *)0)->name];

    if (!ptr || !bytes || flags & ~(unsigned)(EBB_CACHEABLE | EBB_RELOADABLE))
        return -EINVAL;
    log_print(own, sizeof(own), "%s", name ? name : "");
    return BY_OWNER(ptr, object_register(address_of(ptr), bytes, flags, own),
                    flags & EBB_RELOADABLE ? -ENOTSUP : host_register(ptr, bytes, own));
}

/* Host blocks are not reloadable. */
static int host_refuse_reload(void *ptr)
{
    struct host_block_info host;
    int error = host_block_query(ptr, &host);

    return error ? error : -EINVAL;
}

static int inner_reserve(size_t bytes, unsigned flags, unsigned timeout_ms, ebb_reservation *out,
                         size_t *out_overbooked_bytes)
{
    ebb_reservation made = 0;
    uint64_t overbooked = 0;
    struct place place;
    int error;

    if (!bytes || flags > EBB_OVERBOOK_ASK || !out)
        return -EINVAL;
    if (!core_active() || !contexts_here(&place))
        return -ENODEV;
    error = reservation_make(place.ordinal, bytes, flags, timeout_ms, &made, &overbooked);
    if (made)
        *out = made;
    if (!error && out_overbooked_bytes)
        *out_overbooked_bytes = overbooked;
    return error;
}

static int inner_prefetch(void *ptr, int tier, IGNORED void *stream)
{
    return BY_OWNER(ptr, tier == EBB_TIER_DEVICE ? object_prefetch(address_of(ptr)) : -EINVAL,
                    tier == EBB_TIER_HOST ? host_object_prefetch(ptr) : -EINVAL);
}

static long evict_host(void *ptr)
{
    struct host_block_info info;
    int error = host_block_query(ptr, &info);

    if (!error && info.pins)
        error = -EBUSY;
    return error ? error : host_block_evict(ptr, 0);
}

/* Blocks of the device first, then of the host: bytes are wanted there last. */
static long evict_any(size_t bytes, int tier)
{
    struct place place;
    size_t gone = 0;

    bytes = bytes < LONG_MAX ? bytes : LONG_MAX;
    if (core_active() && contexts_here(&place))
        gone = (size_t)object_evict_any(place.ordinal, bytes, tier);
    if (tier == EBB_TIER_DISK && gone < bytes)
        gone += host_block_demote(bytes - gone);
    return (long)gone;
}

static long inner_evict(void *ptr_or_null, size_t bytes, int tier)
{
    if (tier != EBB_TIER_HOST && tier != EBB_TIER_DISK)
        return -EINVAL;
    if (!ptr_or_null)
        return evict_any(bytes, tier);
    if (core_owns(address_of(ptr_or_null)))
        return object_evict(address_of(ptr_or_null), tier);
    return tier == EBB_TIER_DISK ? evict_host(ptr_or_null) : -EINVAL;
}

static int inner_set_budget(int tier, int device, int64_t bytes)
{
    uint64_t limit_bytes = bytes == INT64_MAX ? UINT64_MAX : (uint64_t)bytes;

    if (tier == EBB_TIER_DISK)
        return -ENOTSUP;
    if (bytes <= 0 || (tier != EBB_TIER_DEVICE && tier != EBB_TIER_HOST))
        return -EINVAL;
    if (tier == EBB_TIER_HOST)
        return limit_set_host(limit_bytes);
    return device < 0 ? -EINVAL : limit_set_device((unsigned)device, limit_bytes);
}

/* Priority and stage are of registered blocks: host memory is all of one priority and one stage. */
static int set_of_block(int (*set)(uint64_t address, int value), void *ptr, int value)
{
    struct ebb_block_info info = {.struct_bytes = sizeof(info)};
    int error = BY_OWNER(ptr, object_query(address_of(ptr), &info), -ENOENT);

    return error ? error : set(address_of(ptr), value);
}

static int query_host(void *ptr, struct ebb_block_info *out)
{
    struct host_block_info host;
    int error = host_block_query(ptr, &host);

    if (error)
        return error;
    *out = (struct ebb_block_info){
        .struct_bytes = out->struct_bytes,
        .bytes = host.bytes,
        .tier = host.away_bytes ? EBB_TIER_DISK : EBB_TIER_HOST,
        .device = -1,
        .pins = (unsigned)host.pins,
        .dirty = !host.away_bytes,
        .saves = (unsigned)host.saves,
        .last_use_ns = object_age_ns(host.last_use),
        .resident_bytes = host.bytes - host.away_bytes,
    };
    memcpy(out->name, host.name, sizeof(out->name) - 1);
    return 0;
}

static int inner_query(void *ptr, struct ebb_block_info *out)
{
    if (!out || out->struct_bytes != sizeof(*out))
        return -EINVAL;
    return BY_OWNER(ptr, object_query(address_of(ptr), out), query_host(ptr, out));
}

static unsigned ordinal_here(void)
{
    struct place place;

    return core_active() && contexts_here(&place) ? place.ordinal : 0;
}

static int inner_get_stats(struct ebb_stats *out)
{
    struct ebb_stats stats = {.struct_bytes = sizeof(stats)};

    if (!out || out->struct_bytes != sizeof(*out))
        return -EINVAL;
    figures_now(ordinal_here(), &stats);
    *out = stats;
    return 0;
}

static int inner_pop_peak(struct ebb_stats *out)
{
    struct ebb_stats stats = {.struct_bytes = sizeof(stats)};
    int error;

    if (out && out->struct_bytes != sizeof(*out))
        return -EINVAL;
    error = figures_pop(ordinal_here(), out ? &stats : NULL);
    if (!error && out)
        *out = stats;
    return error;
}

/* ---- what is called all the time -------------------------------------------------------------------------------- */

/* A cancel guard is dear for these: those that wait have one further in. */

static int pin_host(void *ptr, unsigned flags)
{
    struct cancel_guard guard;
    int error;

    cancel_guard_enter(&guard);
    error = host_object_pin(ptr, flags);
    cancel_guard_leave(&guard);
    return error;
}

static int unpin_host(void *ptr)
{
    struct cancel_guard guard;
    int error;

    cancel_guard_enter(&guard);
    error = host_object_unpin(ptr);
    cancel_guard_leave(&guard);
    return error;
}

static int owner_here(const void *ptr)
{
    int error = check_here();

    return error < 0 ? error : owner_of(ptr);
}

int ebb_pin(void *ptr, unsigned flags, void *stream)
{
    int on_device = owner_here(ptr);

    if (on_device < 0)
        return on_device;
    if (flags & ~(unsigned)(EBB_RO | EBB_NOWAIT))
        return -EINVAL;
    return on_device ? object_pin(address_of(ptr), flags, stream) : pin_host(ptr, flags);
}

int ebb_unpin(void *ptr, unsigned flags)
{
    int on_device = owner_here(ptr);

    if (on_device < 0)
        return on_device;
    if (flags & ~(unsigned)EBB_CLEAN)
        return -EINVAL;
    return on_device ? object_unpin(address_of(ptr), flags) : unpin_host(ptr);
}

int ebb_touch(void *ptr)
{
    int on_device = owner_here(ptr);

    if (on_device < 0)
        return on_device;
    return on_device ? object_touch(address_of(ptr)) : host_block_touch(ptr);
}

/* ---- all others, each in a cancel guard --------------------------------------------------------------------------- */

#define GUARDED(result, name, parameters, call)                                                              \
    result ebb_##name parameters                                                                             \
    {                                                                                                        \
        struct cancel_guard guard;                                                                           \
        result answer;                                                                                       \
                                                                                                             \
        cancel_guard_enter(&guard);                                                                          \
        answer = check_here();                                                                               \
        if (!answer)                                                                                         \
            answer = call;                                                                                   \
        cancel_guard_leave(&guard);                                                                          \
        return answer;                                                                                       \
    }

GUARDED(int, register, (void *ptr, size_t bytes, unsigned flags, const char *name),
        inner_register(ptr, bytes, flags, name))
GUARDED(int, set_reload_callback, (void *ptr, ebb_reload_fn fn, void *arg),
        BY_OWNER(ptr, object_set_reload(address_of(ptr), fn, arg), host_refuse_reload(ptr)))
GUARDED(int, unregister, (void *ptr),
        BY_OWNER(ptr, object_unregister(address_of(ptr)), host_block_unregister(ptr)))
GUARDED(int, reserve,
        (size_t bytes, unsigned flags, unsigned timeout_ms, ebb_reservation *out,
         size_t *out_overbooked_bytes),
        inner_reserve(bytes, flags, timeout_ms, out, out_overbooked_bytes))
GUARDED(int, reserve_commit, (ebb_reservation reservation, void *ptr),
        BY_OWNER(ptr, reservation_commit(reservation, address_of(ptr)), -EXDEV))
GUARDED(int, reserve_release, (ebb_reservation reservation, size_t bytes),
        reservation_release(reservation, bytes))
GUARDED(int, prefetch, (void *ptr, int tier, void *stream), inner_prefetch(ptr, tier, stream))
GUARDED(long, evict, (void *ptr_or_null, size_t bytes, int tier), inner_evict(ptr_or_null, bytes, tier))
GUARDED(int, set_budget, (int tier, int device, int64_t bytes), inner_set_budget(tier, device, bytes))
GUARDED(int, set_priority, (void *ptr, int priority), set_of_block(object_set_priority, ptr, priority))
GUARDED(int, set_stage, (void *ptr, int stage), set_of_block(object_set_stage, ptr, stage))
GUARDED(int, query, (void *ptr, struct ebb_block_info *out), inner_query(ptr, out))
GUARDED(int, get_stats, (struct ebb_stats * out), inner_get_stats(out))
GUARDED(int, push_peak, (void), figures_push())
GUARDED(int, pop_peak, (struct ebb_stats * out), inner_pop_peak(out))
GUARDED(int, set_pressure_callback, (ebb_pressure_fn fn, void *arg), (pressure_callback_set(fn, arg), 0))
