/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptx_texts.c - texts of PTX that were edited at random are translated or refused with a reason; those that were not edited
 * are translated.
 *
 * The input chooses a text and, over and over, a few edits of it: bytes that change, pieces that go, come twice or change
 * places, words that come from elsewhere.
 */
#include "fuzz.h"
#include "ptx/parse.h"
#include "ptx/translate.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_ROOM = 8192,
    TEXTS = 34, /* of an input */
    EDITS = 6,
    PIECE = 40
};

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"

static const char *const texts[] = {
    HEAD
    ".visible .entry add(.param .u64 a, .param .u64 .ptr .global .align 4 b, .param .u32 n)\n"
    "{ .reg .pred %p<2>; .reg .b32 %r<6>; .reg .f32 %f<4>; .reg .b64 %rd<8>;\n"
    "ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; ld.param.u32 %r1, [n];\n"
    "mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x; mad.lo.s32 %r5, %r2, %r3, %r4;\n"
    "setp.ge.s32 %p1, %r5, %r1; @%p1 bra $L__1; cvta.to.global.u64 %rd3, %rd1; mul.wide.s32 %rd4, %r5, 4;\n"
    "add.s64 %rd5, %rd3, %rd4; ld.global.f32 %f1, [%rd5]; fma.rn.ftz.f32 %f2, %f1, 0f3F800000, 1.5;\n"
    "st.global.f32 [%rd5+-4], %f2; $L__1: ret; }\n",
    HEAD
    ".extern .func (.param .b32 r) vprintf (.param .b64 f, .param .b64 a);\n"
    ".global .align 8 .u64 table[3] = {one, generic(text), text+4}; .global .align 1 .b8 text[8] = {104, "
    "105, 0};\n"
    ".const .align 16 .v4 .f32 c = {1.0, 2.0, 0f00000000, 4e1}; .extern .shared .align 16 .b8 dynamic[];\n"
    ".func (.param .b32 r) one(.param .b32 x) { .reg .b32 %r<3>; .local .align 4 .b8 l[16]; .reg .b64 "
    "%rd<3>;\n"
    "ld.param.u32 %r1, [x]; mov.u64 %rd1, l; st.local.u32 [%rd1], %r1; add.cc.u32 %r2, %r1, %r1;\n"
    "addc.u32 %r2, %r2, 0; st.param.b32 [r+0], %r2; ret; }\n"
    ".entry calls() .maxntid 128, 1, 1 .minnctapersm 2 { .reg .b32 %r<5>; .reg .b64 %rd<4>;\n"
    "ld.global.u64 %rd1, [table]; { .reg .b32 temp; .param .b32 p; st.param.b32 [p+0], 7; .param .b32 q;\n"
    "proto: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
    "call (q), %rd1, (p), proto; ld.param.b32 temp, [q+0]; mov.b32 %r1, temp; }\n"
    "{ .param .b64 f; .param .b64 a; .param .b32 s; st.param.b64 [f+0], %rd1; st.param.b64 [a+0], 0;\n"
    "call.uni (s), vprintf, (f, a); } ld.const.v4.f32 {_, _, _, _}, [c]; mov.u32 %r2, dynamic;\n"
    "st.shared.v2.u32 [%r2], {%r1, %r2}; exit; }\n",
    HEAD
    ".entry warp() { .reg .pred %p<3>; .reg .b32 %r<16>; .reg .b64 %rd<3>; .shared .align 8 .b8 s[256];\n"
    "mov.u32 %r1, %laneid; shfl.sync.bfly.b32 %r2|%p1, %r1, 1, 31, -1; vote.sync.ballot.b32 %r3, %p1, -1;\n"
    "bar.sync 0; barrier.sync.aligned 1, 64; match.all.sync.b32 %r4|%p2, %r1, %r3; redux.sync.add.s32 %r5, "
    "%r1, %r3;\n"
    "lop3.b32 %r6, %r1, %r2, %r3, 0xe8; prmt.b32 %r7, %r1, %r2, 0x3210; bfe.u32 %r8, %r1, 2, 3;\n"
    "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2, %r3, %r4}, [%r5];\n"
    "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r8,%r9,%r10,%r11}, {%r1,%r2,%r3,%r4}, {%r5,%r6}, "
    "{%r8,%r9,%r10,%r11};\n"
    "cp.async.cg.shared.global [%r1], [%rd1], 16; cp.async.wait_all; atom.global.cas.b32 %r1, [%rd1], %r2, "
    "%r3;\n"
    "red.shared.add.u32 [s], 1; setp.lt.and.f32 %p1|%p2, 0f3F000000, 0f3F800000, !%p2; selp.b32 %r1, 1, 2, "
    "%p1;\n"
    "mov.b64 {%r1, %r2}, %rd1; mov.b64 %rd2, {%r2, %r1}; cvt.rni.s32.f32 %r3, 0f40200000;\n"
    "t: .branchtargets A, B; brx.idx %r1, t; A: trap; B: .loc 1 2 3\n fence.acq_rel.gpu; ret; }\n",
    HEAD ".entry tiles(.param .u64 m) { .reg .pred %p<3>; .reg .b32 %r<8>, %a<8>, %b<8>; .reg .f32 %f<8>; "
         ".reg .b64 "
         "%rd<4>; .shared .align 8 .b8 s[8];\n"
         "ld.param.u64 %rd1, [m]; wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {%a0, %a1, %a2, %a3, "
         "%a4, %a5, %a6, "
         "%a7}, [%rd1], 16;\n"
         "wmma.load.b.sync.aligned.col.m16n16k16.f16 {%b0, %b1, %b2, %b3, %b4, %b5, %b6, %b7}, [%rd1+512];\n"
         "wmma.load.c.sync.aligned.row.m16n16k16.global.f32 {%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7}, "
         "[%rd1], %r1;\n"
         "wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7}, {%a0, "
         "%a1, %a2, %a3, "
         "%a4, %a5, %a6, %a7},\n"
         "{%b0, %b1, %b2, %b3, %b4, %b5, %b6, %b7}, {%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7};\n"
         "wmma.store.d.sync.aligned.col.m16n16k16.global.f32 [%rd1], {%f0, %f1, %f2, %f3, %f4, %f5, %f6, "
         "%f7}, 24;\n"
         "wmma.mma.sync.aligned.row.row.m8n32k16.s32.s8.s8.s32.satfinite {%r0, %r1, %r2, %r3, %r4, %r5, %r6, "
         "%r7}, {%a0}, "
         "{%b0, %b1, %b2, %b3}, {%r0, %r1, %r2, %r3, %r4, %r5, %r6, %r7};\n"
         "mbarrier.init.shared.b64 [s], 32; mbarrier.arrive.expect_tx.shared.b64 %rd2, [s], 64;\n"
         "wait: mbarrier.try_wait.parity.shared::cta.b64 %p1, [s], %r1; @!%p1 bra wait; "
         "mbarrier.pending_count.b64 %r2, "
         "%rd2;\n"
         "cp.async.mbarrier.arrive.noinc.shared.b64 [s]; mbarrier.inval.shared.b64 [s]; ret; }\n",
    HEAD
    ".entry pictures(.param .u64 h) { .reg .pred %p<3>; .reg .b16 %h<4>; .reg .b32 %r<16>; .reg .f32 %f<8>; "
    ".reg .b64 %rd<4>;\n"
    "ld.param.u64 %rd1, [h]; tex.2d.v4.f32.f32 {%f0, %f1, %f2, %f3}, [%rd1, {%f4, 0f3F000000}];\n"
    "tex.level.a2d.v4.u32.s32 {%r0, %r1, %r2, %r3}|%p1, [%rd1, %rd1, {%r4, %r5, %r6, %r6}], %r7, {1, -1};\n"
    "tex.grad.3d.v4.s32.f32 {%r0, %r1, %r2, %r3}, [%rd1, {%f0, %f1, %f2, %f2}], {%f0, %f1, %f2, %f2}, {%f0, "
    "%f1, %f2, %f2};\n"
    "tex.acube.v2.f16x2.f32 {%r0, %r1}, [%rd1, {%r2, %f0, %f1, %f2}]; tex.1d.v4.f16.s32 {%h0, %h1, %h2, "
    "%h3}, "
    "[%rd1, {%r1}];\n"
    "tld4.a.2d.v4.f32.f32 {%f0, %f1, %f2, %f3}, [%rd1, {%f4, %f5}]; txq.level.width.b32 %r1, [%rd1], 2;\n"
    "suld.b.2d.v4.b32.trap {%r0, %r1, %r2, %r3}, [%rd1, {%r4, %r5}]; suq.height.b32 %r1, [%rd1];\n"
    "sust.b.a1d.v2.b64.zero [%rd1, {%r4, %r5}], {%rd2, %rd3}; sust.p.3d.v4.b32.clamp [%rd1, {%r1, %r2, %r3, "
    "%r3}], {%r4, %r5, %r6, %r7};\n"
    "sured.b.add.2d.u64.trap [%rd1, {%r4, %r5}], %rd2; sured.p.and.1d.b32.zero [%rd1, {%r4}], %r2;\n"
    "wmma.load.a.sync.aligned.row.m8n8k32.global.s4 {%r1}, [%rd1], 64; "
    "wmma.mma.xor.popc.sync.aligned.row.col."
    "m8n8k128.s32.b1.b1.s32 {%r2, %r3}, {%r4}, {%r5}, {%r6, %r7};\n"
    "mma.sync.aligned.m16n8k64.row.col.satfinite.s32.s4.u4.s32 {%r0, %r1, %r2, %r3}, {%r4, %r5, %r6, %r7}, "
    "{%r8, "
    "%r9}, {%r0, %r1, %r2, %r3}; ret; }\n",
};

static const char *const words[] = {"{",
                                    "}",
                                    "(",
                                    ")",
                                    "[",
                                    "]",
                                    ";",
                                    ",",
                                    ":",
                                    "<",
                                    ">",
                                    "|",
                                    "!",
                                    "@",
                                    "=",
                                    "+",
                                    "-",
                                    ".u32",
                                    ".f32",
                                    ".b64",
                                    ".pred",
                                    ".v4",
                                    ".shared",
                                    ".param",
                                    ".reg",
                                    ".entry",
                                    ".func",
                                    ".align",
                                    "%r1",
                                    "%p1",
                                    "%rd1",
                                    "%f1",
                                    "_",
                                    "a",
                                    "call",
                                    "mov",
                                    "ld",
                                    "0x7fffffffffffffff",
                                    "0f7fffffff",
                                    "1e400",
                                    "\"",
                                    "/*",
                                    "//",
                                    ".section",
                                    "%r<99999999>",
                                    "[999999999]",
                                    "\\"};

struct input {
    const uint8_t *data;
    size_t size, at;
};

static unsigned draw(struct input *input, size_t below)
{
    unsigned value = 0;

    /* What is used up begins again: the text differs by then. */
    for (unsigned i = 0; i < 2; i++)
        value = value << 8 | input->data[input->at++ % input->size];
    return (unsigned)(value % (below ? below : 1));
}

/* Puts bytes in the place of others. */
static void replace(char *text, size_t at, size_t gone, const char *bytes, size_t length)
{
    size_t whole = strlen(text);

    if (at > whole || whole + length >= TEXT_ROOM)
        return;
    gone = gone > whole - at ? whole - at : gone;
    memmove(text + at + length, text + at + gone, whole - at - gone + 1);
    memcpy(text + at, bytes, length);
}

static void edit(struct input *input, char *text)
{
    size_t whole = strlen(text), at = draw(input, whole), other = draw(input, whole);
    size_t length = draw(input, PIECE) + 1;
    const char *word = words[draw(input, sizeof(words) / sizeof(*words))];
    char byte = (char)draw(input, 256), piece[PIECE + 1];

    length = length > whole - other ? whole - other : length;
    memcpy(piece, text + other, length);
    switch (draw(input, 5)) {
    case 0:
        if (whole && byte)
            text[at] = byte;
        break;
    case 1:
        replace(text, at, length, "", 0);
        break;
    case 2:
        replace(text, at, 0, piece, length);
        break;
    case 3:
        replace(text, at, length, piece, length);
        break;
    default:
        replace(text, at, draw(input, 8), word, strlen(word));
    }
}

/* What is read and translated, outside of what a jump forgets. */
struct translation {
    struct ptx_exit exit;
    struct ptx_module module;
    struct arena scratch;
};

/* True: all of it was translated. Otherwise there is a reason. */
static bool translates(struct translation *translation, const char *text)
{
    if (setjmp(translation->exit.leave))
        return false;
    ptx_parse(&translation->module, text, strlen(text));
    for (const struct ptx_function *function = translation->module.functions; function;
         function = function->next)
        if (function->is_entry && function->text)
            ptx_translate(&translation->module, function, &translation->scratch, NULL);
    return true;
}

static void judge(const char *text, bool is_edited)
{
    struct translation *translation = calloc(1, sizeof(*translation));

    if (!translation)
        abort();
    translation->module.arena.exit = translation->scratch.exit = &translation->exit;
    if (!translates(translation, text) && (!is_edited || !*translation->exit.why)) {
        fprintf(stderr, "%s\n%s\n", translation->exit.why, text);
        abort();
    }
    arena_finish(&translation->scratch);
    arena_finish(&translation->module.arena);
    free(translation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size, 0};
    char text[TEXT_ROOM];

    if (!size)
        return 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        judge(texts[i], false);
    for (unsigned i = 0; i < TEXTS; i++) {
        strcpy(text, texts[draw(&input, sizeof(texts) / sizeof(*texts))]);
        for (unsigned edits = draw(&input, EDITS) + 1; edits; edits--)
            edit(&input, text);
        judge(text, true);
    }
    return 0;
}
