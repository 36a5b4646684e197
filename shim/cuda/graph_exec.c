/* SPDX-License-Identifier: Apache-2.0 */
/* graph_exec.c - see graph.h: executable graphs. */
#include "cuda/graph.h"

#include <sched.h>
#include <stdatomic.h>

#include "base/cancel_guard.h"
#include "base/lock.h"
#include "base/table.h"
#include "cuda/contexts.h"
#include "cuda/device_cuda.h"
#include "cuda/driver_memory.h"

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
        core_native_held(ordinal, KIND_GRAPH);
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

/* Memory of their own is the driver's affair, but that there was none is said as of any other. */
static void tell_refusal(CUresult result, const struct graph_uses *uses)
{
    struct place place;

    if (result == CUDA_ERROR_OUT_OF_MEMORY && uses && uses->memory.is_any && contexts_here(&place))
        core_device_refused(place.ordinal, uses->memory.bytes, "graph");
}

/* Each of an executable graph's allocations is made, or goes with it. */
static void tell(void (*event)(unsigned, enum kind, enum stay, uint64_t), const struct graph_uses *uses)
{
    for (unsigned i = 0; uses && uses->memory.is_any && i < DEVICE_MAX; i++)
        for (unsigned count = uses->memory.allocations[i]; count; count--)
            event(i, KIND_GRAPH, STAY_NODES, 0);
}

CUresult graph_exec_made(CUresult result, const CUgraphExec *graph, struct graph_uses *uses)
{
    const struct executable executable = {uses};

    tell_refusal(result, uses);
    if (result != CUDA_SUCCESS || !graph) {
        graph_free(uses);
        return result;
    }
    if (uses->memory.is_any) {
        core_roots_unknown("a graph allocates memory of its own");
        atomic_store_explicit(&any_allocates, true, memory_order_relaxed);
        tell(core_native_made, uses);
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
    tell(core_native_gone, before.uses);
    graph_free(before.uses);
    return graph_exec_made(result, &graph, uses);
}

CUresult graph_exec_destroy(__typeof__(cuGraphExecDestroy) *next, CUgraphExec graph)
{
    struct executable executable = {NULL};
    bool known = graph && table_take(&executables, real_key(graph), &executable);
    CUresult result = next(graph);

    if (known && result == CUDA_SUCCESS) {
        tell(core_native_gone, executable.uses);
        graph_free(executable.uses);
    } else if (known) {
        table_put(&executables, real_key(graph), &executable);
    }
    graph_exec_settle();
    return result;
}

/* A graph's nodes may run on other devices than that of the stream which it is launched in. */
static void note_devices(void)
{
    static atomic_bool is_noted;

    if (contexts_device_count() == 1 || atomic_load(&is_noted))
        return;
    for (unsigned i = 0; i < contexts_device_count(); i++)
        for (unsigned owner = 0; owner < contexts_device_count(); owner++)
            device_cuda_copies(i, owner);
    atomic_store(&is_noted, true); /* last: who finds it goes on at once */
}

static void merge(struct graph_uses *uses)
{
    struct graph_names *all = &uses->merged;

    all->granule_count = all->source_count = all->all = 0;
    for (uint32_t i = 0; i < uses->node_count; i++)
        graph_names_add(all, &uses->node[i]->names);
}

/* Once for each change: several threads may launch a graph at once. */
static void merge_once(struct graph_uses *uses)
{
    unsigned char changed = GRAPH_CHANGED;

    if (!atomic_compare_exchange_strong(&uses->merging, &changed, GRAPH_MERGING)) {
        while (atomic_load_explicit(&uses->merging, memory_order_acquire) == GRAPH_MERGING)
            sched_yield();
        return;
    }
    merge(uses);
    atomic_store_explicit(&uses->merging, GRAPH_MERGED, memory_order_release);
}

void graph_exec_note(struct use *use, struct graph_uses *uses)
{
    note_devices();
    if (!uses) {
        use->all = USE_MORE;
        return;
    }
    if (atomic_load_explicit(&uses->merging, memory_order_acquire) != GRAPH_MERGED)
        merge_once(uses);
    use->all = uses->merged.all;
    use->more = uses->merged.granule;
    use->more_count = uses->merged.granule_count;
    for (uint32_t i = 0; i < uses->merged.source_count; i++)
        use_source_rows(use, &uses->merged.source[i]);
}

CUresult graph_exec_launched(CUresult result, const struct graph_uses *uses)
{
    tell_refusal(result, uses);
    if (uses && uses->memory.is_any)
        graph_exec_settle();
    return result;
}
