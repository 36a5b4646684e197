/* SPDX-License-Identifier: Apache-2.0 */
/* Surfaces: bytes and texels that are read, written and changed in place. PTX by way of the driver. */
#include "driver.h"
#include "ptx/tests/conform.h"
#include "ptx/tests/kernel.h"
#include "ptx/tests/numbers.h"

#include <criterion/criterion.h>
#include <string.h>

enum {
    WIDTH = 8, /* texels of 16 bytes */
    HEIGHT = 4,
    DEPTH = 3,
    ROW = WIDTH * 16,
    ALL = ROW * HEIGHT * DEPTH
};

static uint8_t bytes[ALL];
static CUarray array;

static CUsurfObject surface_of(CUarray from)
{
    const CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = from};
    CUsurfObject surface;

    must(cuSurfObjectCreate(&surface, &resource));
    return surface;
}

static CUDA_MEMCPY3D copy_of(size_t row, size_t height, size_t depth)
{
    return (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_HOST,
                           .srcHost = bytes,
                           .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                           .dstArray = array,
                           .WidthInBytes = row,
                           .Height = height,
                           .Depth = depth};
}

/* A surface over an array with bytes that count up. */
static CUsurfObject made(unsigned height, unsigned depth, CUarray_format format, unsigned channels,
                         unsigned flags)
{
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = WIDTH,
                                          .Height = height,
                                          .Depth = depth,
                                          .Format = format,
                                          .NumChannels = channels,
                                          .Flags = flags | CUDA_ARRAY3D_SURFACE_LDST};
    unsigned channel = format == CU_AD_FORMAT_UNSIGNED_INT8 || format == CU_AD_FORMAT_SIGNED_INT8 ? 1
                       : format == CU_AD_FORMAT_HALF || format == CU_AD_FORMAT_SIGNED_INT16       ? 2
                                                                                                  : 4;
    CUDA_MEMCPY3D copy;

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 13 + i / 256);
    must(cuArray3DCreate(&array, &desc));
    copy = copy_of(WIDTH * channel * channels, height ? height : 1, depth ? depth : 1);
    must(cuMemcpy3D(&copy));
    return surface_of(array);
}

/* Reads the array back to bytes. */
static void read_back(size_t row, size_t height, size_t depth)
{
    CUDA_MEMCPY3D copy = copy_of(row, height, depth);

    copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
    copy.srcArray = array;
    copy.dstMemoryType = CU_MEMORYTYPE_HOST;
    copy.dstHost = bytes;
    copy.dstArray = NULL;
    must(cuMemcpy3D(&copy));
}

/* One block of so many threads: %rd5 is the surface; %r10 to 13 go to `out`. */
static CUresult work(CUsurfObject surface, const char *instructions, unsigned threads)
{
    static char body[2048];
    CUdeviceptr params[4] = {0, device_bytes(NULL, sizeof out), surface};
    CUresult result;

    snprintf(body, sizeof body,
             "ld.param.u64 %%rd5, [c]; mov.u32 %%r10, 0; mov.u32 %%r11, 0; mov.u32 %%r12, 0; mov.u32 %%r13, "
             "0;\n%s\n"
             "mad.wide.u32 %%rd6, %%r2, 16, %%rd1; st.global.v4.u32 [%%rd6], {%%r10, %%r11, %%r12, %%r13};",
             instructions);
    result = kernel_of("", body, 1, threads, params);
    if (result == CUDA_SUCCESS)
        must(cuMemcpyDtoH(out, params[1], sizeof out));
    return result;
}

Test(surface, bytes_are_read_in_every_width)
{
    CUsurfObject surface;

    start();
    surface = made(HEIGHT, 0, CU_AD_FORMAT_UNSIGNED_INT32, 4, 0);
    must(work(surface,
              "and.b32 %r3, %r0, 7; shl.b32 %r3, %r3, 4; shr.u32 %r4, %r0, 3;\n"
              "suld.b.2d.v4.b32.trap {%r10, %r11, %r12, %r13}, [%rd5, {%r3, %r4}];",
              32));
    cr_assert_arr_eq(out, bytes, ROW * HEIGHT);
    must(work(
        surface,
        "and.b32 %r3, %r0, 7; shl.b32 %r3, %r3, 4; shr.u32 %r4, %r0, 3; add.u32 %r5, %r3, 8; add.u32 %r6, "
        "%r3, "
        "3; add.u32 %r7, %r3, 4; add.u32 %r8, %r3, 6;\n"
        "suld.b.2d.v2.b64.trap {%rd7, %rd8}, [%rd5, {%r3, %r4}]; suld.b.2d.b64.trap %rd9, [%rd5, {%r5, "
        "%r4}];\n"
        "suld.b.2d.v2.b8.ca.clamp {%h0, %h1}, [%rd5, {%r8, %r4}]; suld.b.2d.b8.zero %h2, [%rd5, {%r6, "
        "%r4}];\n"
        "suld.b.2d.v4.b16.cg.trap {%h3, %h4, %h5, %h6}, [%rd5, {%r5, %r4}];\n"
        "suld.b.2d.b16.trap %h7, [%rd5, {%r7, %r4}]; suld.b.2d.b32.trap %r14, [%rd5, {%r7, %r4}];\n"
        "sub.u64 %rd8, %rd8, %rd9; cvt.u32.u64 %r10, %rd8; cvt.u32.u16 %r11, %h1; cvt.u32.u16 %r12, %h2;\n"
        "mov.b32 %r13, {%h4, %h7}; xor.b32 %r10, %r10, %r14;",
        32));
    for (unsigned i = 0; i < 32; i++) {
        const uint8_t *at = bytes + i / 8 * ROW
        +i % 8 * 16;
        uint32_t word;

        memcpy(&word, at + 4, 4);
        cr_assert_eq(out[i * 4], word);
        cr_assert_eq(out[i * 4 + 1], at[7]);
        cr_assert_eq(out[i * 4 + 2], at[3]);
        cr_assert_eq(out[i * 4 + 3], (at[10] | at[11] << 8 | at[4] << 16 | (uint32_t)at[5] << 24), "%u", i);
    }
}

Test(surface, places_have_one_to_three_ways_or_a_layer)
{
    static const struct {
        const char *place;
        unsigned height, depth, flags;
    } shapes[] = {{"1d", 0, 0, 0},
                  {"a1d", 0, DEPTH, CUDA_ARRAY3D_LAYERED},
                  {"a2d", HEIGHT, DEPTH, CUDA_ARRAY3D_LAYERED},
                  {"3d", HEIGHT, DEPTH, 0}};
    static const char *const places[] = {"{%r3}", "{%r5, %r3}", "{%r5, %r3, %r4, %r4}",
                                         "{%r3, %r4, %r5, %r5}"};

    start();
    for (unsigned i = 0; i < 4; i++) {
        unsigned height = shapes[i].height ? HEIGHT : 1, depth = shapes[i].depth ? DEPTH : 1;
        CUsurfObject surface =
            made(shapes[i].height, shapes[i].depth, CU_AD_FORMAT_FLOAT, 1, shapes[i].flags);
        static uint8_t wanted[ALL];
        char text[512];

        memcpy(wanted, bytes, sizeof wanted);
        sprintf(
            text,
            "rem.u32 %%r3, %%r0, 8; shl.b32 %%r3, %%r3, 2; shr.u32 %%r4, %%r0, 3; rem.u32 %%r4, %%r4, %u; "
            "div.u32 "
            "%%r5, %%r0, %u;\n"
            "suld.b.%s.b32.trap %%r10, [%%rd5, %s]; not.b32 %%r11, %%r10; sust.b.%s.b32.trap [%%rd5, %s], "
            "%%r11;",
            height, 8 * height, shapes[i].place, places[i], shapes[i].place, places[i]);
        must(work(surface, text, 8 * height * depth));
        for (unsigned k = 0; k < 8 * height * depth; k++)
            cr_assert_arr_eq(&out[k * 4], wanted + k * 4, 4, "%s: %u", shapes[i].place, k);
        read_back(WIDTH * 4, height, depth);
        for (unsigned k = 0; k < 32 * height * depth; k++)
            cr_assert_eq(bytes[k], (uint8_t)~wanted[k], "%s: %u", shapes[i].place, k);
    }
}

/* Vectors go in one, and nothing beside them changes. */
Test(surface, bytes_are_written_in_every_width)
{
    static uint8_t before[ALL];
    CUsurfObject surface;

    start();
    surface = made(HEIGHT, 0, CU_AD_FORMAT_UNSIGNED_INT32, 4, 0);
    memcpy(before, bytes, sizeof before);
    must(work(surface,
              "mov.u32 %r3, 0; mov.u32 %r4, 1; mov.u32 %r5, 32; mov.u32 %r6, 64; mov.u32 %r7, 80; mov.u32 "
              "%r8, 96;\n"
              "mov.u16 %h0, 0x11; mov.u16 %h1, 0x2233; mov.u32 %r14, 0x44556677; mov.u64 %rd7, "
              "0x8899aabbccddeeff;\n"
              "sust.b.2d.b8.trap [%rd5, {%r3, %r4}], %h0; sust.b.2d.v2.b16.wb.trap [%rd5, {%r5, %r4}], {%h1, "
              "%h0};\n"
              "sust.b.2d.v4.b32.zero [%rd5, {%r6, %r4}], {%r14, %r14, %r3, %r4};\n"
              "sust.b.2d.b64.clamp [%rd5, {%r7, %r4}], %rd7; sust.b.2d.v2.b64.trap [%rd5, {%r8, %r4}], "
              "{%rd7, %rd7};",
              1));
    read_back(ROW, HEIGHT, 1);
    before[ROW] = 0x11;
    memcpy(before + ROW + 32, (uint16_t[]){0x2233, 0x11}, 4);
    memcpy(before + ROW + 64, (uint32_t[]){0x44556677, 0x44556677, 0, 1}, 16);
    for (unsigned i = 0; i < 3; i++)
        memcpy(before + ROW + 80 + (i ? 8 + 8 * i : 0), (uint64_t[]){0x8899aabbccddeeff}, 8);
    cr_assert_arr_eq(bytes, before, ROW * HEIGHT);
}

/* Texels are counted, and words become what the surface has: too large ones the largest. */
Test(surface, words_are_written_in_its_format)
{
    CUsurfObject surface;

    start();
    surface = made(0, 0, CU_AD_FORMAT_SIGNED_INT8, 4, 0);
    must(work(surface,
              "mov.u32 %r3, 300; mov.u32 %r4, -300; mov.u32 %r5, -7; mov.u32 %r6, 7;\n"
              "sust.p.1d.v4.b32.trap [%rd5, {%r0}], {%r3, %r4, %r5, %r6};",
              8));
    read_back(WIDTH * 4, 1, 1);
    for (unsigned i = 0; i < WIDTH; i++)
        cr_assert_arr_eq(bytes + 4 * i, ((uint8_t[]){127, 128, 249, 7}), 4);
    surface = made(0, 0, CU_AD_FORMAT_HALF, 2, 0);
    must(work(surface,
              "mov.f32 %f0, 0f3FC00000; mov.f32 %f1, 0fC0000000;\n"
              "sust.p.1d.v2.f32.trap [%rd5, {%r0}], {%f0, %f1};",
              8));
    read_back(WIDTH * 4, 1, 1);
    cr_assert_arr_eq(bytes, ((u16[]){to_h(1.5), to_h(-2)}), 4);
    surface = made(0, 0, CU_AD_FORMAT_FLOAT, 1, 0);
    must(work(surface, "sust.p.1d.b32.trap [%rd5, {%r0}], %r0;", 8));
    read_back(WIDTH * 4, 1, 1);
    cr_assert_arr_eq(bytes, ((uint32_t[]){0, 1, 2, 3, 4, 5, 6, 7}), 32);
}

/* Reads outside are zero or the edge's; writes are nothing or the edge's. */
Test(surface, outside_is_zero_or_the_edge)
{
    CUsurfObject surface;
    uint32_t first, last;

    start();
    surface = made(HEIGHT, 0, CU_AD_FORMAT_FLOAT, 1, 0);
    memcpy(&first, bytes, 4);
    memcpy(&last, bytes + WIDTH * 4 * HEIGHT - 4, 4);
    must(work(surface,
              "mov.u32 %r3, -4; mov.u32 %r4, 9; mov.u32 %r5, 1000; mov.u32 %r6, 0;\n"
              "suld.b.2d.b32.zero %r10, [%rd5, {%r3, %r6}]; suld.b.2d.b32.zero %r11, [%rd5, {%r6, %r4}];\n"
              "suld.b.2d.b32.clamp %r12, [%rd5, {%r3, %r3}]; suld.b.2d.b32.clamp %r13, [%rd5, {%r5, %r4}];\n"
              "sust.b.2d.b32.zero [%rd5, {%r3, %r6}], %r5; sust.b.2d.b32.clamp [%rd5, {%r5, %r6}], %r4;",
              1));
    cr_assert(out[0] == 0 && out[1] == 0);
    cr_assert_eq(out[2], first);
    cr_assert_eq(out[3], last);
    read_back(WIDTH * 4, HEIGHT, 1);
    cr_assert_arr_eq(bytes, &first, 4);
    cr_assert_arr_eq(bytes + WIDTH * 4 - 4, ((uint32_t[]){9}), 4);
}

Test(surface, outside_of_it_a_trap_is_a_launch_that_failed)
{
    start();
    cr_assert_eq(work(made(HEIGHT, 0, CU_AD_FORMAT_FLOAT, 1, 0),
                      "mov.u32 %r3, 32; suld.b.2d.b32.trap %r10, [%rd5, {%r3, %r0}];", 1),
                 CUDA_ERROR_LAUNCH_FAILED);
}

Test(surface, what_lies_across_two_elements_is_misaligned)
{
    start();
    cr_assert_eq(work(made(HEIGHT, 0, CU_AD_FORMAT_FLOAT, 1, 0),
                      "mov.u32 %r3, 2; suld.b.2d.b32.trap %r10, [%rd5, {%r3, %r0}];", 1),
                 CUDA_ERROR_MISALIGNED_ADDRESS);
}

/* Three texels of four bytes a row: two at once, in every row. */
Test(surface, rows_of_any_length_are_aligned)
{
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = 3,
                                          .Height = HEIGHT,
                                          .Format = CU_AD_FORMAT_UNSIGNED_INT32,
                                          .NumChannels = 1,
                                          .Flags = CUDA_ARRAY3D_SURFACE_LDST};
    CUDA_MEMCPY3D copy;

    start();
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    must(cuArray3DCreate(&array, &desc));
    copy = copy_of(12, HEIGHT, 1);
    must(cuMemcpy3D(&copy));
    must(work(surface_of(array), "mov.u32 %r3, 0; suld.b.2d.v2.b32.trap {%r10, %r11}, [%rd5, {%r3, %r0}];",
              HEIGHT));
    for (unsigned i = 0; i < HEIGHT; i++)
        cr_assert_arr_eq(&out[i * 4], bytes + 12 * i, 8, "%u", i);
}

Test(surface, many_threads_change_one_place)
{
    static const uint32_t words[WIDTH] = {100, 100, 100, 0xfffffff0, 0xffffffff, 0, 5, 0};
    CUsurfObject surface;
    CUDA_MEMCPY3D copy;

    start();
    surface = made(0, 0, CU_AD_FORMAT_UNSIGNED_INT32, 1, 0);
    memcpy(bytes, words, sizeof words);
    copy = copy_of(sizeof words, 1, 1);
    must(cuMemcpy3D(&copy));
    must(work(
        surface,
        "mov.u32 %r3, 4; mov.u32 %r4, 8; mov.u32 %r5, 12; mov.u32 %r6, 4; mov.u32 %r7, 5; mov.u32 %r8, 24;\n"
        "mov.u32 %r9, 1; shl.b32 %r14, %r9, %r0; not.b32 %r15, %r14; cvt.u64.u32 %rd7, %r0; mov.u32 %r16, "
        "0;\n"
        "sured.b.add.1d.u32.trap [%rd5, {%r16}], %r0; sured.b.min.1d.s32.trap [%rd5, {%r3}], %r0;\n"
        "sured.b.max.1d.u32.zero [%rd5, {%r4}], %r0; sured.b.max.1d.s32.clamp [%rd5, {%r5}], %r0;\n"
        "sured.p.and.1d.b32.trap [%rd5, {%r6}], %r15; sured.p.or.1d.b32.trap [%rd5, {%r7}], %r14;\n"
        "sured.b.add.1d.u64.trap [%rd5, {%r8}], %rd7;",
        16));
    read_back(sizeof words, 1, 1);
    cr_assert_arr_eq(bytes, ((uint32_t[]){220, 0, 100, 15, 0xffff0000, 0xffff, 125, 0}), 32);
}

Test(surface, it_says_what_it_is)
{
    start();
    must(
        work(made(HEIGHT, DEPTH, CU_AD_FORMAT_HALF, 2, 0),
             "suq.width.b32 %r10, [%rd5]; suq.height.b32 %r11, [%rd5]; suq.depth.b32 %r12, [%rd5];\n"
             "suq.channel_order.b32 %r13, [%rd5]; suq.array_size.b32 %r14, [%rd5]; add.u32 %r12, %r12, %r14;",
             1));
    cr_assert(out[0] == WIDTH && out[1] == HEIGHT && out[2] == DEPTH + 1 && out[3] == 0x10b2);
}

Test(surface, it_is_made_of_arrays_for_it_alone_and_is_no_texture)
{
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = 8, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY}, found;
    CUsurfObject surface;
    CUarray plain;

    start();
    must(cuArray3DCreate(&plain, &desc));
    resource.res.array.hArray = plain;
    cr_assert_eq(cuSurfObjectCreate(&surface, &resource), CUDA_ERROR_INVALID_VALUE);
    surface = made(0, 0, CU_AD_FORMAT_FLOAT, 1, 0);
    must(cuSurfObjectGetResourceDesc(&found, surface));
    cr_assert_eq(found.res.array.hArray, array);
    cr_assert_eq(cuTexObjectDestroy(surface), CUDA_ERROR_INVALID_VALUE);
    must(cuSurfObjectDestroy(surface));
    cr_assert_eq(cuSurfObjectDestroy(surface), CUDA_ERROR_INVALID_VALUE);
    resource = (CUDA_RESOURCE_DESC){.resType = CU_RESOURCE_TYPE_LINEAR,
                                    .res.linear = {.devPtr = device_bytes(NULL, 4096),
                                                   .format = CU_AD_FORMAT_FLOAT,
                                                   .numChannels = 1,
                                                   .sizeInBytes = 4096}};
    cr_assert_eq(cuSurfObjectCreate(&surface, &resource), CUDA_ERROR_INVALID_VALUE);
}

/* What one kernel writes another reads as a texture. */
Test(surface, what_is_written_is_read_as_a_texture)
{
    const CUDA_TEXTURE_DESC sampling = {0};
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY};
    CUsurfObject surface;
    CUtexObject texture;

    start();
    surface = made(HEIGHT, 0, CU_AD_FORMAT_FLOAT, 1, 0);
    resource.res.array.hArray = array;
    must(cuTexObjectCreate(&texture, &resource, &sampling, NULL));
    must(work(surface,
              "and.b32 %r3, %r0, 7; shl.b32 %r3, %r3, 2; shr.u32 %r4, %r0, 3; cvt.rn.f32.u32 %f0, %r0;\n"
              "mov.b32 %r5, %f0; sust.b.2d.b32.trap [%rd5, {%r3, %r4}], %r5;",
              32));
    must(work(
        texture,
        "and.b32 %r3, %r0, 7; shr.u32 %r4, %r0, 3; tex.2d.v4.s32.s32 {%r10, %r11, %r12, %r13}, [%rd5, {%r3, "
        "%r4}];",
        32));
    for (unsigned i = 0; i < 32; i++) {
        float value;

        memcpy(&value, &out[i * 4], 4);
        cr_assert_eq(value, (float)i);
    }
}
