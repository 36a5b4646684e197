/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: its spaces, copies in the background, and what only steers caches and order. PTX by way of the driver. */
#include "driver.h"
#include "ptx/tests/kernel.h"

#include <criterion/criterion.h>

Test(memory, what_steers_caches_and_order_changes_no_result)
{
    fill(0);
    run_words("",
              "createpolicy.fractional.L2::evict_first.b64 %rd4, 0f3f800000; griddepcontrol.wait;\n"
              "prefetch.global.L1 [%rd2]; prefetch.global.L2::evict_last [%rd2]; prefetchu.L1 [%rd2];\n"
              "applypriority.global.L2::evict_normal [%rd2], 128; pmevent 3; discard.global.L2 [%rd3], 128; "
              "setmaxnreg.inc.sync.aligned.u32 64;\n"
              "ld.global.nc.L1::no_allocate.L2::128B.u32 %r3, [%rd2]; ldu.global.u32 %r4, [%rd2];\n"
              "ld.global.L2::cache_hint.u32 %r5, [%rd2], %rd4; ld.volatile.global.u32 %r6, [%rd2];\n"
              "ld.acquire.gpu.global.u32 %r7, [%rd2]; ld.relaxed.sys.u32 %r8, [%rd2]; ld.global.cv.u32 %r9, "
              "[%rd2];\n"
              "add.u32 %r3, %r3, %r4; add.u32 %r3, %r3, %r5; add.u32 %r3, %r3, %r6; add.u32 %r3, %r3, %r7;\n"
              "add.u32 %r3, %r3, %r8; add.u32 %r3, %r3, %r9; membar.gl; membar.cta; membar.sys;\n"
              "fence.acq_rel.gpu; fence.sc.cta; fence.proxy.alias; st.release.gpu.global.u32 [%rd3], %r3;\n"
              "st.global.wt.u32 [%rd3], %r3; st.volatile.u32 [%rd3], %r3; griddepcontrol.launch_dependents;",
              4, 64);
    for (unsigned i = 0; i < 256; i++)
        cr_assert_eq(out[i], 7 * in[i]);
}

/* Two of its four words where only 8 bytes are said to be there; nothing where it is to be left out. */
Test(memory, copies_in_the_background_have_come_when_they_are_waited_for)
{
    fill(0);
    run_words(
        ".shared .align 16 .b8 there[1024];\n",
        "mov.u32 %r3, there; mad.lo.u32 %r4, %r0, 16, %r3; mad.wide.u32 %rd4, %r0, 16, %rd0;\n"
        "and.b32 %r5, %r0, 3; mov.u32 %r6, 16; setp.eq.u32 %p0, %r5, 1; @%p0 mov.u32 %r6, 8;\n"
        "setp.eq.u32 %p1, %r5, 2; @%p1 mov.u32 %r6, 0;\n"
        "cp.async.cg.shared.global.L2::128B [%r4], [%rd4], 16, %r6; cp.async.commit_group;\n"
        "setp.ne.u32 %p2, %r5, 3; @%p2 bra others;\n"
        "cp.async.ca.shared::cta.global [%r4+4], [%rd4], 4; cp.async.ca.shared.global [%r4+8], [%rd4], 8;\n"
        "others: cp.async.wait_group 0; cp.async.wait_all; bar.sync 0;\n"
        "ld.shared.v4.u32 {%r10, %r11, %r12, %r13}, [%r4]; mad.wide.u32 %rd5, %r0, 16, %rd1;\n"
        "st.global.v4.u32 [%rd5], {%r10, %r11, %r12, %r13};",
        1, 64);
    for (unsigned i = 0; i < 256; i++) {
        unsigned kind = i / 4 % 4, word = i % 4, first = i - word;
        uint32_t expected = kind == 2 || (kind == 1 && word > 1) ? 0 : in[i];

        if (kind == 3)
            expected = word == 0 || word == 1 || word == 2 ? in[first] : in[first + 1];
        cr_assert_eq(out[i], expected, "%u: %#x", i, out[i]);
    }
}

Test(memory, an_address_is_known_by_its_space)
{
    run_words(
        ".shared .align 8 .b8 near[64]; .global .align 8 .b8 far[64];\n",
        ".local .align 8 .b8 own[64];\n"
        "mov.u64 %rd4, near; cvta.shared.u64 %rd4, %rd4; mov.u64 %rd5, far; cvta.global.u64 %rd5, %rd5;\n"
        "mov.u64 %rd6, own; cvta.local.u64 %rd6, %rd6; mov.u32 %r3, 0;\n"
        "isspacep.shared %p0, %rd4; @%p0 or.b32 %r3, %r3, 1; isspacep.shared %p0, %rd5; @%p0 or.b32 %r3, "
        "%r3, 2;\n"
        "isspacep.shared %p0, %rd6; @%p0 or.b32 %r3, %r3, 4; isspacep.global %p0, %rd4; @%p0 or.b32 %r3, "
        "%r3, 8;\n"
        "isspacep.global %p0, %rd5; @%p0 or.b32 %r3, %r3, 16; isspacep.global %p0, %rd6; @%p0 or.b32 %r3, "
        "%r3, 32;\n"
        "isspacep.local %p0, %rd4; @%p0 or.b32 %r3, %r3, 64; isspacep.local %p0, %rd5; @%p0 or.b32 %r3, %r3, "
        "128;\n"
        "isspacep.local %p0, %rd6; @%p0 or.b32 %r3, %r3, 256; isspacep.global %p0, %rd0; @%p0 or.b32 %r3, "
        "%r3, 512;\n"
        "cvta.to.shared.u64 %rd7, %rd4; st.shared.u32 [%rd7], %r3; bar.sync 0; ld.u32 %r4, [%rd4];\n"
        "st.u32 [%rd6+4], %r4; ld.local.u32 %r5, [own+4]; st.u32 [%rd5+8], %r5; ld.global.u32 %r6, [far+8];\n"
        "st.global.u32 [%rd3], %r6;",
        1, 1);
    cr_assert_eq(out[0], 1 + 16 + 256 + 512);
}

/* Counted in the type of the variable: four words on. */
Test(memory, an_element_of_an_array_has_an_address)
{
    fill(0);
    run_words(".shared .align 16 .u32 near[64]; .global .u16 far[8]; .shared .align 4 .b8 bytes[64];\n",
              "mov.u64 %rd4, near[4]; st.shared.u32 [%rd4], 5; ld.shared.u32 %r3, [near+16];\n"
              "mov.u64 %rd5, far[3]; mov.u64 %rd6, far+6; sub.u64 %rd5, %rd5, %rd6; cvt.u32.u64 %r4, %rd5;\n"
              "mov.u32 %r5, bytes[2*3]; mov.u32 %r6, bytes; sub.u32 %r5, %r5, %r6; mul.lo.u32 %r5, %r5, 10;\n"
              "add.u32 %r3, %r3, %r4; add.u32 %r3, %r3, %r5; st.global.u32 [%rd3], %r3;",
              1, 1);
    cr_assert_eq(out[0], 5 + 6 * 10);
}

/* A source that is not to be looked at need not be there. */
Test(memory, a_copy_whose_source_is_left_away_fills_with_zeros)
{
    fill(0);
    run_words(
        ".shared .align 16 .b8 there[1024];\n",
        "mov.u32 %r3, there; mad.lo.u32 %r4, %r0, 4, %r3; and.b32 %r5, %r0, 1; setp.eq.u32 %p0, %r5, 0;\n"
        "mad.wide.u32 %rd4, %r0, 4, %rd0; @%p0 mov.u64 %rd4, 0; st.shared.u32 [%r4], 77;\n"
        "cp.async.ca.shared.global [%r4], [%rd4], 4, %p0; cp.async.wait_all; ld.shared.u32 %r6, [%r4];\n"
        "st.global.u32 [%rd3], %r6;",
        1, 64);
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(out[i], i % 2 ? in[i] : 0, "%u: %#x", i, out[i]);
}

/* Each call has its own, a loop gives back what it took, and places are aligned. */
Test(memory, a_function_takes_memory_from_its_stack)
{
    run_words(
        ".func (.reg .b32 sum) down(.reg .b32 n)\n{ .reg .pred p; .reg .b32 a<8>; .reg .b64 b<8>;\n"
        "mul.wide.u32 b0, n, 4; add.u64 b0, b0, 4; alloca.u64 b1, b0; cvta.local.u64 b2, b1; st.u32 [b2], "
        "n;\n"
        "mov.u32 sum, 0; setp.eq.u32 p, n, 0; @p ret; sub.u32 a0, n, 1; call (a1), down, (a0);\n"
        "ld.local.u32 a2, [b1]; add.u32 sum, a1, a2; ret; }\n",
        "mov.u32 %r4, 0; mov.u32 %r5, 0;\n"
        "again: stacksave.u64 %rd4; alloca.u64 %rd5, 1; alloca.u64 %rd6, 4096, 64; and.b64 %rd7, %rd6, 63;\n"
        "cvt.u32.u64 %r6, %rd7; add.u32 %r5, %r5, %r6; st.local.u32 [%rd6+4092], %r4; st.local.u8 [%rd5], "
        "1;\n"
        "ld.local.u32 %r6, [%rd6+4092]; add.u32 %r5, %r5, %r6; stackrestore.u64 %rd4;\n"
        "add.u32 %r4, %r4, 1; setp.lt.u32 %p0, %r4, 100; @%p0 bra again;\n"
        "call (%r7), down, (%r0); mad.lo.u32 %r7, %r7, 10000, %r5; st.global.u32 [%rd3], %r7;",
        2, 40);
    for (unsigned i = 0; i < 80; i++)
        cr_assert_eq(out[i], i % 40 * (i % 40 + 1) / 2 * 10000 + 4950, "%u: %u", i, out[i]);
}

Test(memory, a_stack_that_has_no_more_ends_the_kernel)
{
    CUdeviceptr params[4] = {0};

    start();
    cr_assert_eq(kernel_of("", "alloca.u64 %rd4, 0x100000; st.local.u8 [%rd4], 1;", 1, 1, params),
                 CUDA_ERROR_LAUNCH_FAILED);
}
