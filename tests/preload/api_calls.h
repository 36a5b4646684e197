/* SPDX-License-Identifier: Apache-2.0 */
/* api_calls.h - every function of ebbtide.h as a call with a pointer, and what it must say of each kind of pointer. */
#ifndef API_CALLS_H
#define API_CALLS_H

#include "objects.h"

#define BYTES (8 * MIB)

static ebb_reservation reserved; /* what calls name that want a reservation */

static int never(void *at, size_t offset, void *memory, size_t bytes, void *arg)
{
    (void)at, (void)offset, (void)memory, (void)bytes, (void)arg;
    return -1;
}

static long call_register(void *at)
{
    return ebb_register(at, BYTES, 0, "again");
}

static long call_reload(void *at)
{
    return ebb_set_reload_callback(at, never, NULL);
}

static long call_unregister(void *at)
{
    return ebb_unregister(at);
}

static long call_pin(void *at)
{
    return ebb_pin(at, EBB_RO, NULL);
}

static long call_unpin(void *at)
{
    return ebb_unpin(at, EBB_CLEAN);
}

static long call_touch(void *at)
{
    return ebb_touch(at);
}

static long call_commit(void *at)
{
    return ebb_reserve_commit(reserved, at);
}

static struct object plain, small;
static struct object block; /* registered */
static char *host;          /* registered */

static bool is_in(const void *at, const struct object *object)
{
    return (uintptr_t)at - (uintptr_t)ptr(object) < BYTES;
}

static long call_prefetch(void *at)
{
    bool is_device = is_in(at, &block) || is_in(at, &plain) || at == ptr(&small);

    return ebb_prefetch(at, is_device ? EBB_TIER_DEVICE : EBB_TIER_HOST, NULL);
}

static long call_evict(void *at)
{
    return ebb_evict(at, 0, EBB_TIER_DISK);
}

static long call_priority(void *at)
{
    return ebb_set_priority(at, 0);
}

static long call_stage(void *at)
{
    return ebb_set_stage(at, 0);
}

static long call_query(void *at)
{
    return ebb_query(at, &(struct ebb_block_info){.struct_bytes = sizeof(struct ebb_block_info)});
}

static long call_reserve(void *at)
{
    (void)at;
    return ebb_reserve(2 * MIB, 0, 0, &(ebb_reservation){0}, NULL);
}

static long call_release(void *at)
{
    (void)at;
    return ebb_reserve_release(reserved, 2 * MIB);
}

static long call_budget(void *at)
{
    (void)at;
    return ebb_set_budget(EBB_TIER_DEVICE, 0, 212 * (int64_t)MIB);
}

static long call_stats(void *at)
{
    (void)at;
    return ebb_get_stats(&(struct ebb_stats){.struct_bytes = sizeof(struct ebb_stats)});
}

static long call_push(void *at)
{
    (void)at;
    return ebb_push_peak();
}

static long call_pop(void *at)
{
    (void)at;
    return ebb_pop_peak(NULL);
}

static long call_pressure(void *at)
{
    (void)at;
    return ebb_set_pressure_callback(NULL, NULL);
}

#define FINE 0 /* no misuse */

enum kind {
    NOTHING,     /* NULL */
    FOREIGN,     /* an address of the program's own, on a stack */
    PLAIN,       /* a block that is not registered */
    SMALL,       /* device memory that shares its block with others */
    UNPINNED,    /* a registered block */
    PINNED,      /* once, and unpinned by whoever tests it */
    HOST,        /* registered host memory */
    HOST_PINNED, /* the same, pinned once */
    KINDS
};

/* What each call returns for each kind; FINE for all of those that take no pointer. */
/* clang-format off */
static const struct call {
    const char *name;
    long (*make)(void *at);
    int of[KINDS];
} calls[] = {
    /*                             NOTHING   FOREIGN  PLAIN    SMALL     UNPINNED PINNED   HOST     HOST_PINNED */
    {"register", call_register,    {-EINVAL, -EINVAL, FINE,    -ENOTSUP, -EEXIST, -EEXIST, -EEXIST, -EEXIST}},
    {"set_reload", call_reload,    {-EINVAL, -ENOENT, -ENOENT, -ENOENT,  -EINVAL, -EINVAL, -EINVAL, -EINVAL}},
    {"unregister", call_unregister, {-EINVAL, -ENOENT, -ENOENT, -ENOENT, FINE,    -EBUSY,  FINE,    -EBUSY}},
    {"pin", call_pin,              {-EINVAL, -ENOENT, -ENOENT, -ENOENT,  FINE,    FINE,    FINE,    FINE}},
    {"unpin", call_unpin,          {-EINVAL, -ENOENT, -ENOENT, -ENOENT,  -EINVAL, FINE,    -EINVAL, FINE}},
    {"touch", call_touch,          {-EINVAL, -ENOENT, -ENOENT, -ENOENT,  FINE,    FINE,    FINE,    FINE}},
    {"commit", call_commit,        {-EINVAL, -EXDEV,  -ENOENT, -ENOENT,  FINE,    -EBUSY,  -EXDEV,  -EXDEV}},
    {"prefetch", call_prefetch,    {-EINVAL, -ENOENT, -ENOENT, -ENOENT,  FINE,    FINE,    FINE,    FINE}},
    {"evict", call_evict,          {FINE,    -ENOENT, -ENOENT, -ENOENT,  FINE,    -EBUSY,  FINE,    -EBUSY}},
    {"set_priority", call_priority, {-EINVAL, -ENOENT, -ENOENT, -ENOENT, FINE,    FINE,    -ENOENT, -ENOENT}},
    {"set_stage", call_stage,      {-EINVAL, -ENOENT, -ENOENT, -ENOENT,  FINE,    FINE,    -ENOENT, -ENOENT}},
    {"query", call_query,          {-EINVAL, -ENOENT, -ENOENT, -ENOENT,  FINE,    FINE,    FINE,    FINE}},
    {"reserve", call_reserve,      {0}},
    {"release", call_release,      {0}},
    {"set_budget", call_budget,    {0}},
    {"get_stats", call_stats,      {0}},
    {"push_peak", call_push,       {0}},
    {"pop_peak", call_pop,         {0}},
    {"set_pressure", call_pressure, {0}},
};
/* clang-format on */

enum {
    CALLS = sizeof calls / sizeof calls[0],
    POINTER_CALLS = 12 /* the first of them want a pointer */
};

#endif
