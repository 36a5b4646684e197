/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario_ptx.h"

#include "driver.h"
#include "pages.h"

#include <sched.h>
#include <string.h>
#include <time.h>

enum {
    COUNT = 1024 /* words */
};

static const char text[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    /* Thread i reads the word number i * stride of what the cell points to, and counts what is not 0. */
    ".visible .entry look(.param .u64 cell, .param .u32 stride)\n"
    "{ .reg .pred %p; .reg .b32 %r<8>; .reg .b64 %rd<4>;\n"
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.u32 %r4, %r1, %r2, %r3;\n"
    "ld.param.u32 %r5, [stride]; mul.lo.u32 %r4, %r4, %r5; ld.param.u64 %rd1, [cell]; ld.global.u64 %rd2, "
    "[%rd1];\n"
    "mad.wide.u32 %rd3, %r4, 4, %rd2; ld.u32 %r6, [%rd3]; setp.eq.u32 %p, %r6, 0; @%p ret;\n"
    "red.global.add.u32 [%rd1+8], 1; ret; }\n"
    /* Reads, says so, and waits. */
    ".visible .entry linger(.param .u64 cell, .param .u64 words)\n"
    "{ .reg .pred %p; .reg .b32 %r<4>; .reg .b64 %rd<4>; ld.param.u64 %rd1, [cell]; ld.param.u64 %rd2, "
    "[words];\n"
    "ld.global.u64 %rd3, [%rd1]; ld.u32 %r1, [%rd3]; st.volatile.u32 [%rd2], 1;\n"
    "again: ld.volatile.u32 %r2, [%rd2+4]; setp.eq.u32 %p, %r2, 0; @%p bra again; ret; }\n"
    ".visible .entry stop() { trap; }\n"
    /* The same by a texture, of the words from 0 on: nothing names the memory. */
    ".visible .entry sample(.param .u64 texture)\n"
    "{ .reg .b32 %r<8>; .reg .b64 %rd<2>; ld.param.u64 %rd1, [texture]; mov.u32 %r1, %tid.x;\n"
    "tex.1d.v4.u32.s32 {%r2, %r3, %r4, %r5}, [%rd1, {%r1}]; ret; }\n";

static CUstream first, second;

static CUfunction entry(const char *name)
{
    static CUmodule module;
    CUfunction function;

    if (!module)
        must(cuModuleLoadData(&module, text));
    must(cuModuleGetFunction(&function, module, name));
    return function;
}

static void begin(void)
{
    start();
    must(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
    must(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
}

/* Memory of the device with a pointer in it. */
static CUdeviceptr cell_of(CUdeviceptr target)
{
    CUdeviceptr cell;

    must(cuMemAlloc(&cell, 16));
    must(cuMemcpyHtoD(cell, &target, sizeof target));
    must(cuCtxSynchronize());
    return cell;
}

static void look(CUdeviceptr cell, unsigned threads, unsigned stride, CUstream stream)
{
    must(cuLaunchKernel(entry("look"), threads < 128 ? 1 : threads / 128, 1, 1, threads < 128 ? threads : 128,
                        1, 1, 0, stream, (void *[]){&cell, &stride}, NULL));
}

static CUdeviceptr words_of_device(void)
{
    CUdeviceptr words;

    must(cuMemAlloc(&words, COUNT * 4));
    must(cuMemsetD8(words, 0, COUNT * 4));
    return words;
}

void ptx_unordered(void)
{
    CUdeviceptr words;

    begin();
    words = words_of_device();
    look(cell_of(words), COUNT, 1, first);
    must(cuMemsetD8Async(words + 100, 1, 4, second));
    must(cuCtxSynchronize());
}

void ptx_ordered(void)
{
    CUdeviceptr words;
    CUevent event;

    begin();
    must(cuEventCreate(&event, 0));
    words = words_of_device();
    look(cell_of(words), COUNT, 1, first);
    must(cuEventRecord(event, first));
    must(cuStreamWaitEvent(second, event, 0));
    must(cuMemsetD8Async(words + 100, 1, 4, second));
    must(cuCtxSynchronize());
}

/* Words 128 to 255 are the second piece of 512 bytes. */
void ptx_beside(void)
{
    CUdeviceptr words;

    begin();
    words = words_of_device();
    look(cell_of(words + 512), 128, 1, first);
    must(cuMemsetD8Async(words, 1, 512, second));
    must(cuMemsetD8Async(words + 1024, 1, COUNT * 4 - 1024, second));
    must(cuCtxSynchronize());
}

/* 128 words of that memory, by a texture, while the words from there on are set. */
static void sample_beside(size_t offset)
{
    const CUDA_TEXTURE_DESC sampling = {.flags = CU_TRSF_READ_AS_INTEGER};
    CUDA_RESOURCE_DESC desc = {.resType = CU_RESOURCE_TYPE_LINEAR};
    CUtexObject texture;

    begin();
    desc.res.linear.devPtr = words_of_device();
    desc.res.linear.format = CU_AD_FORMAT_UNSIGNED_INT32;
    desc.res.linear.numChannels = 1;
    desc.res.linear.sizeInBytes = COUNT * 4;
    must(cuTexObjectCreate(&texture, &desc, &sampling, NULL));
    must(cuCtxSynchronize());
    must(cuLaunchKernel(entry("sample"), 1, 1, 1, 128, 1, 1, 0, first, (void *[]){&texture}, NULL));
    must(cuMemsetD8Async(desc.res.linear.devPtr + offset, 1, 512, second));
    must(cuCtxSynchronize());
}

void ptx_sample_unordered(void)
{
    sample_beside(256);
}

void ptx_sample_beside(void)
{
    sample_beside(512);
}

void ptx_unmap_used(void)
{
    CUmemGenericAllocationHandle handle;
    uint32_t *words;
    CUdeviceptr cell;

    begin();
    words = flags();
    cell = cell_of(mapped(&handle));
    must(cuLaunchKernel(entry("linger"), 1, 1, 1, 1, 1, 1, 0, first, (void *[]){&cell, &words}, NULL));
    while (!__atomic_load_n(&words[0], __ATOMIC_ACQUIRE))
        sched_yield();
    must(cuMemcpyDtoHAsync(&cell, cell, sizeof cell, second));
    must(cuStreamSynchronize(second));
    must(cuMemUnmap(cell, GRANULE));
    let_go(&words[1]);
    must(cuCtxSynchronize());
}

void ptx_managed(void)
{
    CUdeviceptr block;

    setenv("SIMGPU_MEMORY", "64M", 1);
    begin();
    block = managed(16 * MIB);
    fetch(block, 16 * MIB, HOST);
    look(cell_of(block + 4 * MIB), 3, 2 * MIB / 4, first);
    must(cuCtxSynchronize());
    if (simgpu_managed_bytes(block + 4 * MIB, 6 * MIB, 0) != 6 * MIB ||
        simgpu_managed_bytes(block, 16 * MIB, 0) != 6 * MIB)
        exit(2);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void ptx_zero_copy(void)
{
    enum {
        BYTES = 2 * MIB
    };
    CUdeviceptr cell;
    double since;
    void *host;

    setenv("SIMGPU_LINK_GBPS", "0.1", 1);
    setenv("SIMGPU_ZEROCOPY_GBPS", "0.1", 1);
    begin();
    must(cuMemHostAlloc(&host, BYTES, 0));
    memset(host, 1, BYTES);
    cell = cell_of((CUdeviceptr)host);
    look(cell, 1, 1, first); /* and it is compiled */
    must(cuCtxSynchronize());
    since = seconds();
    look(cell, BYTES / 4, 1, first);
    must(cuCtxSynchronize());
    if (seconds() - since < BYTES / 0.1e9)
        exit(2);
}

void ptx_trap(void)
{
    CUdeviceptr words;

    begin();
    words = words_of_device();
    must(cuLaunchKernel(entry("stop"), 1, 1, 1, 1, 1, 1, 0, first, NULL, NULL));
    if (cuStreamSynchronize(first) != CUDA_ERROR_LAUNCH_FAILED ||
        cuMemsetD8Async(words, 1, 4, second) != CUDA_ERROR_LAUNCH_FAILED)
        exit(2);
}
