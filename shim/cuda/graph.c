/* SPDX-License-Identifier: Apache-2.0 */
/* graph.c - see graph.h. */
#include "cuda/graph.h"

#include <errno.h>
#include <stdlib.h>

#include "base/table.h"
#include "cuda/async.h"
#include "cuda/contexts.h"
#include "cuda/driver_memory.h"
#include "cuda/kernel_parameters.h"

struct conditional {
    CUgraph *bodies;
    uint64_t count;
};

static struct table conditionals = TABLE_INIT(struct conditional);

void graph_note_node(const CUgraphNode *node, const CUgraphNodeParams *params)
{
    if (!node || !params || params->type != CU_GRAPH_NODE_TYPE_CONDITIONAL)
        return;
    const struct conditional conditional = {params->conditional.phGraph_out, params->conditional.size};

    table_put(&conditionals, real_key(*node), &conditional);
}

static int pin(struct graph_node *own, uint64_t address)
{
    struct pin taken;
    int error = pin_take(address, PIN_GRAPH, &taken);

    if (error)
        return error == -ENOENT ? 0 : error;
    if (!graph_make_room((void **)&own->pin, own->pin_count, &own->pin_room, sizeof(*own->pin))) {
        pin_drop(&taken, PIN_GRAPH);
        return -ENOMEM;
    }
    own->pin[own->pin_count++] = taken;
    graph_names_word(&own->names, address);
    return 0;
}

int graph_add_kernel(struct graph_node *own, CUfunction function, void **kernel_params, void **extra)
{
    struct use use;

    use_init(&use, true);
    kernel_parameters_use(&use, function, kernel_params, extra);
    graph_names_use(&own->names, &use);
    return 0;
}

static bool has_address(CUmemorytype type)
{
    return type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_UNIFIED;
}

/* Of the first byte of a side. The driver takes rows, and slices, that are told no distance for close together. */
static size_t offset_in(size_t x, size_t y, size_t z, size_t pitch, size_t height)
{
    return (z * height + y) * pitch + x;
}

#define OFFSET(copy, way)                                                                                    \
    offset_in((copy)->way##XInBytes, (copy)->way##Y, (copy)->way##Z,                                         \
              (copy)->way##Pitch ? (copy)->way##Pitch : (copy)->WidthInBytes,                                \
              (copy)->way##Height ? (copy)->way##Height : (copy)->Height)

/* Where the first byte of either side is in device memory; 0: it has no address. */
static CUdeviceptr source_of(const CUDA_MEMCPY3D *copy)
{
    return has_address(copy->srcMemoryType) ? copy->srcDevice + OFFSET(copy, src) : 0;
}

static CUdeviceptr target_of(const CUDA_MEMCPY3D *copy)
{
    return has_address(copy->dstMemoryType) ? copy->dstDevice + OFFSET(copy, dst) : 0;
}

/* Where the first byte of the source is in host memory; NULL: it is not. */
static const void *host_source_of(const CUDA_MEMCPY3D *copy)
{
    CUdeviceptr address = source_of(copy);

    if (copy->srcMemoryType == CU_MEMORYTYPE_HOST)
        return copy->srcHost ? (const char *)copy->srcHost + OFFSET(copy, src) : NULL;
    return copy->srcMemoryType == CU_MEMORYTYPE_UNIFIED && !core_owns(address) &&
                   driver_memory_is_on_host(address)
               ? (const void *)(uintptr_t)address
               : NULL;
}

int graph_add_copy(struct graph_node *own, const CUDA_MEMCPY3D *copy)
{
    const struct use_rows rows = {host_source_of(copy), copy->WidthInBytes, copy->Height,
                                  copy->srcPitch,       copy->Depth,        copy->srcHeight};
    int error = pin(own, target_of(copy));

    if (!error)
        error = pin(own, source_of(copy));
    return !error && rows.memory ? graph_names_source(&own->names, &rows) : error;
}

int graph_add_set(struct graph_node *own, CUdeviceptr address)
{
    return pin(own, address);
}

/* 0: flushes and barriers name nothing. */
static CUdeviceptr operation_address(const CUstreamBatchMemOpParams *operation)
{
    switch (operation->operation) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
        return operation->waitValue.address;
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        return operation->writeValue.address;
    default:
        return 0;
    }
}

int graph_add_operations(struct graph_node *own, const CUstreamBatchMemOpParams *list, unsigned count)
{
    int error = 0;

    for (unsigned i = 0; !error && list && i < count; i++)
        error = pin(own, operation_address(&list[i]));
    return error;
}

int graph_add_params(struct graph_node *own, const CUgraphNodeParams *params)
{
    switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return GRAPH_ADD_KERNEL(own, &params->kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return graph_add_copy(own, &params->memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return graph_add_set(own, params->memset.dst);
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return graph_add_graph(own, params->graph.graph);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        return graph_add_operations(own, params->memOp.paramArray, params->memOp.count);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        async_event_opaque(params->eventRecord.event);
        return 0;
    default: /* no other kind names memory and can be changed */
        return 0;
    }
}

/* ---- nodes that are not executable yet -------------------------------------------------------------------------- */

void graph_use_copy(struct use *use, const CUDA_MEMCPY3D *params)
{
    if (!params)
        return;
    use_word(use, target_of(params));
    use_word(use, source_of(params));
}

void graph_use_set(struct use *use, const CUDA_MEMSET_NODE_PARAMS *params)
{
    if (params)
        use_word(use, params->dst);
}

void graph_use_operations(struct use *use, const CUstreamBatchMemOpParams *list, unsigned count)
{
    for (unsigned i = 0; list && i < count; i++)
        use_word(use, operation_address(&list[i]));
}

void graph_use_memop(struct use *use, const CUDA_BATCH_MEM_OP_NODE_PARAMS *params)
{
    if (params)
        graph_use_operations(use, params->paramArray, params->count);
}

void graph_use_params(struct use *use, const CUgraphNodeParams *params)
{
    if (!params)
        return;
    switch (params->type) {
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        graph_use_copy(use, &params->memcpy.copyParams);
        break;
    case CU_GRAPH_NODE_TYPE_MEMSET:
        use_word(use, params->memset.dst);
        break;
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        graph_use_operations(use, params->memOp.paramArray, params->memOp.count);
        break;
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        async_event_opaque(params->eventRecord.event);
        break;
    default: /* a kernel's parameters are looked at when it is launched, and no other kind names memory of the program's */
        break;
    }
}

/* -EIO: the node cannot be read. */
static int add_bodies(struct graph_node *own, CUgraphNode node)
{
    struct conditional conditional;
    int error = 0;

    if (!table_get(&conditionals, real_key(node), &conditional))
        return -EIO;
    for (uint64_t i = 0; !error && i < conditional.count; i++)
        error = graph_add_graph(own, conditional.bodies[i]);
    return error;
}

static void add_allocation(struct graph_memory *memory, CUgraphNode node)
{
    CUDA_MEM_ALLOC_NODE_PARAMS params;
    struct place place = {.ordinal = 0};

    contexts_here(&place);
    if (real.cuGraphMemAllocNodeGetParams &&
        real.cuGraphMemAllocNodeGetParams(node, &params) == CUDA_SUCCESS) {
        memory->bytes += params.bytesize;
        if (params.poolProps.location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
            (unsigned)params.poolProps.location.id < contexts_device_count())
            place.ordinal = (unsigned)params.poolProps.location.id;
    }
    memory->is_any = true;
    memory->allocations[place.ordinal]++;
}

static void add_memory(struct graph_memory *all, const struct graph_memory *memory)
{
    if (!memory->is_any)
        return;
    all->is_any = true;
    all->bytes += memory->bytes;
    for (unsigned i = 0; i < DEVICE_MAX; i++)
        all->allocations[i] += memory->allocations[i];
}

/* True when the driver has the function and tells by it. */
#define READ(get, member) (real.get && real.get(node, &of.member) == CUDA_SUCCESS)

static int add_node(struct graph_node *own, CUgraphNode node)
{
    union {
        CUDA_KERNEL_NODE_PARAMS_v2 kernel;
        CUDA_MEMCPY3D copy;
        CUDA_MEMSET_NODE_PARAMS set;
        CUDA_BATCH_MEM_OP_NODE_PARAMS operations;
        CUgraph child;
    } of;
    CUgraphNodeType type;

    if (real.cuGraphNodeGetType(node, &type) != CUDA_SUCCESS)
        return -EIO;
    switch (type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return READ(cuGraphKernelNodeGetParams_v2, kernel) ? GRAPH_ADD_KERNEL(own, &of.kernel) : -EIO;
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return READ(cuGraphMemcpyNodeGetParams, copy) ? graph_add_copy(own, &of.copy) : -EIO;
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return READ(cuGraphMemsetNodeGetParams, set) ? graph_add_set(own, of.set.dst) : -EIO;
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        return READ(cuGraphBatchMemOpNodeGetParams, operations)
                   ? graph_add_operations(own, of.operations.paramArray, of.operations.count)
                   : -EIO;
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return READ(cuGraphChildGraphNodeGetGraph, child) ? graph_add_graph(own, of.child) : -EIO;
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return add_bodies(own, node);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        add_allocation(&own->memory, node);
        return 0;
    case CU_GRAPH_NODE_TYPE_HOST:
    case CU_GRAPH_NODE_TYPE_EMPTY:
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL:
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT:
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return 0;
    default:
        return -EIO;
    }
}

/* The nodes of a graph, to be freed. NULL with 0: they cannot be read. */
static CUgraphNode *nodes_of(CUgraph graph, size_t *out_count, int *out_error)
{
    CUgraphNode *nodes;

    *out_error = 0;
    if (!real.cuGraphGetNodes || !real.cuGraphNodeGetType ||
        real.cuGraphGetNodes(graph, NULL, out_count) != CUDA_SUCCESS)
        return NULL;
    nodes = calloc(*out_count ? *out_count : 1, sizeof(*nodes));
    if (!nodes)
        *out_error = -ENOMEM;
    else if (!*out_count || real.cuGraphGetNodes(graph, nodes, out_count) == CUDA_SUCCESS)
        return nodes;
    free(nodes);
    return NULL;
}

/* As add_node, where any block may be one that a node names which cannot be read. 0 or -ENOMEM. */
static int add_any_node(struct graph_node *own, CUgraphNode node)
{
    int error = add_node(own, node);

    if (error != -EIO)
        return error;
    own->names.all |= USE_MORE;
    return 0;
}

int graph_add_graph(struct graph_node *own, CUgraph graph)
{
    size_t count;
    int error;
    CUgraphNode *nodes = nodes_of(graph, &count, &error);

    if (!nodes)
        own->names.all |= USE_MORE;
    for (size_t i = 0; nodes && !error && i < count; i++)
        error = add_any_node(own, nodes[i]);
    free(nodes);
    return error;
}

struct graph_node *graph_node_make(CUgraphNode node)
{
    struct graph_node *own = calloc(1, sizeof(*own));

    if (own)
        own->key = real_key(node);
    return own;
}

void graph_node_free(struct graph_node *own)
{
    if (!own)
        return;
    for (uint32_t i = 0; i < own->pin_count; i++)
        pin_drop(&own->pin[i], PIN_GRAPH);
    graph_names_free(&own->names);
    free(own->pin);
    free(own);
}

/* Takes `own` on success. */
static int append_node(struct graph_uses *uses, struct graph_node *own)
{
    if (!graph_make_room((void **)&uses->node, uses->node_count, &uses->node_room,
                         sizeof(struct graph_node *)))
        return -ENOMEM;
    uses->node[uses->node_count++] = own;
    add_memory(&uses->memory, &own->memory);
    atomic_store_explicit(&uses->merging, GRAPH_CHANGED, memory_order_relaxed);
    return 0;
}

static int read_node(struct graph_uses *uses, CUgraphNode node)
{
    struct graph_node *own = graph_node_make(node);
    int error = own ? add_any_node(own, node) : -ENOMEM;

    if (!error)
        error = append_node(uses, own);
    if (error)
        graph_node_free(own);
    return error;
}

/* Of a graph whose nodes cannot be read: one that names anything, and is none of them. */
static int read_opaque(struct graph_uses *uses)
{
    struct graph_node *own = graph_node_make(NULL);
    int error = -ENOMEM;

    if (own) {
        own->names.all = USE_MORE;
        error = append_node(uses, own);
    }
    if (error)
        graph_node_free(own);
    return error;
}

static int read_nodes(struct graph_uses *uses, CUgraph graph)
{
    size_t count;
    int error;
    CUgraphNode *nodes = nodes_of(graph, &count, &error);

    if (!nodes)
        return error ? error : read_opaque(uses);
    for (size_t i = 0; !error && i < count; i++)
        error = read_node(uses, nodes[i]);
    free(nodes);
    return error;
}

struct graph_uses *graph_read(CUgraph graph, int *out_error)
{
    struct graph_uses *uses = calloc(1, sizeof(*uses));
    int error = uses ? read_nodes(uses, graph) : -ENOMEM;

    if (error) {
        graph_free(uses);
        *out_error = error;
        return NULL;
    }
    return uses;
}

void graph_free(struct graph_uses *uses)
{
    if (!uses)
        return;
    for (uint32_t i = 0; i < uses->node_count; i++)
        graph_node_free(uses->node[i]);
    graph_names_free(&uses->merged);
    free(uses->node);
    free(uses);
}

/* Where the node is; NULL: it is in a child, or in no graph that was read. */
static struct graph_node **find_node(struct graph_uses *uses, uint64_t key)
{
    for (uint32_t i = 1; i <= uses->node_count; i++) {
        uint32_t at = (uses->last + i) % uses->node_count;

        if (uses->node[at]->key == key) {
            uses->last = at;
            return &uses->node[at];
        }
    }
    return NULL;
}

CUresult graph_node_changed(CUresult result, struct graph_uses *uses, struct graph_node *own)
{
    struct graph_node **place;

    if (!own)
        return result;
    place = result == CUDA_SUCCESS ? find_node(uses, own->key) : NULL;
    if (place) {
        struct graph_node *before = *place;

        *place = own;
        atomic_store_explicit(&uses->merging, GRAPH_CHANGED, memory_order_relaxed);
        graph_node_free(before);
    } else if (result != CUDA_SUCCESS) {
        graph_node_free(own);
    } else if (append_node(uses, own)) {
        uses->node[0]->names.all |= USE_MORE; /* a graph without a node has none to change */
    }
    return result;
}
