/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/tests/kernel.h"

#include "driver.h"
#include "ptx/tests/conform.h"

#include <criterion/criterion.h>

static void kernel_begin(struct source *source)
{
    source_add(source, ".visible .entry run(.param .u64 a, .param .u64 b, .param .u64 c, .param .u64 e)\n"
                       "{ .reg .pred %%p<8>; .reg .b16 %%h<8>; .reg .b32 %%r<32>; .reg .b64 %%rd<16>; .reg "
                       ".f32 %%f<16>; .reg .f64 %%fd<4>;\n"
                       "ld.param.u64 %%rd0, [a]; ld.param.u64 %%rd1, [b];\n"
                       "mov.u32 %%r0, %%tid.x; mov.u32 %%r1, %%ctaid.x; mov.u32 %%r2, %%ntid.x;\n"
                       "mad.lo.u32 %%r2, %%r1, %%r2, %%r0; mad.wide.u32 %%rd2, %%r2, 4, %%rd0; mad.wide.u32 "
                       "%%rd3, %%r2, 4, %%rd1;\n");
}

static CUmodule made(const char *before, const char *body)
{
    struct source source;
    CUmodule loaded;

    source_begin(&source);
    source_add(&source, "%s", before);
    kernel_begin(&source);
    source_add(&source, "%s\nret; }\n", body);
    loaded = source_load(&source);
    source_end(&source);
    return loaded;
}

CUresult kernel_of(const char *before, const char *body, unsigned blocks, unsigned threads,
                   const CUdeviceptr *params)
{
    return kernel_run_and_wait(made(before, body), "run", blocks, threads, 0, params);
}

CUresult kernel_together(const char *before, const char *body, unsigned blocks, unsigned threads,
                         const CUdeviceptr *params)
{
    CUdeviceptr own[4] = {params[0], params[1], params[2], params[3]};
    void *list[] = {&own[0], &own[1], &own[2], &own[3]};
    CUfunction function;
    CUresult result;

    must(cuModuleGetFunction(&function, made(before, body), "run"));
    result = cuLaunchCooperativeKernel(function, blocks, 1, 1, threads, 1, 1, 0, NULL, list);
    return result == CUDA_SUCCESS ? cuCtxSynchronize() : result;
}

uint32_t in[WORDS], out[WORDS];

void run_words(const char *before, const char *body, unsigned blocks, unsigned threads)
{
    CUdeviceptr params[4] = {0};

    start();
    params[0] = device_bytes(in, sizeof in);
    params[1] = device_bytes(NULL, sizeof out);
    cr_assert_eq(kernel_of(before, body, blocks, threads, params), CUDA_SUCCESS);
    must(cuMemcpyDtoH(out, params[1], sizeof out));
}

void fill(uint32_t below)
{
    uint32_t state = 12345;

    for (unsigned i = 0; i < WORDS; i++) {
        state = state * 1664525 + 1013904223;
        in[i] = below ? (state >> 8) % below : state;
    }
}
