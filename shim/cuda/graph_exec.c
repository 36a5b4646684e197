/* SPDX-License-Identifier: Apache-2.0 */
/* graph_exec.c - see graph_exec.h. */
#include "cuda/graph_exec.h"

#include <stdatomic.h>

#include "base/cancel_guard.h"
#include "base/lock.h"
#include "base/table.h"
#include "cuda/contexts.h"
#include "cuda/driver_memory.h"
#include "engine/core.h"

struct executable {
    struct graph_uses *uses;
};

static struct table executables = TABLE_INIT(struct executable);

/* Bytes charged for graphs' own memory, per device. */
static uint64_t charged[DEVICE_MAX];

struct graph_uses *graph_exec_uses(CUgraphExec graph)
{
    struct executable executable;

    return graph && table_get(&executables, real_key(graph), &executable) ? executable.uses : NULL;
}

/* Some graph has had memory of its own: only then there is something to settle. */
static atomic_bool any_allocates;

static void settle_device(unsigned ordinal)
{
    static struct lock settling = LOCK_INIT(LOCK_GRAPHS); /* so that no late figure is the last */
    cuuint64_t held;

    lock_acquire(&settling);
    if (real.cuDeviceGetGraphMemAttribute(contexts_device(ordinal), CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
                                          &held) == CUDA_SUCCESS) {
        driver_memory_adjust(ordinal, CLASS_GRAPH, charged[ordinal], held);
        charged[ordinal] = held;
    }
    lock_release(&settling);
}

void graph_exec_settle(void)
{
    struct cancel_guard guard;

    if (!atomic_load_explicit(&any_allocates, memory_order_relaxed) || !real.cuDeviceGetGraphMemAttribute)
        return;
    cancel_guard_enter(&guard);
    for (unsigned i = 0; i < contexts_device_count(); i++)
        settle_device(i);
    cancel_guard_leave(&guard);
}

CUresult graph_exec_made(CUresult result, const CUgraphExec *graph, struct graph_uses *uses)
{
    const struct executable executable = {uses};

    if (result != CUDA_SUCCESS || !graph) {
        graph_free(uses);
        return result;
    }
    if (uses->allocates) {
        core_roots_unknown("a graph allocates memory of its own");
        atomic_store_explicit(&any_allocates, true, memory_order_relaxed);
        graph_exec_settle();
    }
    /* Without memory for the record every block counts as used at launch, and the pins stay. */
    table_put(&executables, real_key(*graph), &executable);
    return result;
}

CUresult graph_exec_updated(CUresult result, CUgraphExec graph, struct graph_uses *uses)
{
    struct executable before = {NULL};

    if (result != CUDA_SUCCESS) {
        graph_free(uses);
        return result;
    }
    table_take(&executables, real_key(graph), &before);
    graph_free(before.uses);
    return graph_exec_made(result, &graph, uses);
}

CUresult graph_exec_destroy(__typeof__(cuGraphExecDestroy) *next, CUgraphExec graph)
{
    struct executable executable = {NULL};
    bool known = graph && table_take(&executables, real_key(graph), &executable);
    CUresult result = next(graph);

    if (known && result == CUDA_SUCCESS)
        graph_free(executable.uses);
    else if (known)
        table_put(&executables, real_key(graph), &executable);
    graph_exec_settle();
    return result;
}

void graph_exec_note(struct use *use, const struct graph_uses *uses)
{
    if (!uses) {
        use->all = true;
        return;
    }
    use->all = uses->all;
    use->more = uses->granule;
    use->more_count = uses->granule_count;
    for (uint32_t i = 0; i < uses->source_count; i++)
        use_source(use, uses->source[i].memory, uses->source[i].bytes);
}

CUresult graph_exec_launched(CUresult result, const struct graph_uses *uses)
{
    if (uses && uses->allocates)
        graph_exec_settle();
    return result;
}
