/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that work together: PTX by way of the driver. */
#include "driver.h"
#include "ptx/tests/conform.h"
#include "ptx/tests/kernel.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

Test(threads, a_block_is_summed_in_shared_memory)
{
    fill(0);
    run_words(".shared .align 4 .b8 sums[1024];\n",
              "ld.global.u32 %r3, [%rd2]; mov.u32 %r4, sums; mad.lo.u32 %r4, %r0, 4, %r4; st.shared.u32 "
              "[%r4], %r3;\n"
              "mov.u32 %r5, 128;\n"
              "half: bar.sync 0; setp.ge.u32 %p0, %r0, %r5; @%p0 bra next;\n"
              "mad.lo.u32 %r6, %r5, 4, %r4; ld.shared.u32 %r7, [%r6]; ld.shared.u32 %r8, [%r4];\n"
              "add.u32 %r8, %r8, %r7; st.shared.u32 [%r4], %r8;\n"
              "next: shr.u32 %r5, %r5, 1; setp.ne.u32 %p1, %r5, 0; @%p1 bra half;\n"
              "setp.ne.u32 %p2, %r0, 0; @%p2 ret;\n"
              "mad.wide.u32 %rd4, %r1, 4, %rd1; ld.shared.u32 %r9, [sums]; st.global.u32 [%rd4], %r9;",
              16, 256);
    for (unsigned block = 0; block < 16; block++) {
        uint32_t sum = 0;

        for (unsigned i = 0; i < 256; i++)
            sum += in[block * 256 + i];
        cr_assert_eq(out[block], sum);
    }
}

Test(threads, a_warp_adds_up_what_lies_before_each_lane)
{
    fill(1000);
    run_words("",
              "ld.global.u32 %r3, [%rd2]; mov.u32 %r4, 1; mov.u32 %r9, %laneid;\n"
              "step: shfl.sync.up.b32 %r5|%p0, %r3, %r4, 0, -1; @%p0 add.u32 %r3, %r3, %r5;\n"
              "shl.b32 %r4, %r4, 1; setp.lt.u32 %p1, %r4, 32; @%p1 bra step;\n"
              "st.global.u32 [%rd3], %r3;",
              16, 256);
    for (unsigned i = 0; i < WORDS; i++) {
        uint32_t sum = 0;

        for (unsigned j = i / 32 * 32; j <= i; j++)
            sum += in[j];
        cr_assert_eq(out[i], sum);
    }
}

Test(threads, lanes_vote_match_and_reduce)
{
    fill(3);
    run_words("",
              "ld.global.u32 %r3, [%rd2]; setp.eq.u32 %p0, %r3, 1;\n"
              "vote.sync.ballot.b32 %r4, %p0, 0xffffffff;\n"
              "match.any.sync.b32 %r5, %r3, 0xffffffff; xor.b32 %r4, %r4, %r5;\n"
              "redux.sync.add.u32 %r6, %r3, 0xffffffff; add.u32 %r4, %r4, %r6;\n"
              "vote.sync.any.pred %p1, %p0, 0xffffffff; selp.u32 %r7, 1000, 0, %p1; add.u32 %r4, %r4, %r7;\n"
              "match.all.sync.b32 %r8|%p2, %r1, 0xffffffff; selp.u32 %r7, 7, 0, %p2; add.u32 %r4, %r4, %r7;\n"
              "shfl.sync.bfly.b32 %r9, %r3, 5, 31, 0xffffffff; add.u32 %r4, %r4, %r9;\n"
              "st.global.u32 [%rd3], %r4;",
              4, 64);
    for (unsigned i = 0; i < 256; i++) {
        uint32_t ballot = 0, same = 0, sum = 0, first = i / 32 * 32;

        for (unsigned j = 0; j < 32; j++) {
            ballot |= (uint32_t)(in[first + j] == 1) << j;
            same |= (uint32_t)(in[first + j] == in[i]) << j;
            sum += in[first + j];
        }
        cr_assert_eq(out[i], (ballot ^ same) + sum + (ballot ? 1000 : 0) + 7 + in[first + (i % 32 ^ 5)]);
    }
}

Test(threads, barriers_have_numbers_and_counts_and_count_predicates)
{
    fill(0);
    run_words(".shared .align 4 .b8 box[512];\n",
              "and.b32 %r3, %r2, 1; setp.eq.u32 %p0, %r3, 1; bar.red.popc.u32 %r4, 5, %p0;\n"
              "setp.ne.u32 %p1, %r0, 9; bar.red.and.pred %p2, 0, %p1; selp.u32 %r5, 1000, 0, %p2; add.u32 "
              "%r4, %r4, %r5;\n"
              "bar.red.or.pred %p3, 1, !%p1; selp.u32 %r5, 2000, 0, %p3; add.u32 %r4, %r4, %r5;\n"
              "mov.u32 %r6, box; setp.lt.u32 %p4, %r0, 64; @%p4 bra bring;\n"
              "barrier.sync 2, 128; sub.u32 %r7, %r0, 64; mad.lo.u32 %r6, %r7, 4, %r6; ld.shared.u32 %r8, "
              "[%r6]; bra done;\n"
              "bring: mad.lo.u32 %r6, %r0, 4, %r6; mul.lo.u32 %r8, %r0, 3; st.shared.u32 [%r6], %r8; "
              "barrier.arrive 2, 128; mov.u32 %r8, 0;\n"
              "done: add.u32 %r4, %r4, %r8; st.global.u32 [%rd3], %r4;",
              1, 128);
    for (unsigned i = 0; i < 128; i++)
        cr_assert_eq(out[i], 64 + 2000 + (i >= 64 ? (i - 64) * 3 : 0), "%u: %u", i, out[i]);
}

/* Tiles of 16 by 16 in shared memory; 64 by 64 numbers. */
static const char multiply[] = "mov.u32 %r3, %tid.x; and.b32 %r4, %r3, 15; shr.u32 %r5, %r3, 4; and.b32 %r6, "
                               "%r1, 3; shr.u32 %r7, %r1, 2;\n"
                               "shl.b32 %r8, %r7, 4; add.u32 %r8, %r8, %r5; shl.b32 %r9, %r6, 4; add.u32 "
                               "%r9, %r9, %r4;\n" /* row, column */
                               "mov.f32 %f0, 0f00000000; mov.u32 %r10, 0; mov.u32 %r20, left; mov.u32 %r21, "
                               "right; shl.b32 %r22, %r3, 2;\n"
                               "tile: shl.b32 %r11, %r8, 6; add.u32 %r11, %r11, %r10; add.u32 %r11, %r11, "
                               "%r4; mad.wide.u32 %rd4, %r11, 4, %rd0;\n"
                               "ld.global.f32 %f1, [%rd4]; add.u32 %r12, %r20, %r22; st.shared.f32 [%r12], "
                               "%f1;\n"
                               "add.u32 %r13, %r10, %r5; shl.b32 %r13, %r13, 6; add.u32 %r13, %r13, %r9; "
                               "mad.wide.u32 %rd5, %r13, 4, %rd0;\n"
                               "ld.global.f32 %f2, [%rd5]; add.u32 %r14, %r21, %r22; st.shared.f32 [%r14], "
                               "%f2; bar.sync 0;\n"
                               "mov.u32 %r15, 0;\n"
                               "inner: shl.b32 %r16, %r5, 4; add.u32 %r16, %r16, %r15; mad.lo.u32 %r16, "
                               "%r16, 4, %r20; ld.shared.f32 %f3, [%r16];\n"
                               "shl.b32 %r17, %r15, 4; add.u32 %r17, %r17, %r4; mad.lo.u32 %r17, %r17, 4, "
                               "%r21; ld.shared.f32 %f4, [%r17];\n"
                               "fma.rn.f32 %f0, %f3, %f4, %f0; add.u32 %r15, %r15, 1; setp.lt.u32 %p0, %r15, "
                               "16; @%p0 bra inner;\n"
                               "bar.sync 0; add.u32 %r10, %r10, 16; setp.lt.u32 %p1, %r10, 64; @%p1 bra "
                               "tile;\n"
                               "shl.b32 %r18, %r8, 6; add.u32 %r18, %r18, %r9; mad.wide.u32 %rd6, %r18, 4, "
                               "%rd1; st.global.f32 [%rd6], %f0;";

Test(threads, matrices_are_multiplied_in_tiles)
{
    static float numbers[64][64], product[64][64];

    for (unsigned i = 0; i < 64 * 64; i++)
        numbers[i / 64][i % 64] = (float)(i * 37 % 19) - 9;
    memcpy(in, numbers, sizeof numbers);
    run_words(".shared .align 4 .b8 left[1024];\n.shared .align 4 .b8 right[1024];\n", multiply, 16, 256);
    memcpy(product, out, sizeof product);
    for (unsigned i = 0; i < 64; i++)
        for (unsigned j = 0; j < 64; j++) {
            float sum = 0;

            for (unsigned k = 0; k < 64; k++)
                sum += numbers[i][k] * numbers[k][j];
            cr_assert_eq(product[i][j], sum);
        }
}

Test(threads, a_matrix_is_transposed_by_way_of_shared_memory)
{
    fill(0);
    run_words(
        ".shared .align 4 .b8 tile[4224];\n",
        "shr.u32 %r3, %r0, 5; and.b32 %r4, %r0, 31; and.b32 %r5, %r1, 1; shr.u32 %r6, %r1, 1;\n"
        "shl.b32 %r7, %r6, 5; add.u32 %r7, %r7, %r3; shl.b32 %r8, %r5, 5; add.u32 %r8, %r8, %r4;\n"
        "shl.b32 %r9, %r7, 6; add.u32 %r9, %r9, %r8; mad.wide.u32 %rd4, %r9, 4, %rd0; ld.global.u32 %r10, "
        "[%rd4];\n"
        "mad.lo.u32 %r11, %r3, 33, %r4; mov.u32 %r12, tile; mad.lo.u32 %r11, %r11, 4, %r12; st.shared.u32 "
        "[%r11], %r10;\n"
        "bar.sync 0; mad.lo.u32 %r13, %r4, 33, %r3; mad.lo.u32 %r13, %r13, 4, %r12; ld.shared.u32 %r14, "
        "[%r13];\n"
        "shl.b32 %r15, %r5, 5; add.u32 %r15, %r15, %r3; shl.b32 %r16, %r6, 5; add.u32 %r16, %r16, %r4;\n"
        "shl.b32 %r15, %r15, 6; add.u32 %r15, %r15, %r16; mad.wide.u32 %rd5, %r15, 4, %rd1; st.global.u32 "
        "[%rd5], %r14;",
        4, 1024);
    for (unsigned i = 0; i < 64; i++)
        for (unsigned j = 0; j < 64; j++)
            cr_assert_eq(out[j * 64 + i], in[i * 64 + j]);
}

Test(threads, numbers_are_counted_by_their_value)
{
    uint32_t expected[16] = {0};

    fill(16);
    run_words(".shared .align 4 .b8 bins[64];\n",
              "mov.u32 %r3, bins; setp.ge.u32 %p0, %r0, 16; mad.lo.u32 %r4, %r0, 4, %r3; @!%p0 st.shared.u32 "
              "[%r4], 0; bar.sync 0;\n"
              "ld.global.u32 %r5, [%rd2]; mad.lo.u32 %r5, %r5, 4, %r3; atom.shared.add.u32 %r6, [%r5], 1; "
              "bar.sync 0;\n"
              "@%p0 ret; ld.shared.u32 %r7, [%r4]; mad.wide.u32 %rd4, %r0, 4, %rd1; red.global.add.u32 "
              "[%rd4], %r7;",
              16, 256);
    for (unsigned i = 0; i < WORDS; i++)
        expected[in[i]]++;
    for (unsigned i = 0; i < 16; i++)
        cr_assert_eq(out[i], expected[i]);
}

Test(threads, atomic_operations_miss_nobody)
{
    float sum;
    double wide;
    uint64_t word;

    fill(0);
    in[1] = 7;
    run_words("",
              "atom.global.add.u32 %r3, [%rd1], 1; atom.global.add.f32 %f0, [%rd1+4], 0f3f800000; "
              "cvt.s64.s32 %rd4, %r2;\n"
              "mov.f64 %fd0, 0d3fe0000000000000; red.global.add.f64 [%rd1+8], %fd0; red.global.add.u64 "
              "[%rd1+16], %rd4;\n"
              "red.global.max.u32 [%rd1+24], %r2; neg.s32 %r4, %r2; red.global.min.s32 [%rd1+28], %r4;\n"
              "atom.global.inc.u32 %r5, [%rd1+32], 6; atom.global.dec.u32 %r6, [%rd1+36], 6; "
              "red.global.xor.b32 [%rd1+40], %r2;\n"
              "mov.u32 %r7, 0x3c003c00; red.global.add.noftz.f16x2 [%rd1+44], %r7;\n"
              "and.b32 %r8, %r0, 31; shl.b32 %r8, 1, %r8; red.global.or.b32 [%rd1+48], %r8; not.b32 %r9, "
              "%r8; red.global.and.b32 [%rd1+52], %r9;\n"
              "again: ld.relaxed.gpu.global.u32 %r10, [%rd1+56]; add.u32 %r11, %r10, 2; atom.global.cas.b32 "
              "%r12, [%rd1+56], %r10, %r11;\n"
              "setp.ne.u32 %p0, %r12, %r10; @%p0 bra again;\n"
              "setp.ne.u32 %p1, %r2, 77; @!%p1 atom.global.exch.b32 %r13, [%rd1+60], %r2;\n"
              "wide: ld.relaxed.gpu.global.u64 %rd5, [%rd1+64]; add.u64 %rd6, %rd5, 3; atom.global.cas.b64 "
              "%rd7, [%rd1+64], %rd5, %rd6;\n"
              "setp.ne.u64 %p2, %rd7, %rd5; @%p2 bra wide;",
              8, 128);
    cr_assert_eq(out[0], 1024);
    memcpy(&sum, &out[1], sizeof sum);
    cr_assert_eq(sum, 1024);
    memcpy(&wide, &out[2], sizeof wide);
    cr_assert_eq(wide, 512);
    memcpy(&word, &out[4], sizeof word);
    cr_assert_eq(word, 1023 * 512);
    cr_assert_eq(out[6], 1023);
    cr_assert_eq((int32_t)out[7], -1023);
    cr_assert_eq(out[8], 1024 % 7);
    cr_assert_eq(out[9], (7 - 1024 % 7) % 7);
    cr_assert_eq(out[10], 0);
    cr_assert_eq(out[11], 0x64006400u, "1024 in both halves: %#x", out[11]);
    cr_assert_eq(out[12], 0xffffffff);
    cr_assert_eq(out[13], 0);
    cr_assert_eq(out[14], 2048);
    cr_assert_eq(out[15], 77);
    memcpy(&word, &out[16], sizeof word);
    cr_assert_eq(word, 3072);
}

/* A and B lie behind each other in shared memory, row by row: 16 by 16 halves, and 16 by 8. */
Test(threads, a_warp_loads_and_multiplies_matrices)
{
    static const uint16_t whole[] = {0x0000, 0x3c00, 0x4000, 0x4200, 0x4400}; /* 0 to 4 */
    uint16_t *halves = (uint16_t *)(void *)in;
    unsigned numbers[384];

    for (unsigned i = 0; i < 384; i++) {
        numbers[i] = (i * 7 + i / 16) % 5;
        halves[i] = whole[numbers[i]];
    }
    run_words(
        ".shared .align 16 .b8 both[768];\n",
        "mov.u32 %r3, both; mov.u32 %r4, %r0;\n"
        "copy: mad.wide.u32 %rd4, %r4, 4, %rd0; ld.global.u32 %r5, [%rd4]; mad.lo.u32 %r6, %r4, 4, %r3;\n"
        "st.shared.u32 [%r6], %r5; add.u32 %r4, %r4, 32; setp.lt.u32 %p0, %r4, 192; @%p0 bra copy;\n"
        "bar.warp.sync 0xffffffff; and.b32 %r7, %r0, 15; shr.u32 %r8, %r0, 4; shl.b32 %r9, %r7, 5;\n"
        "mad.lo.u32 %r9, %r8, 16, %r9; add.u32 %r9, %r9, %r3;\n"
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13}, [%r9];\n"
        "mad.lo.u32 %r14, %r7, 16, %r3;\n"
        "ldmatrix.sync.aligned.m8n8.x2.trans.shared::cta.b16 {%r15, %r16}, [%r14+512];\n"
        "mov.f32 %f0, 0f3f800000;\n"
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1, %f2, %f3, %f4}, {%r10, %r11, %r12, %r13},\n"
        "{%r15, %r16}, {%f0, %f0, %f0, %f0};\n"
        "shr.u32 %r17, %r0, 2; and.b32 %r18, %r0, 3; shl.b32 %r17, %r17, 5; mad.lo.u32 %r17, %r18, 8, %r17;\n"
        "cvt.u64.u32 %rd5, %r17; add.u64 %rd5, %rd5, %rd1; st.global.v2.f32 [%rd5], {%f1, %f2};\n"
        "st.global.v2.f32 [%rd5+256], {%f3, %f4};",
        1, 32);
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 8; j++) {
            float sum = 1, got;

            for (unsigned k = 0; k < 16; k++)
                sum += (float)(numbers[i * 16 + k] * numbers[256 + k * 8 + j]);
            memcpy(&got, &out[i * 8 + j], sizeof got);
            cr_assert_eq(got, sum, "%u, %u: %f, not %f", i, j, (double)got, (double)sum);
        }
}

Test(threads, one_lane_is_elected_and_a_matrix_transposed_in_registers)
{
    run_words("",
              "mov.u32 %r3, 4; setp.lt.u32 %p1, %r0, 4; setp.ne.u32 %p0, 0, 0; @%p1 bra others; elect.sync "
              "%r3|%p0, 0xfffffff0;\n"
              "others: @%p0 atom.global.add.u32 %r4, [%rd1+256], 1;\n"
              "shl.b32 %r5, %r0, 1; add.u32 %r6, %r5, 1; shl.b32 %r6, %r6, 16; or.b32 %r5, %r5, %r6;\n"
              "movmatrix.sync.aligned.m8n8.trans.b16 %r7, %r5; mad.lo.u32 %r7, %r3, 0x100, %r7; "
              "st.global.u32 [%rd3], %r7;",
              1, 32);
    cr_assert_eq(out[64], 1);
    for (unsigned lane = 0; lane < 32; lane++)
        cr_assert_eq(out[lane], (lane % 4 * 16 + lane / 4) + 0x400 + ((lane % 4 * 16 + 8 + lane / 4) << 16));
}

Test(threads, sixteen_bits_and_sixteen_bytes_are_exchanged_where_they_are_as_expected)
{
    uint64_t words[2];

    run_words("",
              ".reg .b128 %q<4>;\n"
              "again: ld.relaxed.gpu.global.b16 %h0, [%rd1+2]; add.u16 %h1, %h0, 1; atom.global.cas.b16 %h2, "
              "[%rd1+2], %h0, %h1;\n"
              "setp.ne.u16 %p0, %h2, %h0; @%p0 bra again;\n"
              "wide: ld.relaxed.gpu.global.u64 %rd4, [%rd1+16]; ld.relaxed.gpu.global.u64 %rd5, [%rd1+24];\n"
              "add.u64 %rd6, %rd4, 1; add.u64 %rd7, %rd5, 2; mov.b128 %q0, {%rd4, %rd5}; mov.b128 %q1, "
              "{%rd6, %rd7};\n"
              "atom.global.cas.b128 %q2, [%rd1+16], %q0, %q1; mov.b128 {%rd8, %rd9}, %q2;\n"
              "setp.ne.u64 %p1, %rd8, %rd4; @%p1 bra wide;",
              4, 64);
    cr_assert_eq(out[0], 256u << 16);
    memcpy(words, &out[4], sizeof words);
    cr_assert_eq(words[0], 256);
    cr_assert_eq(words[1], 512);
}

Test(threads, a_matrix_that_is_stored_is_the_one_that_was_loaded)
{
    fill(0);
    run_words(
        ".shared .align 16 .b8 from[512]; .shared .align 16 .b8 to[512];\n",
        "mov.u32 %r3, from; mov.u32 %r4, to; mad.lo.u32 %r5, %r0, 16, %r3; mad.lo.u32 %r6, %r0, 16, %r4;\n"
        "mad.wide.u32 %rd4, %r0, 16, %rd0; ld.global.v4.u32 {%r10, %r11, %r12, %r13}, [%rd4];\n"
        "st.shared.v4.u32 [%r5], {%r10, %r11, %r12, %r13}; bar.warp.sync -1;\n"
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r14, %r15, %r16, %r17}, [%r5];\n"
        "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%r6], {%r14, %r15, %r16, %r17}; bar.warp.sync -1;\n"
        "ld.shared.v4.u32 {%r10, %r11, %r12, %r13}, [%r6]; mad.wide.u32 %rd5, %r0, 16, %rd1;\n"
        "st.global.v4.u32 [%rd5], {%r10, %r11, %r12, %r13};",
        1, 32);
    for (unsigned matrix = 0; matrix < 4; matrix++)
        for (unsigned i = 0; i < 64; i++)
            cr_assert_eq(((uint16_t *)(void *)out)[matrix * 64 + i],
                         ((uint16_t *)(void *)in)[matrix * 64 + i % 8 * 8 + i / 8]);
}

Test(threads, a_branch_has_a_table_and_threads_end_where_they_like)
{
    run_words("",
              "and.b32 %r3, %r0, 3; way: .branchtargets A, B, C, D; brkpt; brx.idx %r3, way;\n"
              "A: mov.u32 %r4, 10; bra.uni done; B: mov.u32 %r4, 20; nanosleep.u32 20; bra done; C: exit;\n"
              "D: bar.warp.sync 0x88888888; mov.u32 %r4, 40; done: st.global.u32 [%rd3], %r4; ret;",
              2, 32);
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(out[i], i % 4 == 2 ? 0 : 10 * (i % 4 + 1));
}

/* A warp brings words, the others take them, over and over: two barriers, by state and by parity. */
Test(threads, a_barrier_of_shared_memory_has_phases)
{
    run_words(".shared .align 8 .b8 full[8]; .shared .align 8 .b8 empty[8]; .shared .align 4 .b8 box[128];\n",
              "setp.ne.u32 %p0, %r0, 0; @%p0 bra made; mbarrier.init.shared.b64 [full], 32; "
              "mbarrier.init.shared::cta.b64 [empty], 96;\n"
              "made: bar.sync 0; and.b32 %r3, %r0, 31; mov.u32 %r4, box; mad.lo.u32 %r4, %r3, 4, %r4; "
              "mov.u32 %r5, 0; "
              "mov.u32 %r9, 0; setp.ge.u32 %p1, %r0, 32; @%p1 bra take;\n"
              "bring: mad.lo.u32 %r6, %r5, 100, %r3; st.shared.u32 [%r4], %r6; mbarrier.arrive.shared.b64 "
              "%rd4, [full];\n"
              "and.b32 %r7, %r5, 1;\n"
              "wait: mbarrier.try_wait.parity.shared::cta.b64 %p2, [empty], %r7; @!%p2 bra wait;\n"
              "add.u32 %r5, %r5, 1; setp.lt.u32 %p3, %r5, 10; @%p3 bra bring; bra done;\n"
              "take: and.b32 %r7, %r5, 1;\n"
              "more: mbarrier.test_wait.parity.shared.b64 %p2, [full], %r7; @!%p2 bra more;\n"
              "ld.shared.u32 %r8, [%r4]; add.u32 %r9, %r9, %r8; mbarrier.arrive.shared.b64 _, [empty], 1;\n"
              "add.u32 %r5, %r5, 1; setp.lt.u32 %p3, %r5, 10; @%p3 bra take;\n"
              "done: st.global.u32 [%rd3], %r9;",
              2, 128);
    for (unsigned i = 0; i < 256; i++)
        cr_assert_eq(out[i], i % 128 < 32 ? 0 : 4500 + 10 * (i % 32), "%u: %u", i, out[i]);
}

/* Each thread tells what it sees: a count that is another one for each, a phase that is not over and one that is. */
Test(threads, who_drops_out_of_a_barrier_of_shared_memory_is_not_waited_for)
{
    uint64_t seen = 0;

    run_words(
        ".shared .align 8 .b8 all[8];\n",
        "setp.eq.u32 %p0, %r0, 0; @%p0 mbarrier.init.shared.b64 [all], 64; bar.sync 0; mov.u32 %r3, 0;\n"
        "setp.lt.u32 %p1, %r0, 16; @!%p1 bra stay; mbarrier.arrive_drop.shared.b64 %rd4, [all]; bra wait;\n"
        "stay: mbarrier.arrive.shared.b64 %rd4, [all];\n"
        "wait: mbarrier.test_wait.shared.b64 %p2, [all], %rd4; @!%p2 bra wait; bar.sync 0;\n"
        "mbarrier.pending_count.b64 %r4, %rd4; @%p1 bra done;\n"
        "setp.lt.u32 %p3, %r0, 32; @%p3 bra copies; mbarrier.arrive.shared.b64 %rd5, [all]; bra last;\n"
        "copies: cp.async.mbarrier.arrive.shared.b64 [all]; cp.async.mbarrier.arrive.noinc.shared.b64 [all]; "
        "mov.u64 "
        "%rd5, %rd4; xor.b64 %rd5, %rd5, 0x8000000000000000;\n"
        "last: mbarrier.test_wait.shared.b64 %p2, [all], %rd5; @!%p2 bra last; mov.u32 %r3, 100;\n"
        "done: add.u32 %r3, %r3, %r4; st.global.u32 [%rd3], %r3;",
        1, 64);
    for (unsigned i = 0; i < 64; i++)
        seen |= (uint64_t)1 << (out[i] - 1 - (i < 16 ? 0 : 100)) % 64;
    cr_assert_eq(seen, ~(uint64_t)0, "%#lx", seen);
}

/* A phase waits for bytes that are said to come, too. */
Test(threads, a_barrier_of_shared_memory_counts_bytes)
{
    run_words(
        ".shared .align 8 .b8 all[8];\n",
        "setp.eq.u32 %p0, %r0, 0; @%p0 mbarrier.init.shared.b64 [all], 1; bar.sync 0; mov.u32 %r3, 0;\n"
        "setp.eq.u32 %p1, %r0, 1; @%p0 mbarrier.expect_tx.relaxed.cta.shared.b64 [all], 16; @%p0 "
        "mbarrier.arrive.expect_tx.shared.b64 %rd4, [all], 80; bar.sync 0;\n"
        "mbarrier.test_wait.parity.shared.b64 %p2, [all], 0; @%p2 add.u32 %r3, %r3, 1; bar.sync 0;\n"
        "@%p0 mbarrier.complete_tx.relaxed.cta.shared.b64 [all], 64; @%p1 mbarrier.complete_tx.shared.b64 "
        "[all], 32; "
        "bar.sync 0;\n"
        "mbarrier.test_wait.parity.shared.b64 %p2, [all], 0; @%p2 add.u32 %r3, %r3, 2; bar.sync 0; @%p0 "
        "mbarrier.inval.shared.b64 [all]; st.global.u32 [%rd3], %r3;",
        1, 64);
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(out[i], 2);
}

/* What asks for the scope or the memory of a cluster gets that of its only block. */
Test(threads, a_cluster_is_its_block)
{
    run_words(
        ".shared .align 8 .b8 all[8]; .shared .align 4 .b8 box[256];\n",
        "setp.eq.u32 %p0, %r0, 0; @%p0 mbarrier.init.shared::cta.b64 [all], 65; "
        "fence.mbarrier_init.release.cluster; "
        "bar.sync 0;\n"
        "mapa.shared::cluster.u32 %r3, all, 0; mov.u32 %r4, box; mapa.shared::cluster.u32 %r5, %r4, 0; "
        "mad.lo.u32 %r5, "
        "%r0, 4, %r5;\n"
        "cvt.u64.u32 %rd4, %r5; cvta.shared::cluster.u64 %rd4, %rd4; mapa.u64 %rd5, %rd4, 0; getctarank.u64 "
        "%r6, "
        "%rd5;\n"
        "add.u32 %r7, %r0, %r6; st.u32 [%rd5], %r7; mbarrier.arrive.release.cluster.shared::cluster.b64 _, "
        "[%r3];\n"
        "@%p0 mbarrier.arrive.expect_tx.release.cluster.shared::cta.b64 _, [all], 8; @%p0 "
        "mbarrier.complete_tx.relaxed.cluster.shared::cluster.b64 [%r3], 8;\n"
        "wait: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p1, [all], 0; @!%p1 bra wait;\n"
        "xor.b32 %r8, %r0, 63; mov.u32 %r4, box; mad.lo.u32 %r8, %r8, 4, %r4; ld.shared::cluster.u32 %r9, "
        "[%r8];\n"
        "atom.shared::cluster.add.u32 %r10, [%r8], 5; isspacep.shared::cluster %p2, %rd5; selp.u32 %r11, "
        "100, 0, %p2;\n"
        "add.u32 %r9, %r9, %r11; st.global.u32 [%rd3], %r9;",
        2, 64);
    for (unsigned i = 0; i < 128; i++)
        cr_assert_eq(out[i], (i % 64 ^ 63) + 100, "%u: %u", i, out[i]);
}

Test(threads, what_is_printed_comes_when_the_host_waits_for_it)
{
    char text[512] = "";
    FILE *file = tmpfile();
    int before = dup(STDOUT_FILENO);

    fflush(stdout);
    dup2(fileno(file), STDOUT_FILENO);
    /* "%d %s %5.1f %llx%%\n" */
    run_words(".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
              ".global .align 1 .b8 format[20] = {37, 100, 32, 37, 115, 32, 37, 53, 46, 49, 102, 32, 37, "
              "108, 108, 120, 37, 37, 10, 0};\n"
              ".global .align 1 .b8 word[4] = {97, 98, 99, 0};\n",
              ".local .align 8 .b8 list[32]; mov.u64 %rd4, list; neg.s32 %r3, %r0; st.local.u32 [%rd4], %r3; "
              "cvta.global.u64 %rd5, word;\n"
              "st.local.u64 [%rd4+8], %rd5; mov.f64 %fd0, 0d4004000000000000; st.local.f64 [%rd4+16], %fd0; "
              "mov.u64 %rd6, 0xabcdef012345;\n"
              "st.local.u64 [%rd4+24], %rd6; cvta.local.u64 %rd4, %rd4; cvta.global.u64 %rd7, format;\n"
              "{ .param .b64 f, a; .param .b32 r; st.param.b64 [f], %rd7; st.param.b64 [a], %rd4; call.uni "
              "(r), vprintf, (f, a); ld.param.b32 %r4, [r]; }\n"
              "st.global.u32 [%rd3], %r4;",
              1, 2);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    rewind(file);
    cr_assert_gt(fread(text, 1, sizeof text - 1, file), 0);
    cr_assert_str_eq(text, "0 abc   2.5 abcdef012345%\n-1 abc   2.5 abcdef012345%\n");
    cr_assert_eq(out[0], 4);
    fclose(file);
}

/* As LLVM writes it: without a result, and declared so. */
Test(threads, a_result_that_is_not_asked_for_is_not_given)
{
    char text[512] = "";
    FILE *file = tmpfile();
    int before = dup(STDOUT_FILENO);

    fflush(stdout);
    dup2(fileno(file), STDOUT_FILENO);
    run_words(".extern .func vprintf (.param .b64 f, .param .b64 a);\n"
              ".extern .func malloc (.param .b64 n);\n"
              ".global .align 1 .b8 format[4] = {37, 100, 10, 0};\n",
              ".local .align 8 .b8 list[8]; mov.u64 %rd4, list; st.local.u32 [%rd4], %r0; "
              "cvta.local.u64 %rd4, %rd4; cvta.global.u64 %rd7, format;\n"
              "{ .param .b64 f, a; st.param.b64 [f], %rd7; st.param.b64 [a], %rd4; call.uni vprintf, (f, a); "
              "call.uni malloc, (f); }",
              1, 2);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    rewind(file);
    cr_assert_gt(fread(text, 1, sizeof text - 1, file), 0);
    cr_assert_str_eq(text, "0\n1\n");
    fclose(file);
}

/* A running sum over warps by whoever is active, as in the samples of NVIDIA and all that was made after them. */
Test(threads, lanes_that_are_active_together_pass_values_on)
{
    fill(1000);
    run_words(
        "",
        "mad.wide.u32 %rd4, %r2, 4, %rd0; ld.global.u32 %r3, [%rd4]; mov.u32 %r5, %laneid; mov.u32 %r6, 1;\n"
        "again: activemask.b32 %r7; shfl.sync.up.b32 %r8|%p0, %r3, %r6, 0, %r7; @%p0 add.u32 %r3, %r3, %r8;\n"
        "shl.b32 %r6, %r6, 1; setp.lt.u32 %p1, %r6, 32; @%p1 bra again; st.global.u32 [%rd3], %r3;",
        2, 80);
    for (unsigned i = 0, sum = 0; i < 160; i++) {
        sum = i % 80 % 32 ? sum + in[i] : in[i];
        cr_assert_eq(out[i], sum, "%u", i);
    }
}

Test(threads, memory_of_a_kernel_s_own_is_the_device_s)
{
    size_t before, after, total;

    start();
    must(cuMemGetInfo(&before, &total));
    run_words(
        ".extern .func (.param .b64 r) malloc(.param .b64 n);\n.extern .func free(.param .b64 p);\n",
        "{ .param .b64 n, r; st.param.b64 [n], 100; call.uni (r), malloc, (n); ld.param.b64 %rd4, [r]; }\n"
        "st.u32 [%rd4], %r0; st.u32 [%rd4+96], %r0; bar.sync 0; ld.u32 %r3, [%rd4]; ld.u32 %r4, [%rd4+96]; "
        "add.u32 %r3, %r3, %r4;\n"
        "st.global.u32 [%rd3], %r3; { .param .b64 p; st.param.b64 [p], %rd4; call.uni free, (p); }\n"
        "{ .param .b64 n, r; st.param.b64 [n], 0x10000000; call.uni (r), malloc, (n); ld.param.b64 %rd5, "
        "[r]; }\n"
        "setp.ne.u64 %p0, %rd5, 0; @%p0 trap;",
        1, 64);
    must(cuMemGetInfo(&after, &total));
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(out[i], 2 * i);
    cr_assert_geq(before - after, 8u << 20);
}

Test(threads, a_kernel_s_own_registers_tell_where_it_is)
{
    run_words(
        "",
        "mov.u32 %r3, %laneid; mov.u32 %r4, %warpid; mad.lo.u32 %r3, %r4, 100, %r3; mov.u32 %r5, %nctaid.x; "
        "mad.lo.u32 %r3, %r5, 10000, %r3;\n"
        "mov.u32 %r6, %lanemask_lt; popc.b32 %r6, %r6; mad.lo.u32 %r3, %r6, 1000000, %r3; activemask.b32 "
        "%r7;\n"
        "setp.ne.u32 %p0, %r7, 0xffffffff; @%p0 mov.u32 %r3, 0; st.global.u32 [%rd3], %r3;",
        3, 96);
    for (unsigned i = 0; i < 288; i++)
        cr_assert_eq(out[i], i % 32 + i % 96 / 32 * 100 + 30000 + i % 32 * 1000000, "%u: %u", i, out[i]);
}

/* What nothing is known of is nothing. */
Test(threads, registers_of_what_is_not_there_are_zero)
{
    run_words(
        "",
        "mov.u32 %r3, %pm0; mov.u64 %rd4, %pm7_64; mov.u64 %rd5, %current_graph_exec; or.b64 %rd4, %rd4, "
        "%rd5;\n"
        "mov.b32 %r4, %reserved_smem_offset_begin; mov.b32 %r5, %reserved_smem_offset_end; or.b32 %r3, %r3, "
        "%r4;\n"
        "mov.pred %p0, %is_explicit_cluster; cvt.u32.u64 %r6, %rd4; or.b32 %r3, %r3, %r6; or.b32 %r3, %r3, "
        "%r5;\n"
        "@!%p0 add.u32 %r3, %r3, 5; fence.acquire.sync_restrict::shared::cluster.cluster;\n"
        "fence.proxy.async::generic.acquire.sync_restrict::shared::cluster.cluster; st.global.u32 [%rd3], "
        "%r3;",
        1, 1);
    cr_assert_eq(out[0], 5);
}

/* Each of the four sums goes up by the least that there is, or none does. */
Test(threads, products_of_64_bits_are_rounded_as_is_said)
{
    run_words(
        "",
        "mov.f64 %fd2, 0d3ff0000000000000; mov.f64 %fd3, 0d3c30000000000000;\n"
        "mov.f64 %fd0, %fd2; mov.f64 %fd1, %fd2;\n"
        "mma.sync.aligned.m8n8k4.row.col.rp.f64.f64.f64.f64 {%fd0, %fd1}, {%fd2}, {%fd3}, {%fd0, %fd1};\n"
        "mov.b64 {%r3, _}, %fd1; mov.f64 %fd0, %fd2; mov.f64 %fd1, %fd2;\n"
        "wmma.mma.sync.aligned.row.col.m8n8k4.rz.f64.f64.f64.f64 {%fd0, %fd1}, {%fd2}, {%fd3}, {%fd0, "
        "%fd1};\n"
        "mov.b64 {%r4, _}, %fd0; mov.f64 %fd0, %fd2; mov.f64 %fd1, %fd2;\n"
        "mma.sync.aligned.m8n8k4.row.col.rn.f64.f64.f64.f64 {%fd0, %fd1}, {%fd2}, {%fd3}, {%fd0, %fd1};\n"
        "mov.b64 {%r5, _}, %fd0; mad.lo.u32 %r3, %r4, 100, %r3; mad.lo.u32 %r3, %r5, 10000, %r3;\n"
        "st.global.u32 [%rd3], %r3;",
        1, 32);
    for (unsigned i = 0; i < 32; i++)
        cr_assert_eq(out[i], 4, "%u: %u", i, out[i]);
}
