/* SPDX-License-Identifier: Apache-2.0 */
/* Modules of PTX: what their text says is what the driver tells and does. */
#include "driver.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"

static const char scale[] = HEAD
    ".visible .entry scale(.param .u64 .ptr .global .align 4 data, .param .u32 count, .param .f32 factor)\n"
    ".maxntid 256, 1, 1\n"
    "{\n"
    "    .reg .pred %p<2>; .reg .b32 %r<6>; .reg .f32 %f<4>; .reg .b64 %rd<4>;\n"
    "    ld.param.u64 %rd1, [data];\n"
    "    ld.param.u32 %r1, [count];\n"
    "    ld.param.f32 %f1, [factor];\n"
    "    mov.u32 %r2, %ctaid.x;\n"
    "    mov.u32 %r3, %ntid.x;\n"
    "    mov.u32 %r4, %tid.x;\n"
    "    mad.lo.s32 %r5, %r2, %r3, %r4;\n"
    "    setp.ge.u32 %p1, %r5, %r1;\n"
    "    @%p1 bra END;\n"
    "    mul.wide.u32 %rd2, %r5, 4;\n"
    "    add.s64 %rd3, %rd1, %rd2;\n"
    "    ld.global.f32 %f2, [%rd3];\n"
    "    mul.rn.f32 %f3, %f2, %f1;\n"
    "    st.global.f32 [%rd3], %f3;\n"
    "END:\n"
    "    ret;\n"
    "}\n";

static CUfunction load(const char *text, const char *name)
{
    CUfunction function;
    CUmodule module;

    must(cuModuleLoadData(&module, text));
    must(cuModuleGetFunction(&function, module, name));
    return function;
}

static CUresult run(CUfunction function, unsigned blocks, unsigned threads, void **params)
{
    CUresult result = cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, NULL, params, NULL);

    return result == CUDA_SUCCESS ? cuCtxSynchronize() : result;
}

static CUresult scale_run(CUdeviceptr data, unsigned count)
{
    float factor = 3;
    void *params[] = {&data, &count, &factor};

    return run(load(scale, "scale"), (count + 63) / 64, 64, params);
}

Test(ptx, a_kernel_is_run_by_each_thread_of_the_grid)
{
    float values[1000];
    CUdeviceptr data;

    start();
    for (int i = 0; i < 1000; i++)
        values[i] = (float)i;
    must(cuMemAlloc(&data, sizeof values));
    must(cuMemcpyHtoD(data, values, sizeof values));
    must(scale_run(data, 999));
    must(cuMemcpyDtoH(values, data, sizeof values));
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(values[i], (float)(i < 999 ? 3 * i : i), "%d", i);
}

Test(ptx, a_function_has_the_attributes_and_parameters_of_its_text)
{
    size_t offset, size;
    CUfunction function;
    int value;

    start();
    function = load(scale, "scale");
    must(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_PTX_VERSION, function));
    cr_expect_eq(value, 80);
    must(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function));
    cr_expect_eq(value, 256);
    must(cuFuncGetParamInfo(function, 2, &offset, &size));
    cr_expect(offset == 12 && size == 4);
    cr_expect_eq(cuFuncGetParamInfo(function, 3, &offset, &size), CUDA_ERROR_INVALID_VALUE);
}

Test(ptx, a_function_is_of_its_text_s_architecture_and_runs_on_the_device_s)
{
    CUfunction function;
    int ptx = 0, binary = 0;

    setenv("SIMGPU_COMPUTE_CAPABILITY", "8.6", 1);
    start();
    function = load(scale, "scale");
    must(cuFuncGetAttribute(&ptx, CU_FUNC_ATTRIBUTE_PTX_VERSION, function));
    must(cuFuncGetAttribute(&binary, CU_FUNC_ATTRIBUTE_BINARY_VERSION, function));
    cr_expect_eq(ptx, 80);
    cr_expect_eq(binary, 86);
}

Test(ptx, variables_start_with_their_values_and_are_memory_of_the_device)
{
    static const char text[] =
        HEAD ".visible .global .align 4 .u32 numbers[4] = {1, 2, 0xffffffff};\n"
             ".visible .global .align 8 .u64 place[2] = {numbers, generic(numbers)+8};\n";
    CUdeviceptr numbers, place;
    size_t before, after, size;
    uint64_t addresses[2];
    uint32_t values[4];
    CUmodule module;

    start();
    must(cuMemGetInfo(&before, &size));
    must(cuModuleLoadData(&module, text));
    must(cuMemGetInfo(&after, &size));
    cr_expect_lt(after, before);
    must(cuModuleGetGlobal(&numbers, &size, module, "numbers"));
    cr_expect_eq(size, sizeof values);
    must(cuMemcpyDtoH(values, numbers, sizeof values));
    cr_expect(values[0] == 1 && values[1] == 2 && values[2] == 0xffffffffu && values[3] == 0);
    must(cuModuleGetGlobal(&place, &size, module, "place"));
    must(cuMemcpyDtoH(addresses, place, sizeof addresses));
    cr_expect(addresses[0] == numbers && addresses[1] == numbers + 8);
    must(cuModuleUnload(module));
    must(cuMemGetInfo(&after, &size));
    cr_expect_eq(after, before);
}

Test(ptx, functions_are_called_by_name_and_by_what_stands_for_them)
{
    static const char text[] = HEAD
        ".visible .global .align 8 .u64 table[2] = {twice, more};\n"
        ".func (.param .b32 r) twice(.param .b32 x) { .reg .b32 %r<3>; ld.param.u32 %r1, [x]; add.u32 %r2, "
        "%r1, %r1;\n"
        "    st.param.b32 [r], %r2; ret; }\n"
        ".func (.param .b32 r) more(.param .b32 x) { .reg .b32 %r<3>; ld.param.u32 %r1, [x]; add.u32 %r2, "
        "%r1, 100;\n"
        "    st.param.b32 [r], %r2; ret; }\n"
        ".visible .entry choose(.param .u64 out) { .reg .b32 %r<4>; .reg .b64 %rd<6>;\n"
        "    ld.param.u64 %rd1, [out]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 8; mov.u64 %rd3, table;\n"
        "    add.s64 %rd3, %rd3, %rd2; ld.global.u64 %rd4, [%rd3]; mul.wide.u32 %rd5, %r1, 4;\n"
        "    { .param .b32 a; .param .b32 b; st.param.b32 [a], 7; p: .callprototype (.param .b32 _) _ "
        "(.param .b32 _);\n"
        "    call (b), %rd4, (a), p; ld.param.b32 %r2, [b]; }\n"
        "    add.s64 %rd5, %rd1, %rd5; st.global.u32 [%rd5], %r2; ret; }\n";
    uint32_t values[2];
    CUdeviceptr out;
    void *params[] = {&out};

    start();
    must(cuMemAlloc(&out, sizeof values));
    must(run(load(text, "choose"), 1, 2, params));
    must(cuMemcpyDtoH(values, out, sizeof values));
    cr_expect(values[0] == 14 && values[1] == 107);
}

Test(ptx, threads_meet_at_a_barrier_in_shared_memory)
{
    static const char text[] =
        HEAD ".extern .shared .align 4 .b8 room[];\n"
             ".visible .entry turn(.param .u64 out) { .shared .align 4 .b8 own[256]; .reg .b32 %r<8>; .reg "
             ".b64 %rd<4>;\n"
             "    ld.param.u64 %rd1, [out]; mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; mov.u32 %r3, own; "
             "add.u32 %r4, %r3, %r2;\n"
             "    st.shared.u32 [%r4], %r1; bar.sync 0; sub.u32 %r5, 252, %r2; add.u32 %r5, %r3, %r5;\n"
             "    ld.shared.u32 %r6, [%r5]; mul.wide.u32 %rd2, %r2, 1; add.s64 %rd3, %rd1, %rd2;\n"
             "    st.global.u32 [%rd3], %r6; ret; }\n";
    uint32_t values[64];
    CUdeviceptr out;
    void *params[] = {&out};
    int bytes;

    start();
    must(cuMemAlloc(&out, sizeof values));
    must(cuFuncGetAttribute(&bytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, load(text, "turn")));
    cr_expect_eq(bytes, 256);
    must(run(load(text, "turn"), 1, 64, params));
    must(cuMemcpyDtoH(values, out, sizeof values));
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(values[i], 63 - i);
}

Test(ptx, what_is_unknown_or_wrong_is_refused_when_it_is_loaded)
{
    static const char *const wrong[] = {HEAD ".entry a() { fly.u32 %r1, 2; ret; }",
                                        HEAD ".entry a() { .reg .b32 %r<2>; add.sideways.u32 %r1, %r1, 2; }",
                                        HEAD ".entry a() { .reg .b64 %r<2>; add.u32 %r1, %r1, 2",
                                        HEAD ".entry a() { bra NOWHERE; }",
                                        HEAD
                                        ".entry a() { .reg .f32 %f<2>; add.u32 %f1, %f1, 0f00000000, 3; }",
                                        HEAD ".global .u32 x = {1, 2};",
                                        ".version 8.0\n.target sm_80\n"};
    CUmodule module;

    start();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_eq(cuModuleLoadData(&module, wrong[i]), CUDA_ERROR_INVALID_PTX, "%s", wrong[i]);
}

Test(ptx, what_no_memory_has_is_an_illegal_address)
{
    CUdeviceptr data;

    start();
    must(cuMemAlloc(&data, 4 << 20));
    cr_expect_eq(scale_run(data + (4 << 20) - 64, 32), CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_expect_eq(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

/* What lies in the folder, by the end of its name. */
static unsigned files_in(const char *folder, const char *end)
{
    DIR *opened = opendir(folder);
    unsigned count = 0;

    cr_assert(opened);
    for (struct dirent *entry; (entry = readdir(opened));) {
        size_t length = strlen(entry->d_name), tail = strlen(end);

        count += *entry->d_name != '.' && length >= tail && strcmp(entry->d_name + length - tail, end) == 0;
    }
    closedir(opened);
    return count;
}

/* A child that runs the kernel as soon as the pipe is closed. */
static pid_t runs_when_let(const int *ends)
{
    pid_t child = fork();
    float value = 5;
    CUdeviceptr data;
    char byte;

    if (child)
        return child;
    close(ends[1]);
    start();
    must(cuMemAlloc(&data, sizeof value));
    must(cuMemcpyHtoD(data, &value, sizeof value));
    if (read(ends[0], &byte, 1) != 0)
        _exit(3);
    must(scale_run(data, 1));
    must(cuMemcpyDtoH(&value, data, sizeof value));
    _exit(value == 15 ? 0 : 4);
}

Test(ptx, processes_that_compile_one_kernel_at_once_have_one_object_and_leave_nothing_else)
{
    char folder[] = "/tmp/simgpu-cache-XXXXXX", command[64];
    pid_t children[4];
    int ends[2], status;

    cr_assert(mkdtemp(folder));
    setenv("SIMGPU_CACHE", folder, 1);
    cr_assert_eq(pipe(ends), 0);
    for (unsigned i = 0; i < 4; i++)
        children[i] = runs_when_let(ends);
    close(ends[1]);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %u: %#x", i, status);
    }
    cr_expect_eq(files_in(folder, ".so"), 1);
    cr_expect_eq(files_in(folder, ""), 1);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

/* Another file of any size in its place: a disk that was full, a processor of another kind. */
Test(ptx, an_object_that_is_kept_and_does_not_load_is_made_again)
{
    char folder[] = "/tmp/simgpu-cache-XXXXXX", command[128];
    int ends[2], status;

    cr_assert(mkdtemp(folder));
    setenv("SIMGPU_CACHE", folder, 1);
    for (unsigned round = 0; round < 2; round++) {
        pid_t child;

        cr_assert_eq(pipe(ends), 0);
        child = runs_when_let(ends);
        close(ends[0]);
        close(ends[1]);
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", status);
        cr_assert_eq(files_in(folder, ".so"), 1);
        snprintf(command, sizeof command, round ? "rm -r %s" : "for f in %s/*.so; do echo none >$f; done",
                 folder);
        cr_assert_eq(system(command), 0);
    }
}
