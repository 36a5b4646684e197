/* SPDX-License-Identifier: Apache-2.0 */
/* Functions: attributes, layouts, occupancy. */
#include "code/module.h"
#include "driver/handle.h"
#include "machine/options.h"
#include "stream/op.h"

#include <stdlib.h>
#include <string.h>

enum {
    THREADS_MAX = 1024,
    SM_THREADS = 2048,
    SM_BLOCKS = 32,
    SHARED_DEFAULT = 48 << 10,
    SHARED_OPTIN = 227 << 10
};

void function_defaults(int *attributes, const struct image_kernel *layout)
{
    memset(attributes, 0, FUNCTION_ATTRIBUTES * sizeof *attributes);
    attributes[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK] = THREADS_MAX;
    attributes[CU_FUNC_ATTRIBUTE_NUM_REGS] = 32;
    attributes[CU_FUNC_ATTRIBUTE_PTX_VERSION] = options.capability;
    attributes[CU_FUNC_ATTRIBUTE_BINARY_VERSION] = options.capability;
    attributes[CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES] = SHARED_DEFAULT;
    attributes[CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT] = -1;
    if (!layout->ptx_version)
        return;
    attributes[CU_FUNC_ATTRIBUTE_PTX_VERSION] = layout->ptx_version;
    attributes[CU_FUNC_ATTRIBUTE_NUM_REGS] = layout->registers;
    attributes[CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES] = (int)layout->shared_bytes;
    attributes[CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES] = (int)layout->local_bytes;
    attributes[CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES] = (int)layout->constant_bytes;
    if (layout->threads_max && layout->threads_max < THREADS_MAX)
        attributes[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK] = layout->threads_max;
}

CUresult attribute_get(const int *attributes, CUfunction_attribute attribute, int *value)
{
    if ((unsigned)attribute >= FUNCTION_ATTRIBUTES)
        return CUDA_ERROR_INVALID_VALUE;
    *value = attributes[attribute];
    return CUDA_SUCCESS;
}

CUresult attribute_set(int *attributes, CUfunction_attribute attribute, int value)
{
    bool good;

    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        good = value >= 0 && value <= SHARED_OPTIN;
        break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        good = value >= -1 && value <= 100;
        break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
        good = value >= 0;
        break;
    default:
        good = false;
    }
    if (!good)
        return CUDA_ERROR_INVALID_VALUE;
    attributes[attribute] = value;
    return CUDA_SUCCESS;
}

CUresult layout_param(const struct image_kernel *layout, size_t index, size_t *offset, size_t *size)
{
    if (!offset || index >= layout->param_count)
        return CUDA_ERROR_INVALID_VALUE;
    *offset = layout->params[index].offset;
    if (size)
        *size = layout->params[index].size;
    return CUDA_SUCCESS;
}

const char *function_name(const struct function *function)
{
    return function->layout->name;
}

/* Takes the lock; gives it back where it returns NULL. A kernel cast to a function is none here: its context
 * is open. */
static struct function *function_lock(CUfunction handle)
{
    sim_lock();
    if (handle_is(handle, HANDLE_FUNCTION))
        return (struct function *)handle;
    sim_unlock();
    return NULL;
}

CUresult sim_cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction handle)
{
    struct function *function = value ? function_lock(handle) : NULL;

    if (!function)
        return value ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
    return sim_leave(attribute_get(function->attributes, attribute, value));
}

CUresult sim_cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value)
{
    struct function *function = function_lock(handle);

    return function ? sim_leave(attribute_set(function->attributes, attribute, value))
                    : CUDA_ERROR_INVALID_HANDLE;
}

CUresult sim_cuFuncSetCacheConfig(CUfunction handle, CUfunc_cache config)
{
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    return function_lock(handle) ? sim_leave(CUDA_SUCCESS) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult sim_cuFuncGetModule(CUmodule *module, CUfunction handle)
{
    struct function *function = module ? function_lock(handle) : NULL;

    if (!function)
        return module ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
    *module = (CUmodule)function->module;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuFuncGetName(const char **name, CUfunction handle)
{
    struct function *function = name ? function_lock(handle) : NULL;

    if (!function)
        return name ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
    *name = function_name(function);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuFuncGetParamInfo(CUfunction handle, size_t index, size_t *offset, size_t *size)
{
    struct function *function = function_lock(handle);

    return function ? sim_leave(layout_param(function->layout, index, offset, size))
                    : CUDA_ERROR_INVALID_HANDLE;
}

CUresult sim_cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction handle)
{
    if (!state)
        return CUDA_ERROR_INVALID_VALUE;
    if (!function_lock(handle))
        return CUDA_ERROR_INVALID_HANDLE;
    *state = CU_FUNCTION_LOADING_STATE_LOADED;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuFuncLoad(CUfunction handle)
{
    return function_lock(handle) ? sim_leave(CUDA_SUCCESS) : CUDA_ERROR_INVALID_HANDLE;
}

/* Threads and shared memory are the only limits that these kernels have. */
int function_blocks(int block, size_t shared)
{
    int blocks = block > 0 && block <= THREADS_MAX ? SM_THREADS / block : 0;
    size_t by_shared = shared ? (228u << 10) / (shared + 1024) : SM_BLOCKS;

    if (blocks > SM_BLOCKS)
        blocks = SM_BLOCKS;
    return (size_t)blocks > by_shared ? (int)by_shared : blocks;
}

CUresult sim_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction handle, int block,
                                                         size_t shared)
{
    struct function *function;
    CUresult result;

    if (!blocks || block <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = function_of(handle, context_current(), &function);
    if (result == CUDA_SUCCESS)
        *blocks = function_blocks(block, shared);
    return sim_leave(result);
}

CUresult sim_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction function, int block,
                                                                  size_t shared, unsigned flags)
{
    if (flags & ~1u)
        return CUDA_ERROR_INVALID_VALUE;
    return sim_cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, block, shared);
}

CUresult sim_cuOccupancyMaxPotentialBlockSize(int *grid, int *block, CUfunction handle,
                                              CUoccupancyB2DSize shared_of, size_t shared, int limit)
{
    int best = limit > 0 && limit < THREADS_MAX ? limit : THREADS_MAX;
    struct function *function;
    CUresult result;

    if (!grid || !block)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = function_of(handle, context_current(), &function);
    sim_unlock();
    if (result != CUDA_SUCCESS)
        return result;
    while (best > 32 && !function_blocks(best, shared_of ? shared_of(best) : shared))
        best -= 32;
    *block = best;
    *grid = function_blocks(best, shared_of ? shared_of(best) : shared) * SM_COUNT;
    return CUDA_SUCCESS;
}

CUresult sim_cuOccupancyMaxPotentialBlockSizeWithFlags(int *grid, int *block, CUfunction function,
                                                       CUoccupancyB2DSize shared_of, size_t shared, int limit,
                                                       unsigned flags)
{
    if (flags & ~1u)
        return CUDA_ERROR_INVALID_VALUE;
    return sim_cuOccupancyMaxPotentialBlockSize(grid, block, function, shared_of, shared, limit);
}

CUresult sim_cuOccupancyAvailableDynamicSMemPerBlock(size_t *shared, CUfunction handle, int blocks, int block)
{
    struct function *function;
    CUresult result;

    if (!shared || blocks <= 0 || block <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = function_of(handle, context_current(), &function);
    if (result == CUDA_SUCCESS) {
        size_t each = (228u << 10) / (unsigned)blocks - 1024;

        *shared = each < SHARED_OPTIN ? each : SHARED_OPTIN;
    }
    return sim_leave(result);
}

/* Clusters are not simulated: one block is what a device of this kind runs at once as a cluster. */
static CUresult cluster_read(CUfunction handle, const CUlaunchConfig *config, int *blocks)
{
    struct function *function;
    CUresult result;

    if (!config || !config->blockDimX || !config->blockDimY || !config->blockDimZ)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < config->numAttrs; i++) {
        const CUlaunchAttribute *attribute = &config->attrs[i];

        if (attribute->id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION &&
            attribute->value.clusterDim.x * attribute->value.clusterDim.y * attribute->value.clusterDim.z > 1)
            return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    }
    sim_lock();
    result = function_of(handle, context_current(), &function);
    if (result == CUDA_SUCCESS)
        *blocks = function_blocks((int)(config->blockDimX * config->blockDimY * config->blockDimZ),
                                  config->sharedMemBytes);
    return sim_leave(result);
}

CUresult sim_cuOccupancyMaxActiveClusters(int *clusters, CUfunction function, const CUlaunchConfig *config)
{
    int blocks = 0;
    CUresult result = clusters ? cluster_read(function, config, &blocks) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        *clusters = blocks * SM_COUNT;
    return result;
}

CUresult sim_cuOccupancyMaxPotentialClusterSize(int *size, CUfunction function, const CUlaunchConfig *config)
{
    int blocks = 0;
    CUresult result = size ? cluster_read(function, config, &blocks) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        *size = 1;
    return result;
}
