/* SPDX-License-Identifier: Apache-2.0 */
/* Device code that is registered at the start, as compilers write it into programs, and launched by what stands for it. */
#include <criterion/criterion.h>
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum {
    COUNT = 1000
};

void **__cudaRegisterFatBinary(void *image);
void __cudaRegisterFatBinaryEnd(void **binary);
void __cudaUnregisterFatBinary(void **binary);
void __cudaRegisterFunction(void **binary, const char *function, char *stub, const char *name,
                            int thread_limit, uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid, int *warp);
void __cudaRegisterVar(void **binary, char *symbol, char *address, const char *name, int external,
                       size_t bytes, int constant, int global);
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, struct CUstream_st *stream);
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_bytes, void *stream);
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
                               size_t shared_bytes, cudaStream_t stream);

/* out[i] += value * factor, by threads that stride over all of it. */
static const char ptx[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .global .align 4 .u32 factor = 1;\n"
    ".visible .entry add(.param .u64 out, .param .u32 value, .param .u64 count)\n{\n"
    "  .reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %rd<8>;\n"
    "  ld.param.u64 %rd1, [out]; ld.param.u32 %r1, [value]; ld.param.u64 %rd2, [count];\n"
    "  ld.global.u32 %r2, [factor]; mul.lo.u32 %r1, %r1, %r2;\n"
    "  cvta.to.global.u64 %rd1, %rd1;\n"
    "  mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ntid.x; mov.u32 %r5, %tid.x;\n"
    "  mad.lo.u32 %r3, %r3, %r4, %r5; cvt.u64.u32 %rd3, %r3;\n"
    "  mov.u32 %r6, %nctaid.x; mul.lo.u32 %r6, %r6, %r4; cvt.u64.u32 %rd4, %r6;\n"
    "AGAIN:\n"
    "  setp.ge.u64 %p1, %rd3, %rd2; @%p1 bra DONE;\n"
    "  shl.b64 %rd5, %rd3, 2; add.s64 %rd5, %rd1, %rd5;\n"
    "  ld.global.u32 %r7, [%rd5]; add.u32 %r7, %r7, %r1; st.global.u32 [%rd5], %r7;\n"
    "  add.s64 %rd3, %rd3, %rd4; bra AGAIN;\n"
    "DONE:\n  ret;\n}\n";

/* A fat binary with one entry, and the wrapper that leads to it. */
struct fat {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t entries_bytes;
    uint16_t kind, entry_version;
    uint32_t entry_header_bytes;
    uint64_t payload_bytes, unused;
    uint32_t isa, architecture;
    uint64_t name, flags, zero, text_bytes;
    char text[(sizeof ptx + 7) & ~(size_t)7];
};

static struct fat fat = {.magic = 0xba55ed50u,
                         .version = 1,
                         .header_bytes = 16,
                         .entries_bytes = sizeof(struct fat) - 16,
                         .kind = 1,
                         .entry_version = 0x101,
                         .entry_header_bytes = 64,
                         .payload_bytes = sizeof fat.text,
                         .architecture = 50,
                         .flags = 0x11};

static struct {
    uint32_t magic, version;
    const void *data, *more;
} wrapper = {0x466243b1u, 1, &fat, NULL};

/* What stands for the kernel and the variable on the host; nobody calls or reads them. */
static char add_stub, missing_stub, stranger;
static unsigned factor_shadow;

static void **enroll(void)
{
    void **binary;

    memcpy(fat.text, ptx, sizeof ptx);
    binary = __cudaRegisterFatBinary(&wrapper);
    cr_assert_not_null(binary);
    __cudaRegisterFunction(binary, &add_stub, &add_stub, "add", -1, NULL, NULL, NULL, NULL, NULL);
    __cudaRegisterFunction(binary, &missing_stub, &missing_stub, "missing", -1, NULL, NULL, NULL, NULL, NULL);
    __cudaRegisterVar(binary, (char *)&factor_shadow, (char *)"factor", "factor", 0, sizeof factor_shadow, 0,
                      0);
    __cudaRegisterFatBinaryEnd(binary);
    return binary;
}

static unsigned *zeros(void)
{
    void *memory;

    cr_assert_eq(cudaMalloc(&memory, COUNT * sizeof(unsigned)), cudaSuccess);
    cr_assert_eq(cudaMemset(memory, 0, COUNT * sizeof(unsigned)), cudaSuccess);
    return memory;
}

static cudaError_t add(const void *function, void *out, unsigned blocks, unsigned threads)
{
    unsigned value = 3;
    uint64_t count = COUNT;
    void *arguments[] = {&out, &value, &count};

    return cudaLaunchKernel(function, (dim3){blocks, 1, 1}, (dim3){threads, 1, 1}, arguments, 0, NULL);
}

static void expect_all(const void *memory, unsigned value)
{
    unsigned host[COUNT];

    cr_assert_eq(cudaMemcpy(host, memory, sizeof host, cudaMemcpyDeviceToHost), cudaSuccess);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(host[i], value, "[%d] is %u", i, host[i]);
}

Test(registration, a_kernel_is_launched_by_what_stands_for_it)
{
    unsigned *memory;
    void **binary = enroll();

    memory = zeros();
    cr_assert_eq(add(&add_stub, memory, 4, 64), cudaSuccess);
    expect_all(memory, 3);
    __cudaUnregisterFatBinary(binary);
    cr_assert_eq(add(&add_stub, memory, 4, 64), cudaErrorInvalidDeviceFunction);
}

Test(registration, the_stub_of_a_newer_compiler_keeps_its_kernel_over_a_reset)
{
    cudaKernel_t kernel = NULL;
    unsigned value = 3, *memory;
    uint64_t count = COUNT;
    void *arguments[] = {&memory, &value, &count};

    enroll();
    cr_assert_eq(__cudaGetKernel(&kernel, &add_stub), cudaSuccess);
    for (int i = 0; i < 2; i++) {
        memory = zeros();
        cr_assert_eq(__cudaLaunchKernel(kernel, (dim3){1, 1, 1}, (dim3){32, 1, 1}, arguments, 0, NULL),
                     cudaSuccess);
        expect_all(memory, 3);
        cr_assert_eq(cudaDeviceReset(), cudaSuccess);
    }
}

Test(registration, a_variable_is_found_and_copied_by_its_symbol)
{
    unsigned *memory, factor = 5, found = 0;
    void *address;
    size_t bytes;

    enroll();
    memory = zeros();
    cr_assert_eq(cudaMemcpyFromSymbol(&found, &factor_shadow, sizeof found, 0, cudaMemcpyDeviceToHost),
                 cudaSuccess);
    cr_assert_eq(found, 1);
    cr_assert_eq(cudaMemcpyToSymbol(&factor_shadow, &factor, sizeof factor, 0, cudaMemcpyHostToDevice),
                 cudaSuccess);
    cr_assert_eq(add(&add_stub, memory, 4, 64), cudaSuccess);
    expect_all(memory, 15);
    cr_assert_eq(cudaGetSymbolSize(&bytes, &factor_shadow), cudaSuccess);
    cr_assert_eq(bytes, sizeof factor);
    cr_assert_eq(cudaGetSymbolAddress(&address, &factor_shadow), cudaSuccess);
    cr_assert_eq(cudaMemcpy(&found, address, sizeof found, cudaMemcpyDeviceToHost), cudaSuccess);
    cr_assert_eq(found, 5);
    cr_assert_eq(cudaMemcpyToSymbolAsync(&factor_shadow, &factor, 4, 1, cudaMemcpyHostToDevice, NULL),
                 cudaErrorInvalidValue);
    cr_assert_eq(cudaMemcpyToSymbol(&factor_shadow, &factor, 4, SIZE_MAX - 1, cudaMemcpyHostToDevice),
                 cudaErrorInvalidValue);
    cr_assert_eq(cudaMemcpyToSymbol(&factor_shadow, &factor, 4, 0, cudaMemcpyDeviceToHost),
                 cudaErrorInvalidMemcpyDirection);
    cr_assert_eq(cudaGetSymbolAddress(&address, &stranger), cudaErrorInvalidSymbol);
}

Test(registration, no_launch_fails_in_silence)
{
    unsigned *memory;

    enroll();
    memory = zeros();
    cr_assert_eq(add(&stranger, memory, 1, 32), cudaErrorInvalidDeviceFunction);
    cr_assert_eq(cudaPeekAtLastError(), cudaErrorInvalidDeviceFunction);
    cr_assert_eq(cudaGetLastError(), cudaErrorInvalidDeviceFunction);
    cr_assert_eq(cudaGetLastError(), cudaSuccess);
    cr_assert_eq(add(NULL, memory, 1, 32), cudaErrorInvalidDeviceFunction);
    cr_assert_eq(add(&missing_stub, memory, 1, 32), cudaErrorInvalidDeviceFunction);
    cr_assert_eq(add(&add_stub, memory, 0, 32), cudaErrorInvalidConfiguration);
    cr_assert_eq(add(&add_stub, memory, 1, 1025), cudaErrorInvalidConfiguration);
    cr_assert_eq(cudaGetLastError(), cudaErrorInvalidConfiguration);
    cr_assert_eq(cudaDeviceSynchronize(), cudaSuccess);
    expect_all(memory, 0);
}

Test(registration, machine_code_alone_is_no_kernel_image_for_the_device)
{
    unsigned *memory;

    fat.kind = 2;
    enroll();
    memory = zeros();
    for (int i = 0; i < 2; i++)
        cr_assert_eq(add(&add_stub, memory, 1, 32), cudaErrorNoKernelImageForDevice);
    cr_assert_eq(cudaGetLastError(), cudaErrorNoKernelImageForDevice);
}

Test(registration, an_error_of_a_kernel_lasts_until_the_device_is_reset)
{
    enroll();
    cr_assert_eq(add(&add_stub, zeros() + (1ull << 38), 1, 32), cudaSuccess);
    cr_assert_eq(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(cudaGetLastError(), cudaErrorIllegalAddress);
    cr_assert_eq(add(&add_stub, NULL, 1, 32), cudaErrorIllegalAddress);
    cr_assert_eq(cudaDeviceReset(), cudaSuccess);
    cr_assert_eq(cudaGetLastError(), cudaSuccess);
    expect_all(zeros(), 0);
}

Test(registration, configurations_nest)
{
    dim3 grid, block;
    size_t shared_bytes;
    cudaStream_t stream;

    cr_assert_eq(__cudaPopCallConfiguration(&grid, &block, &shared_bytes, &stream),
                 cudaErrorMissingConfiguration);
    cr_assert_eq(__cudaPushCallConfiguration((dim3){1, 2, 3}, (dim3){4, 5, 6}, 7, cudaStreamPerThread), 0);
    cr_assert_eq(__cudaPushCallConfiguration((dim3){8, 1, 1}, (dim3){9, 1, 1}, 0, NULL), 0);
    cr_assert_eq(__cudaPopCallConfiguration(&grid, &block, &shared_bytes, &stream), cudaSuccess);
    cr_assert(grid.x == 8 && block.x == 9 && !shared_bytes && !stream);
    cr_assert_eq(__cudaPopCallConfiguration(&grid, &block, &shared_bytes, &stream), cudaSuccess);
    cr_assert(grid.z == 3 && block.y == 5 && shared_bytes == 7 && stream == cudaStreamPerThread);
}

Test(registration, what_asks_about_kernels_takes_what_stands_for_them)
{
    struct cudaFuncAttributes attributes;
    cudaKernel_t kernel = NULL;
    unsigned *memory;
    cudaLaunchAttribute cluster = {.id = cudaLaunchAttributeClusterDimension,
                                   .val.clusterDim = {.x = 1, .y = 1, .z = 1}};
    const cudaLaunchConfig_t launch = {
        .gridDim = {8, 1, 1}, .blockDim = {64, 1, 1}, .attrs = &cluster, .numAttrs = 1};
    int blocks = 0, clusters = 0;

    enroll();
    cr_assert_eq(cudaFuncGetAttributes(&attributes, &add_stub), cudaSuccess);
    cr_assert_gt(attributes.maxThreadsPerBlock, 0);
    cr_assert_eq(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, &add_stub, 256, 0), cudaSuccess);
    cr_assert_gt(blocks, 0);
    cr_assert_eq(cudaOccupancyMaxActiveClusters(&clusters, &add_stub, &launch), cudaSuccess);
    cr_assert_gt(clusters, 0);
    cr_assert_eq(cudaOccupancyMaxActiveClusters(&clusters, &stranger, &launch),
                 cudaErrorInvalidDeviceFunction);
    cluster.val.clusterDim.x = 2;
    cr_assert_eq(cudaOccupancyMaxActiveClusters(&clusters, &add_stub, &launch), cudaErrorInvalidClusterSize);
    cr_assert_eq(cudaFuncSetAttribute(&add_stub, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536),
                 cudaSuccess);
    cr_assert_eq(cudaGetKernel(&kernel, &add_stub), cudaSuccess);
    memory = zeros();
    cr_assert_eq(add((const void *)kernel, memory, 1, 32), cudaSuccess);
    expect_all(memory, 3);
    cr_assert_eq(cudaFuncGetAttributes(&attributes, &missing_stub), cudaErrorInvalidDeviceFunction);
    cr_assert_eq(cudaFuncGetAttributes(&attributes, &stranger), cudaErrorInvalidDeviceFunction);
    cr_assert_eq(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, &stranger, 32, 0),
                 cudaErrorInvalidDeviceFunction);
}

static void *launch_often(void *memory)
{
    for (int i = 0; i < 50; i++)
        if (add(&add_stub, memory, 1, 32) != cudaSuccess)
            return memory;
    return NULL;
}

Test(registration, threads_may_launch_first_at_the_same_time)
{
    pthread_t threads[8];
    unsigned *memory;
    void *failed;

    enroll();
    memory = zeros();
    for (int i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, launch_often, memory), 0);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(pthread_join(threads[i], &failed), 0);
        cr_assert_null(failed);
    }
    expect_all(memory, 8 * 50 * 3);
}
