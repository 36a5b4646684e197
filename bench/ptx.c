/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptx.c - how fast the simulated GPU runs PTX: a kernel whose threads are a loop, and one whose threads wait for each other.
 * Processor time of the whole process, since a stream's work is done by a thread of the driver's.
 */
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "rounds.h"

enum {
    ELEMENTS = 1 << 18,
    THREADS = 256,
    SIDE = 256, /* of the matrices */
    TILE = 16
};

/* As clang makes them of `if (i < n) out[i] = a[i] + b[i];` and of a product by tiles in shared memory. */
static const char text[] =
    ".version 7.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry add(.param .u64 out, .param .u64 a, .param .u64 b, .param .u32 n)\n"
    "{ .reg .pred %p<2>; .reg .b32 %r<6>; .reg .f32 %f<4>; .reg .b64 %rd<11>;\n"
    "ld.param.u32 %r1, [n]; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;\n"
    "mad.lo.s32 %r5, %r2, %r3, %r4; setp.ge.s32 %p1, %r5, %r1; @%p1 bra END;\n"
    "ld.param.u64 %rd4, [out]; ld.param.u64 %rd5, [a]; ld.param.u64 %rd7, [b];\n"
    "cvta.to.global.u64 %rd6, %rd5; cvta.to.global.u64 %rd8, %rd7; cvta.to.global.u64 %rd9, %rd4;\n"
    "mul.wide.s32 %rd10, %r5, 4; add.s64 %rd1, %rd9, %rd10; add.s64 %rd2, %rd6, %rd10;\n"
    "add.s64 %rd3, %rd8, %rd10; ld.global.f32 %f1, [%rd3]; ld.global.f32 %f2, [%rd2];\n"
    "add.f32 %f3, %f1, %f2; st.global.f32 [%rd1], %f3;\nEND: ret; }\n"
    ".visible .entry multiply(.param .u64 out, .param .u64 a, .param .u64 b, .param .u32 n)\n"
    "{ .reg .pred %p<4>; .reg .b32 %r<21>; .reg .f32 %f<17>; .reg .b64 %rd<32>;\n"
    ".shared .align 4 .b8 left[1024]; .shared .align 4 .b8 right[1024];\n"
    "ld.param.u32 %r8, [n]; ld.param.u64 %rd13, [out]; cvta.to.global.u64 %rd3, %rd13;\n"
    "mov.u32 %r9, %ctaid.x; shl.b32 %r10, %r9, 4; mov.u32 %r1, %tid.x; add.s32 %r2, %r10, %r1;\n"
    "mov.u32 %r11, %ctaid.y; shl.b32 %r12, %r11, 4; mov.u32 %r3, %tid.y; add.s32 %r13, %r12, %r3;\n"
    "mul.lo.s32 %r4, %r13, %r8; mov.f32 %f16, 0f00000000;\n"
    "ld.param.u64 %rd14, [b]; cvta.to.global.u64 %rd1, %rd14; ld.param.u64 %rd15, [a];\n"
    "cvta.to.global.u64 %rd2, %rd15; add.s32 %r5, %r4, %r1; mul.wide.s32 %rd16, %r3, 64;\n"
    "mov.u64 %rd17, left; add.s64 %rd7, %rd17, %rd16; mul.wide.s32 %rd18, %r1, 4; add.s64 %rd4, %rd7, "
    "%rd18;\n"
    "mov.u64 %rd19, right; add.s64 %rd20, %rd19, %rd16; add.s64 %rd5, %rd20, %rd18;\n"
    "add.s64 %rd21, %rd19, %rd18; add.s64 %rd6, %rd21, 64; mov.u32 %r20, 0;\n"
    "TILES: add.s32 %r15, %r5, %r20; mul.wide.s32 %rd23, %r15, 4; add.s64 %rd24, %rd2, %rd23;\n"
    "ld.global.f32 %f7, [%rd24]; st.shared.f32 [%rd4], %f7; add.s32 %r16, %r20, %r3;\n"
    "mad.lo.s32 %r17, %r16, %r8, %r2; mul.wide.s32 %rd25, %r17, 4; add.s64 %rd26, %rd1, %rd25;\n"
    "ld.global.f32 %f8, [%rd26]; st.shared.f32 [%rd5], %f8; bar.sync 0;\n"
    "mov.u64 %rd31, 0; mov.u64 %rd30, %rd6;\n"
    "INNER: add.s64 %rd27, %rd7, %rd31; ld.shared.f32 %f9, [%rd27]; ld.shared.f32 %f10, [%rd30+-64];\n"
    "fma.rn.f32 %f11, %f9, %f10, %f16; ld.shared.f32 %f12, [%rd27+4]; ld.shared.f32 %f13, [%rd30];\n"
    "fma.rn.f32 %f16, %f12, %f13, %f11; add.s64 %rd31, %rd31, 8; cvt.u32.u64 %r18, %rd31;\n"
    "add.s64 %rd30, %rd30, 128; setp.ne.s32 %p2, %r18, 64; @%p2 bra INNER;\n"
    "bar.sync 0; add.s32 %r20, %r20, 16; setp.lt.s32 %p3, %r20, %r8; @%p3 bra TILES;\n"
    "add.s32 %r19, %r4, %r2; mul.wide.s32 %rd28, %r19, 4; add.s64 %rd29, %rd3, %rd28;\n"
    "st.global.f32 [%rd29], %f16; ret; }\n";

/* A kernel with the memory that it works on. */
struct job {
    CUfunction function;
    CUdeviceptr out, a, b;
    unsigned n, blocks[2], threads[2];
    double operations; /* of a launch */
};

static void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: error %d of the simulated driver\n", what, result);
    exit(1);
}

static double process_ns(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e9 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e3;
}

static void launch(struct job *job)
{
    void *params[] = {&job->out, &job->a, &job->b, &job->n};

    must(cuLaunchKernel(job->function, job->blocks[0], job->blocks[1], 1, job->threads[0], job->threads[1], 1,
                        0, NULL, params, NULL),
         "launch");
}

static double measure(void *arg, uint64_t operations)
{
    struct job *job = arg;
    double since_ns = process_ns(), done = 0;

    for (; done < (double)operations; done += job->operations)
        launch(job);
    must(cuCtxSynchronize(), "kernel");
    return (process_ns() - since_ns) / done;
}

static CUdeviceptr numbers(unsigned count)
{
    CUdeviceptr address;
    float *values = malloc(count * sizeof(*values));

    if (!values)
        abort();
    for (unsigned i = 0; i < count; i++)
        values[i] = (float)(i % 64);
    must(cuMemAlloc(&address, count * sizeof(*values)), "memory");
    must(cuMemcpyHtoD(address, values, count * sizeof(*values)), "copy");
    free(values);
    return address;
}

/* Runs it once: it is compiled then. */
static void prepare(struct job *job, CUmodule module, const char *name, unsigned count)
{
    job->out = numbers(count);
    job->a = numbers(count);
    job->b = numbers(count);
    must(cuModuleGetFunction(&job->function, module, name), name);
    launch(job);
    must(cuCtxSynchronize(), name);
}

int main(int argc, char **argv)
{
    struct job add = {
        .n = ELEMENTS, .blocks = {ELEMENTS / THREADS, 1}, .threads = {THREADS, 1}, .operations = ELEMENTS};
    struct job multiply = {
        .n = SIDE, .blocks = {SIDE / TILE, SIDE / TILE}, .threads = {TILE, TILE}, .operations = 1};
    const struct variant loops[] = {
        {"vector add, an element", measure, &add, 32 * ELEMENTS, {"an element of a vector add", GOAL_NS, 2}}};
    const struct variant fibers[] = {{"product of 256 by 256 in tiles of 16",
                                      measure,
                                      &multiply,
                                      1,
                                      {"a product of 256 by 256", GOAL_NS, 0.15e9}}};
    struct rounds rounds;
    CUcontext context;
    CUmodule module;

    rounds_init(&rounds, "ptx", argc, argv);
    must(cuInit(0), "start");
    must(cuDevicePrimaryCtxRetain(&context, 0), "start");
    must(cuCtxSetCurrent(context), "start");
    must(cuModuleLoadData(&module, text), "module");
    prepare(&add, module, "add", ELEMENTS);
    prepare(&multiply, module, "multiply", SIDE * SIDE);
    rounds_run(&rounds, "threads in a loop", loops, 1);
    rounds_run(&rounds, "threads that wait", fibers, 1);
    return rounds_finish(&rounds);
}
