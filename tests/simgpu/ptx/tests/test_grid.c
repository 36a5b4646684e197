/* SPDX-License-Identifier: Apache-2.0 */
/* Cooperative launches: all blocks have begun, and wait for each other. PTX by way of the driver. */
#include "driver.h"
#include "ptx/tests/conform.h"
#include "ptx/tests/kernel.h"

#include <criterion/criterion.h>

/* As a grid waits that was launched for it: the workspace of %envreg1 and 2 has a word at 4, whose top bit turns over when
 * all blocks have come. */
#define GRID_WAIT(LABEL)                                                                                     \
    "bar.sync 0; setp.ne.u32 %p7, %r0, 0; @%p7 bra " LABEL "_all; mov.u32 %r20, %envreg2; mov.u32 %r21, "    \
    "%envreg1;\n"                                                                                            \
    "mov.b64 %rd10, {%r20, %r21}; mov.u32 %r22, %nctaid.x; sub.u32 %r22, 0x80000001, %r22; setp.ne.u32 "     \
    "%p6, %r1, 0;\n"                                                                                         \
    "@%p6 mov.u32 %r22, 1; fence.acq_rel.gpu; atom.add.u32 %r23, [%rd10+4], %r22;\n" LABEL                   \
    "_again: ld.volatile.u32 %r24, [%rd10+4]; xor.b32 %r24, %r24, %r23; setp.ge.s32 %p5, %r24, 0; @%p5 "     \
    "bra " LABEL "_again;\n"                                                                                 \
    "fence.acq_rel.gpu;\n" LABEL "_all: bar.sync 0;\n"

Test(grid, what_all_blocks_wrote_is_read_behind_the_wait)
{
    CUdeviceptr params[4] = {0};

    start();
    must(cuMemAlloc(&params[0], sizeof in));
    must(cuMemAlloc(&params[1], sizeof out));
    cr_assert_eq(
        kernel_together(
            "",
            "add.u32 %r3, %r2, 1; st.global.u32 [%rd2], %r3;\n" GRID_WAIT("one")
            /* The block behind this one, round and round. */
            "mov.u32 %r5, %ntid.x; mov.u32 %r6, %nctaid.x; mul.lo.u32 %r6, %r6, %r5; add.u32 "
            "%r7, %r2, %r5; rem.u32 %r7, %r7, %r6;\n"
            "mad.wide.u32 %rd4, %r7, 4, %rd0; ld.global.u32 %r8, [%rd4];\n" GRID_WAIT(
                "two") "st.global.u32 [%rd2], %r8;\n" GRID_WAIT("three") "ld.global.u32 %r9, [%rd4]; "
                                                                         "st.global.u32 [%rd3], %r9;",
            16, 64, params),
        CUDA_SUCCESS);
    must(cuMemcpyDtoH(out, params[1], sizeof out));
    for (unsigned i = 0; i < 1024; i++)
        cr_assert_eq(out[i], (i + 128) % 1024 + 1, "%u: %u", i, out[i]);
}

/* More than there can be mappings: each reads what the block behind it wrote. */
Test(grid, eighty_thousand_threads_wait_for_each_other)
{
    enum {
        BLOCKS = 80,
        THREADS = 1024
    };
    static uint32_t found[BLOCKS];
    CUdeviceptr params[4] = {0};

    start();
    must(cuMemAlloc(&params[0], BLOCKS * THREADS * 4));
    params[1] = device_bytes(NULL, BLOCKS * THREADS * 4);
    must(cuMemAlloc(&params[2], sizeof found));
    cr_assert_eq(kernel_together(
                     "",
                     "st.global.u32 [%rd2], %r2;\n" GRID_WAIT(
                         "one") "add.u32 %r5, %r1, 1; rem.u32 %r5, %r5, %nctaid.x; mad.lo.u32 %r5, %r5, "
                                "1024, %r0;\n"
                                "mad.wide.u32 %rd4, %r5, 4, %rd0; ld.global.u32 %r6, [%rd4]; add.u32 %r6, "
                                "%r6, 1; st.global.u32 [%rd3], %r6;\n" GRID_WAIT("two")
                     /* The first thread of each block says how many of its threads found what they should. */
                     "setp.ne.u32 %p0, %r0, 0; @%p0 ret; mov.u32 %r7, 0; mov.u32 %r8, 0;\n"
                     "more: add.u32 %r9, %r2, %r8; mad.wide.u32 %rd4, %r9, 4, %rd1; ld.global.u32 %r10, "
                     "[%rd4];\n"
                     "add.u32 %r11, %r5, %r8; add.u32 %r11, %r11, 1; setp.eq.u32 %p1, %r10, %r11; @%p1 "
                     "add.u32 %r7, %r7, 1;\n"
                     "add.u32 %r8, %r8, 1; setp.lt.u32 %p2, %r8, 1024; @%p2 bra more;\n"
                     "ld.param.u64 %rd5, [c]; mad.wide.u32 %rd5, %r1, 4, %rd5; st.global.u32 [%rd5], %r7;",
                     BLOCKS, THREADS, params),
                 CUDA_SUCCESS);
    must(cuMemcpyDtoH(found, params[2], sizeof found));
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert_eq(found[i], THREADS, "%u: %u", i, found[i]);
}

Test(grid, each_block_has_its_own_shared_memory)
{
    CUdeviceptr params[4] = {0};

    start();
    must(cuMemAlloc(&params[0], sizeof in));
    must(cuMemAlloc(&params[1], sizeof out));
    cr_assert_eq(kernel_together(
                     ".shared .align 4 .b8 own[256];\n",
                     "mov.u32 %r3, own; mad.lo.u32 %r3, %r0, 4, %r3; st.shared.u32 [%r3], %r2;\n" GRID_WAIT(
                         "one") "xor.b32 %r4, %r0, 63; mov.u32 %r3, own; mad.lo.u32 %r3, %r4, 4, %r3;\n"
                                "ld.shared.u32 %r5, [%r3]; st.global.u32 [%rd3], %r5;",
                     8, 64, params),
                 CUDA_SUCCESS);
    must(cuMemcpyDtoH(out, params[1], sizeof out));
    for (unsigned i = 0; i < 512; i++)
        cr_assert_eq(out[i], i / 64 * 64 + (i % 64 ^ 63), "%u: %u", i, out[i]);
}

/* Barriers of a block are not the next block's; one thread waits at a barrier that nobody else comes to. */
Test(grid, blocks_that_wait_for_good_are_a_launch_that_failed)
{
    CUdeviceptr params[4] = {0};

    start();
    cr_assert_eq(
        kernel_together(
            "", "setp.ne.u32 %p0, %r1, 2; @%p0 ret; setp.eq.u32 %p0, %r0, 5; @%p0 bar.sync 1; bar.sync 2;", 4,
            32, params),
        CUDA_ERROR_LAUNCH_FAILED);
}

Test(grid, an_address_that_is_none_ends_all_blocks)
{
    CUdeviceptr params[4] = {0};

    start();
    cr_assert_eq(
        kernel_together("",
                        "bar.sync 0; setp.ne.u32 %p0, %r2, 70; mov.u64 %rd4, 0; @!%p0 st.global.u32 [%rd4], "
                        "%r0;\n" GRID_WAIT("one"),
                        4, 32, params),
        CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(grid, more_blocks_than_have_a_place_at_once_are_refused)
{
    CUdeviceptr params[4] = {0};

    start();
    cr_assert_eq(kernel_together("", "bar.sync 0;", 132 * 2 + 1, 1024, params),
                 CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
}

/* Without it there is no workspace, which is how a program finds out. */
Test(grid, a_launch_that_is_not_cooperative_has_no_workspace)
{
    run_words(
        "", "mov.u32 %r3, %envreg1; mov.u32 %r4, %envreg2; or.b32 %r3, %r3, %r4; st.global.u32 [%rd3], %r3;",
        2, 32);
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(out[i], 0);
}
