/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places that mapped host memory can come from: each memory node of the machine, and none in particular, which needs no
 * right to bind memory. A thread begins with the node of its own device; a node that is full gives way to the next.
 */
#include "cuda/device_cuda.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/machine.h"

enum {
    ANYWHERE = 63 /* behind all nodes */
};

/* Sets of places, bit by node. */
static uint64_t places;
static _Atomic uint64_t refused; /* by a driver that gave others */
static _Atomic uint64_t full;    /* when another place had room; until something comes back */

static unsigned node_of[DEVICE_MAX]; /* of each device */

void device_nodes_look(void)
{
    uint64_t found = machine_nodes("") | (uint64_t)1 << ANYWHERE;

    for (unsigned i = 0; i < contexts_device_count(); i++) {
        int node = 0;

        if (real.cuDeviceGetAttribute(&node, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, contexts_device(i)) !=
                CUDA_SUCCESS ||
            node < 0 || node >= ANYWHERE)
            node = 0; /* no NUMA: the driver wants 0 */
        node_of[i] = (unsigned)node;
        found |= (uint64_t)1 << node;
    }
    places = found;
}

/* The device of the thread's context, else the first that has one. */
static unsigned device_here(void)
{
    struct place here;
    unsigned ordinal = 0;

    if (contexts_here(&here))
        return here.ordinal;
    while (ordinal < contexts_device_count() && !contexts_primary(contexts_device(ordinal)))
        ordinal++;
    return ordinal < contexts_device_count() ? ordinal : 0;
}

static CUmemLocation location_of(unsigned place)
{
    if (place == ANYWHERE)
        return (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_HOST, .id = 0};
    return (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_HOST_NUMA, .id = (int)place};
}

/* What went wrong on the way to a place that works. */
struct attempt {
    uint64_t refused, full;
    int error; /* the first */
};

static bool try_places(uint64_t which, unsigned first, device_nodes_fn make, void *arg,
                       struct attempt *attempt)
{
    while (which) {
        unsigned place = which >> first & 1 ? first : (unsigned)__builtin_ctzll(which);
        uint64_t bit = (uint64_t)1 << place;
        int error = make(location_of(place), arg);

        if (!error)
            return true;
        *(error == -ENOMEM ? &attempt->full : &attempt->refused) |= bit;
        attempt->error = attempt->error ? attempt->error : error;
        which &= ~bit;
    }
    return false;
}

int device_nodes_each(device_nodes_fn make, void *arg)
{
    struct attempt attempt = {0};
    unsigned own = node_of[device_here()];
    uint64_t open = places & ~atomic_load_explicit(&refused, memory_order_relaxed);
    uint64_t crowded = open & atomic_load_explicit(&full, memory_order_relaxed);

    /* Memory that others gave back is not told: what was full is asked again before anybody is refused. */
    if (!try_places(open & ~crowded, own, make, arg, &attempt) &&
        !try_places(crowded, own, make, arg, &attempt))
        return attempt.full ? -ENOMEM : attempt.error;
    /* Only a driver that works elsewhere has said something of the place. */
    atomic_fetch_or_explicit(&refused, attempt.refused, memory_order_relaxed);
    atomic_fetch_or_explicit(&full, attempt.full, memory_order_relaxed);
    return 0;
}

void device_nodes_freed(void)
{
    atomic_store_explicit(&full, 0, memory_order_relaxed);
}
