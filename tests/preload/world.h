/* SPDX-License-Identifier: Apache-2.0 */
/* A context and a module of kernels on the first device, for the tests that run preloaded on the simulated driver. */
#ifndef WORLD_H
#define WORLD_H

#include <criterion/criterion.h>
#include <cuda.h>

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MIB ((size_t)1 << 20)

/* The call succeeds, or the case ends here with its name. */
#define OK(call)                                                                                             \
    do {                                                                                                     \
        CUresult ok_result = (call);                                                                         \
        cr_assert_eq(ok_result, CUDA_SUCCESS, "%s: %d", #call, ok_result);                                   \
    } while (0)

struct world {
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUfunction add;
};

static inline struct world world_make(void)
{
    struct world world;

    OK(cuInit(0));
    OK(cuDeviceGet(&world.device, 0));
    OK(cuDevicePrimaryCtxRetain(&world.context, world.device));
    OK(cuCtxSetCurrent(world.context));
    OK(cuModuleLoad(&world.module, getenv("KERNELS")));
    OK(cuModuleGetFunction(&world.add, world.module, "add"));
    return world;
}

static inline void world_end(struct world *world)
{
    OK(cuModuleUnload(world->module));
    OK(cuDevicePrimaryCtxRelease(world->device));
}

/* out[i] += in[i] for `count` floats. */
static inline CUresult world_add(const struct world *world, CUdeviceptr out, CUdeviceptr in, uint64_t count,
                                 CUstream stream)
{
    void *parameters[] = {&out, &in, &count};

    return cuLaunchKernel(world->add, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL);
}

/* Whether all floats at an address have this value. The copy is not in the heap, which counts in a budget that may be
 * full. */
static inline int all_are(CUdeviceptr address, uint64_t count, float value)
{
    float *copy =
        mmap(NULL, count * sizeof *copy, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t good = 0;

    cr_assert_neq(copy, MAP_FAILED);
    OK(cuMemcpyDtoH(copy, address, count * sizeof *copy));
    while (good < count && copy[good] == value)
        good++;
    munmap(copy, count * sizeof *copy);
    return good == count;
}

static inline uint32_t bits_of(float value)
{
    union {
        float f;
        uint32_t u;
    } both = {value};

    return both.u;
}

/* Blocks of floats, each filled with its number. */
static inline void fill_blocks(CUdeviceptr *block, unsigned count, size_t bytes)
{
    for (unsigned i = 0; i < count; i++) {
        OK(cuMemAlloc(&block[i], bytes));
        OK(cuMemsetD32(block[i], bits_of((float)i), bytes / sizeof(float)));
    }
}

static inline void free_blocks(const CUdeviceptr *block, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        OK(cuMemFree(block[i]));
}

#endif
