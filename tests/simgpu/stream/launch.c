/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/launch.h"

#include "code/module.h"
#include "device/device.h"
#include "graph/condition.h"
#include "ptx/run.h"
#include "stream/capture.h"
#include "stream/fault.h"
#include "stream/submit.h"
#include "stream/touch.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_THREADS_MAX = 1024
};

void kernel_run(const struct kernel_work *kernel, struct op *op)
{
    const struct image_kernel *layout = kernel->function->layout;
    uint64_t started_ns = now_ns(), takes_ns;
    /* The kernel's own copy: it may change its parameters, and a graph runs it again. Not on the heap: a
     * fault jumps. */
    unsigned char buffer[KERNEL_BYTES_MAX] __attribute__((aligned(16)));
    void *params[KERNEL_PARAMS_MAX];
    struct simgpu_launch launch = {.shared_bytes = kernel->shared_bytes,
                                   .device = op->context->device->ordinal,
                                   .stream = kernel->stream,
                                   .set_condition = condition_set};

    op->takes_ns = 0;
    memcpy(launch.grid, kernel->grid, sizeof launch.grid);
    memcpy(launch.block, kernel->block, sizeof launch.block);
    memcpy(buffer, kernel->buffer, kernel->buffer_bytes);
    for (unsigned i = 0; i < layout->param_count; i++)
        params[i] = buffer + layout->params[i].offset;
    if (kernel->function->code) {
        touch_begin(op);
        ptx_run(kernel->function->code, &launch, kernel->is_cooperative, buffer,
                kernel->function->module->addresses);
        touch_end(op);
    } else {
        touch_none(op);
        kernel->function->entry(&launch, params);
    }
    takes_ns = (uint64_t)((double)op->takes_ns * options.kernel_scale);
    takes_ns = takes_ns > options.kernel_ns ? takes_ns : options.kernel_ns;
    device_spend(op->context->device, SPENT_KERNELS, takes_ns);
    if (takes_ns)
        sleep_until(started_ns + takes_ns);
}

/* `extra`: pairs of a key and a pointer, up to CU_LAUNCH_PARAM_END. */
static CUresult read_extra(void **extra, const struct image_kernel *layout, unsigned char *buffer)
{
    const void *from = NULL;
    size_t bytes = 0;

    for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            from = extra[1];
        else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE)
            bytes = *(size_t *)extra[1];
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    if ((!from && layout->buffer_bytes) || bytes < layout->buffer_bytes)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(buffer, from, layout->buffer_bytes);
    return CUDA_SUCCESS;
}

static CUresult read_params(const struct launch *launch, const struct image_kernel *layout,
                            unsigned char *buffer)
{
    if (launch->params && launch->extra)
        return CUDA_ERROR_INVALID_VALUE;
    if (launch->extra)
        return read_extra(launch->extra, layout, buffer);
    if (layout->param_count && !launch->params)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < layout->param_count; i++) {
        if (!launch->params[i])
            return CUDA_ERROR_INVALID_VALUE;
        memcpy(buffer + layout->params[i].offset, launch->params[i], layout->params[i].size);
    }
    return CUDA_SUCCESS;
}

static bool is_launchable(const struct launch *launch, const struct function *function)
{
    const unsigned *grid = launch->grid, *block = launch->block;
    int shared_max = function->attributes[CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES];

    return grid[0] && grid[1] && grid[2] && grid[0] <= 0x7fffffff && grid[1] <= 65535 && grid[2] <= 65535 &&
           block[0] && block[1] && block[2] && block[0] <= BLOCK_THREADS_MAX &&
           block[1] <= BLOCK_THREADS_MAX && block[2] <= 64 &&
           (uint64_t)block[0] * block[1] * block[2] <= BLOCK_THREADS_MAX &&
           launch->shared_bytes <= (unsigned)shared_max;
}

/* Whether all blocks have a place at once. */
static bool is_resident(const struct launch *launch, const struct function *function)
{
    const unsigned *grid = launch->grid, *block = launch->block;
    int fixed = function->attributes[CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES];
    int blocks = function_blocks((int)(block[0] * block[1] * block[2]), (size_t)fixed + launch->shared_bytes);

    return (uint64_t)grid[0] * grid[1] * grid[2] <= (uint64_t)blocks * SM_COUNT;
}

CUresult launch_read(const struct launch *launch, struct context *context, struct work *work)
{
    struct function *function;
    CUresult result = function_ready(launch->function, context, &function);

    if (result != CUDA_SUCCESS)
        return result;
    if (!is_launchable(launch, function))
        return CUDA_ERROR_INVALID_VALUE;
    if (launch->is_cooperative && !is_resident(launch, function))
        return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
    *work = (struct work){.kind = WORK_KERNEL};
    work->kernel.function = function;
    memcpy(work->kernel.grid, launch->grid, sizeof work->kernel.grid);
    memcpy(work->kernel.block, launch->block, sizeof work->kernel.block);
    work->kernel.shared_bytes = launch->shared_bytes;
    work->kernel.is_cooperative = launch->is_cooperative;
    work->kernel.stream = launch->stream;
    work->kernel.buffer_bytes = function->layout->buffer_bytes;
    work->kernel.buffer = calloc(1, work->kernel.buffer_bytes + 1);
    if (!work->kernel.buffer)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = read_params(launch, function->layout, work->kernel.buffer);
    if (result != CUDA_SUCCESS)
        work_finish(work);
    return result;
}

static CUresult launch_submit(const struct launch *launch)
{
    struct stream *stream;
    struct work work;
    CUresult result;

    sim_lock();
    result = stream_of(launch->stream, &stream);
    if (result == CUDA_SUCCESS)
        result = launch_read(launch, stream->context, &work);
    if (result == CUDA_SUCCESS)
        result = submit(stream, &work, SUBMIT_ASYNC);
    return sim_leave(result);
}

CUresult sim_cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                            unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                            CUstream stream, void **params, void **extra)
{
    const unsigned grid[] = {grid_x, grid_y, grid_z}, block[] = {block_x, block_y, block_z};

    return launch_submit(&(struct launch){function, grid, block, shared, stream, params, extra, false});
}

CUresult sim_cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                                       CUstream stream, void **params)
{
    const unsigned grid[] = {grid_x, grid_y, grid_z}, block[] = {block_x, block_y, block_z};

    return launch_submit(&(struct launch){function, grid, block, shared, stream, params, NULL, true});
}

CUresult sim_cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **params, void **extra)
{
    bool is_cooperative = false;

    if (!config || (config->numAttrs && !config->attrs))
        return CUDA_ERROR_INVALID_VALUE;
    /* The other attributes steer scheduling, which a kernel here cannot see; one that records an event would
     * change results. */
    for (unsigned i = 0; i < config->numAttrs; i++) {
        is_cooperative |=
            config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && config->attrs[i].value.cooperative;
        if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT ||
            config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
            return CUDA_ERROR_NOT_SUPPORTED;
    }
    const unsigned grid[] = {config->gridDimX, config->gridDimY, config->gridDimZ};
    const unsigned block[] = {config->blockDimX, config->blockDimY, config->blockDimZ};

    return launch_submit(&(struct launch){function, grid, block, config->sharedMemBytes, config->hStream,
                                          params, extra, is_cooperative});
}

static CUresult host_submit(struct host_work host, CUstream handle)
{
    struct work work = {.kind = WORK_HOST, .host = host};
    struct stream *stream;
    CUresult result;

    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS && host.callback && stream->capture)
        result = capture_refuse(stream->capture);
    if (result == CUDA_SUCCESS)
        result = submit(stream, &work, SUBMIT_ASYNC);
    return sim_leave(result);
}

CUresult sim_cuLaunchHostFunc(CUstream stream, CUhostFn function, void *data)
{
    if (!function)
        return CUDA_ERROR_INVALID_VALUE;
    return host_submit((struct host_work){.function = function, .data = data}, stream);
}

CUresult sim_cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void *data, unsigned flags)
{
    if (!callback || flags)
        return CUDA_ERROR_INVALID_VALUE;
    return host_submit((struct host_work){.callback = callback, .stream = stream, .data = data}, stream);
}
