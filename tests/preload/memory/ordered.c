/* SPDX-License-Identifier: Apache-2.0 */
#include "ordered.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

CUstream make_stream(void)
{
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

CUevent make_event(void)
{
    CUevent event;

    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    return event;
}

CUdeviceptr allocate(size_t bytes, CUstream stream)
{
    CUdeviceptr address;

    OK(cuMemAllocAsync(&address, bytes, stream));
    return address;
}

CUmemoryPool pool_of(const struct world *world)
{
    CUmemoryPool pool;

    OK(cuDeviceGetMemPool(&pool, world->device));
    return pool;
}

cuuint64_t figure(CUmemoryPool pool, CUmemPool_attribute attribute)
{
    cuuint64_t bytes;

    OK(cuMemPoolGetAttribute(pool, attribute, &bytes));
    return bytes;
}

void allow(CUmemoryPool pool, CUmemPool_attribute attribute, int allowed)
{
    OK(cuMemPoolSetAttribute(pool, attribute, &allowed));
}

void allow_only(CUmemoryPool pool, CUmemPool_attribute attribute)
{
    for (int i = CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES;
         i <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES; i++)
        allow(pool, (CUmemPool_attribute)i, (CUmemPool_attribute)i == attribute);
}

atomic_bool let_go;

static void stand(void *arg)
{
    const atomic_bool *go = arg;

    while (!atomic_load(go))
        ;
}

void hold(CUstream stream)
{
    atomic_store(&let_go, false);
    OK(cuLaunchHostFunc(stream, stand, &let_go));
}

/* What the simulated device says is on standard error. */
static FILE *errors;

struct world begin(void)
{
    errors = tmpfile();
    cr_assert(errors);
    cr_assert_geq(dup2(fileno(errors), STDERR_FILENO), 0);
    return world_make();
}

static unsigned hazards(void)
{
    unsigned count = 0;
    char line[1024];

    rewind(errors);
    while (fgets(line, sizeof(line), errors))
        count += strncmp(line, "simgpu: hazard", 14) == 0;
    return count;
}

void end(struct world *world)
{
    OK(cuCtxSynchronize());
    world_end(world);
    cr_expect_eq(hazards(), 0);
}
