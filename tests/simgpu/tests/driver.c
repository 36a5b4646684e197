/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <string.h>

void must_be(CUresult result, CUresult expected, const char *call, const char *file, int line)
{
    if (result == expected)
        return;
    fprintf(stderr, "%s:%d: %s is %d, not %d\n", file, line, call, result, expected);
    exit(2);
}

CUcontext start(void)
{
    CUcontext context;

    must(cuInit(0));
    must(cuDevicePrimaryCtxRetain(&context, 0));
    must(cuCtxSetCurrent(context));
    return context;
}

CUmodule module(void)
{
    static CUmodule loaded;

    if (!loaded)
        must(cuModuleLoad(&loaded, getenv("SIMGPU_TEST_KERNELS")));
    return loaded;
}

CUfunction kernel(const char *name)
{
    CUfunction function;

    must(cuModuleGetFunction(&function, module(), name));
    return function;
}

CUresult launch(const char *name, CUstream stream, void **params)
{
    return cuLaunchKernel(kernel(name), 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
}

uint32_t *flags(void)
{
    void *memory;

    must(cuMemHostAlloc(&memory, 4096, 0));
    memset(memory, 0, 4096);
    return memory;
}

void let_go(uint32_t *flag)
{
    __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

static CUmemGenericAllocationHandle create(CUmemLocationType type)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {type, 0}};
    CUmemGenericAllocationHandle handle;

    must(cuMemCreate(&handle, GRANULE, &prop, 0));
    return handle;
}

CUmemGenericAllocationHandle physical(void)
{
    return create(CU_MEM_LOCATION_TYPE_DEVICE);
}

CUmemGenericAllocationHandle physical_host(void)
{
    return create(CU_MEM_LOCATION_TYPE_HOST_NUMA);
}

CUdeviceptr reserve(size_t bytes)
{
    CUdeviceptr address;

    must(cuMemAddressReserve(&address, bytes, 0, 0, 0));
    return address;
}

CUresult grant(CUdeviceptr address, size_t bytes)
{
    CUmemAccessDesc desc = {{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};

    return cuMemSetAccess(address, bytes, &desc, 1);
}

CUdeviceptr mapped(CUmemGenericAllocationHandle *handle)
{
    CUdeviceptr address = reserve(GRANULE);

    *handle = physical();
    must(cuMemMap(address, GRANULE, 0, *handle, 0));
    must(grant(address, GRANULE));
    return address;
}
