/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that end badly: PTX by way of the driver. */
#include "driver.h"
#include "ptx/tests/conform.h"
#include "ptx/tests/kernel.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

/* The kernel ends with that error, which stays. */
static void ends_with(CUresult expected, const char *before, const char *body, unsigned blocks,
                      unsigned threads)
{
    CUdeviceptr params[4] = {0}, more;

    start();
    params[0] = device_bytes(NULL, 4096);
    params[1] = device_bytes(NULL, 4096);
    cr_assert_eq(kernel_of(before, body, blocks, threads, params), expected);
    cr_assert_eq(cuCtxSynchronize(), expected);
    cr_assert_eq(cuMemAlloc(&more, 512), expected);
}

Test(endings, a_trap_is_a_launch_that_failed)
{
    ends_with(CUDA_ERROR_LAUNCH_FAILED, "", "setp.eq.u32 %p0, %r2, 77; @%p0 trap;", 2, 64);
}

Test(endings, a_trap_among_threads_that_wait_ends_them_all)
{
    ends_with(CUDA_ERROR_LAUNCH_FAILED, "", "setp.eq.u32 %p0, %r2, 77; @%p0 trap; bar.sync 0;", 2, 64);
}

Test(endings, threads_that_wait_for_each_other_are_a_launch_that_failed)
{
    ends_with(CUDA_ERROR_LAUNCH_FAILED, "",
              "setp.eq.u32 %p0, %r0, 7; @%p0 bra other; bar.sync 0; ret;\nother: bar.sync 1;", 1, 64);
}

Test(endings, an_address_that_is_none_is_an_illegal_one)
{
    ends_with(CUDA_ERROR_ILLEGAL_ADDRESS, "", "mov.u64 %rd4, 0; st.global.u32 [%rd4], %r0;", 1, 1);
}

Test(endings, a_fiber_faults_like_any_thread)
{
    ends_with(CUDA_ERROR_ILLEGAL_ADDRESS, "",
              "bar.sync 0; mov.u64 %rd4, 0x123456789abc; setp.eq.u32 %p0, %r0, 50; @%p0 st.global.u32 "
              "[%rd4], %r0; bar.sync 0;",
              1, 64);
}

Test(endings, shared_memory_ends_where_the_block_s_does)
{
    ends_with(CUDA_ERROR_ILLEGAL_ADDRESS, ".shared .align 4 .b8 little[64];\n",
              "mov.u32 %r3, little; add.u32 %r3, %r3, 8192; st.shared.u32 [%r3], %r0;", 1, 32);
}

Test(endings, an_address_that_is_not_a_multiple_of_the_size_is_misaligned)
{
    ends_with(CUDA_ERROR_MISALIGNED_ADDRESS, "", "st.global.u32 [%rd0+2], %r0;", 1, 1);
}

Test(endings, a_function_that_calls_itself_for_good_ends_with_its_stack)
{
    ends_with(
        CUDA_ERROR_ILLEGAL_ADDRESS,
        ".func (.param .b32 r) deep(.param .b64 p) { .reg .b32 %x<4>; .reg .b64 %y<4>; .local .align 8 .b8 "
        "room[1024];\n"
        "ld.param.u64 %y0, [p]; mov.u64 %y1, room; st.local.u64 [%y1], %y0; { .param .b32 q; .param .b64 s;\n"
        "st.param.b64 [s], %y1; call.uni (q), deep, (s); ld.param.b32 %x0, [q]; } ld.local.u32 %x1, [%y1];\n"
        "add.u32 %x0, %x0, %x1; st.param.b32 [r], %x0; ret; }\n",
        "bar.sync 0; { .param .b32 q; .param .b64 s; st.param.b64 [s], %rd0; call.uni (q), deep, (s); "
        "ld.param.b32 %r3, [q]; }\n"
        "st.global.u32 [%rd2], %r3;",
        1, 32);
}

/* What NVIDIA's compilers make of assert(0). */
Test(endings, an_assertion_that_fails_is_told_where)
{
    char text[512] = "";
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);

    dup2(fileno(file), STDERR_FILENO);
    ends_with(CUDA_ERROR_ASSERT,
              ".extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 u, .param "
              ".b64 s);\n"
              ".global .align 1 .b8 message[4] = {120, 62, 51, 0};\n.global .align 1 .b8 name[4] = {97, 46, "
              "99, 0};\n",
              "setp.ne.u32 %p0, %r2, 70; @%p0 ret; cvta.global.u64 %rd4, message; mov.u64 %rd5, name; "
              "cvta.global.u64 %rd5, %rd5;\n"
              "{ .param .b64 m, f, u, s; .param .b32 l; st.param.b64 [m], %rd4; st.param.b64 [f], %rd5; "
              "st.param.b32 [l], 12;\n"
              "st.param.b64 [u], %rd5; st.param.b64 [s], 1; call.uni __assertfail, (m, f, l, u, s); }",
              2, 64);
    dup2(before, STDERR_FILENO);
    rewind(file);
    cr_assert_gt(fread(text, 1, sizeof text - 1, file), 0);
    cr_assert(strstr(text, "a.c:12: a.c: block: [1,0,0], thread: [6,0,0] Assertion `x>3` failed.\n"), "%s",
              text);
    fclose(file);
}
