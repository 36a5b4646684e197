/* SPDX-License-Identifier: Apache-2.0 */
#include "pages.h"

CUstream start_small(const char *devices)
{
    CUstream stream;

    setenv("SIMGPU_MEMORY", "16M", 1);
    setenv("SIMGPU_DEVICES", devices, 1);
    start();
    module();
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

CUdeviceptr managed(size_t bytes)
{
    CUdeviceptr address;

    must(cuMemAllocManaged(&address, bytes, CU_MEM_ATTACH_GLOBAL));
    return address;
}

CUmemLocation at(int ordinal)
{
    return (CUmemLocation){ordinal == HOST ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_DEVICE,
                           ordinal == HOST ? 0 : ordinal};
}

size_t mib(CUdeviceptr start, size_t bytes, int ordinal)
{
    return simgpu_managed_bytes(start, bytes, ordinal) / MIB;
}

void fetch(CUdeviceptr start, size_t bytes, int ordinal)
{
    must(cuMemPrefetchAsync(start, bytes, at(ordinal), 0, NULL));
    must(cuStreamSynchronize(NULL));
}

void advise(CUdeviceptr start, size_t bytes, CUmem_advise advice, int ordinal)
{
    must(cuMemAdvise(start, bytes, advice, at(ordinal)));
}

void use(CUdeviceptr start, uint64_t bytes)
{
    must(launch("declare", NULL, (void *[]){&start, &bytes}));
    must(cuCtxSynchronize());
}
