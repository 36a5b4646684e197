/* SPDX-License-Identifier: Apache-2.0 */
/* Textures, held against the formulas of the programming guide written out. PTX by way of the driver. */
#include "driver.h"
#include "ptx/tests/conform.h"
#include "ptx/tests/kernel.h"
#include "ptx/tests/numbers.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum {
    PLACES = 1024, /* that a kernel asks for at once: four words each */
    SIDE = 8       /* the most texels that a side has */
};

/* A picture of floats, up to three ways. */
struct picture {
    unsigned ways, count[3]; /* count of ways that it has not: 1 */
    float texels[SIDE * SIDE * SIDE];
};

static void paint(struct picture *picture, unsigned ways, unsigned x, unsigned y, unsigned z)
{
    *picture = (struct picture){.ways = ways, .count = {x, y, z}};
    for (unsigned i = 0; i < x * y * z; i++)
        picture->texels[i] = (float)((i * 37 + 11) % 101) / 4 - 12;
}

static float texel(const struct picture *picture, long x, long y, long z)
{
    return picture->texels[(z * picture->count[1] + y) * picture->count[0] + x];
}

/* An array with those bytes, all slices of it. */
static CUarray array_of(const CUDA_ARRAY3D_DESCRIPTOR *desc, size_t element, const void *bytes)
{
    size_t height = desc->Height ? desc->Height : 1, depth = desc->Depth ? desc->Depth : 1;
    CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcHost = bytes,
                          .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                          .WidthInBytes = desc->Width * element,
                          .Height = height,
                          .Depth = depth};
    CUarray array;

    must(cuArray3DCreate(&array, desc));
    copy.dstArray = array;
    must(cuMemcpy3D(&copy));
    return array;
}

static CUarray array_with(const struct picture *picture, unsigned flags)
{
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = picture->count[0],
                                          .Height = picture->ways > 1 ? picture->count[1] : 0,
                                          .Depth = picture->ways > 2 || flags ? picture->count[2] : 0,
                                          .Format = CU_AD_FORMAT_FLOAT,
                                          .NumChannels = 1,
                                          .Flags = flags};

    return array_of(&desc, 4, picture->texels);
}

static CUtexObject texture_of(CUarray array, const CUDA_TEXTURE_DESC *sampling)
{
    const CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = array};
    CUtexObject texture;

    must(cuTexObjectCreate(&texture, &resource, sampling, NULL));
    return texture;
}

/*
 * Asks a texture for the places of `in`: four words of each are %f0 to 3, and %r4 to 7; what the instruction leaves in
 * %r10 to 13 goes to `out`.
 */
static CUresult ask(uint64_t handle, const char *instruction, unsigned count)
{
    static char body[2048];
    CUdeviceptr params[4] = {device_bytes(in, sizeof in), device_bytes(NULL, sizeof out), handle};
    CUresult result;

    snprintf(body, sizeof body,
             "mad.wide.u32 %%rd4, %%r2, 16, %%rd0; ld.global.v4.f32 {%%f0, %%f1, %%f2, %%f3}, [%%rd4];\n"
             "ld.global.v4.u32 {%%r4, %%r5, %%r6, %%r7}, [%%rd4]; ld.param.u64 %%rd5, [c];\n%s\n"
             "mad.wide.u32 %%rd6, %%r2, 16, %%rd1; st.global.v4.u32 [%%rd6], {%%r10, %%r11, %%r12, %%r13};",
             instruction);
    result = kernel_of("", body, count / 32, 32, params);
    if (result == CUDA_SUCCESS)
        must(cuMemcpyDtoH(out, params[1], sizeof out));
    return result;
}

static float single(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static void set_place(unsigned number, float x, float y, float z, float w)
{
    const float place[4] = {x, y, z, w};

    memcpy(&in[number * 4], place, sizeof place);
}

/* Places in and around texels of a side, as coordinates or as parts of it. */
static float coordinate(unsigned number, unsigned count, bool is_part)
{
    static const float edges[] = {0,     0.5f,   0.25f,  0.498f, -0.5f,   -0.25f, -3.75f,
                                  1e-7f, -1e-7f, 0.501f, 0.125f, 0.7501f, -20.3f, 1000.6f};
    unsigned edge = number % 14, texel = number / 14 % (SIDE + 3);
    float at = edges[edge] + (float)texel;

    return is_part ? at / (float)count : at;
}

/* --- the formulas --- */

struct way {
    CUaddress_mode mode;
    bool is_part, is_linear;
};

/* The texel that stands for one outside; -1: the border. */
static long stand_in(long index, long count, const struct way *way)
{
    if (index >= 0 && index < count)
        return index;
    if (way->mode == CU_TR_ADDRESS_MODE_BORDER)
        return -1;
    if (way->mode == CU_TR_ADDRESS_MODE_CLAMP || !way->is_part)
        return index < 0 ? 0 : count - 1;
    if (way->mode == CU_TR_ADDRESS_MODE_WRAP)
        return index - (long)floor((double)index / (double)count) * count;
    while (index < 0 || index >= count)
        index = index < 0 ? -1 - index : 2 * count - 1 - index;
    return index;
}

static double look_up(const struct picture *picture, const struct way *way, const long at[3])
{
    long index[3] = {0, 0, at[2]};

    for (unsigned i = 0; i < picture->ways; i++) {
        index[i] = stand_in(at[i], picture->count[i], way);
        if (index[i] < 0)
            return 77;
    }
    return texel(picture, index[0], index[1], index[2]);
}

/* Sums over the corners, from the last way down. */
static double blend(const struct picture *picture, const struct way *way, const double place[3],
                    unsigned axis, long at[3])
{
    double from, part;

    if (axis == 0)
        return look_up(picture, way, at);
    if (!way->is_linear) {
        at[axis - 1] = (long)floor(place[axis - 1]);
        return blend(picture, way, place, axis - 1, at);
    }
    from = floor(place[axis - 1] - 0.5);
    part = round((place[axis - 1] - 0.5 - from) * 256) / 256;
    at[axis - 1] = (long)from;
    double below = blend(picture, way, place, axis - 1, at);

    at[axis - 1] = (long)from + 1;
    return (1 - part) * below + part * blend(picture, way, place, axis - 1, at);
}

static double expected(const struct picture *picture, const struct way *way, const float *place,
                       unsigned layer)
{
    double at[3] = {0, 0, 0};
    long index[3] = {0, 0, (long)layer};

    for (unsigned i = 0; i < picture->ways; i++)
        at[i] = (double)place[i] * (way->is_part ? picture->count[i] : 1);
    return blend(picture, way, at, picture->ways, index);
}

static CUDA_TEXTURE_DESC sampling_of(const struct way *way)
{
    return (CUDA_TEXTURE_DESC){.addressMode = {way->mode, way->mode, way->mode},
                               .filterMode =
                                   way->is_linear ? CU_TR_FILTER_MODE_LINEAR : CU_TR_FILTER_MODE_POINT,
                               .flags = way->is_part ? CU_TRSF_NORMALIZED_COORDINATES : 0,
                               .borderColor = {77, 77, 77, 77}};
}

static void expect_near(double value, double wanted, const char *what, unsigned number)
{
    cr_assert_lt(fabs(value - wanted), 1e-5 * (1 + fabs(wanted)), "%s, place %u: %g for %g", what, number,
                 value, wanted);
}

static void compare(const struct picture *picture, const struct way *way, CUtexObject texture,
                    const char *instruction)
{
    for (unsigned i = 0; i < PLACES; i++)
        set_place(i, coordinate(i, picture->count[0], way->is_part),
                  coordinate(i / 3 + 5, picture->count[1], way->is_part),
                  coordinate(i / 7 + 2, picture->count[2], way->is_part), 0);
    cr_assert_eq(ask(texture, instruction, PLACES), CUDA_SUCCESS);
    for (unsigned i = 0; i < PLACES; i++) {
        float place[3];

        memcpy(place, &in[i * 4], sizeof place);
        expect_near(single(out[i * 4]), expected(picture, way, place, 0), instruction, i);
    }
}

static void compare_all_ways(const struct picture *picture, CUarray array, const char *instruction)
{
    for (unsigned i = 0; i < 16; i++) {
        const struct way way = {(CUaddress_mode)(i % 4), i & 4, i & 8};
        const CUDA_TEXTURE_DESC sampling = sampling_of(&way);
        CUtexObject texture = texture_of(array, &sampling);

        compare(picture, &way, texture, instruction);
        must(cuTexObjectDestroy(texture));
    }
}

Test(texture, a_row_is_addressed_and_filtered_in_each_way)
{
    struct picture picture;

    start();
    paint(&picture, 1, 7, 1, 1);
    compare_all_ways(&picture, array_with(&picture, 0),
                     "tex.1d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0}];");
}

Test(texture, a_plane_is_addressed_and_filtered_in_each_way)
{
    struct picture picture;

    start();
    paint(&picture, 2, 8, 5, 1);
    compare_all_ways(&picture, array_with(&picture, 0),
                     "tex.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0, %f1}];");
}

Test(texture, a_volume_is_addressed_and_filtered_in_each_way)
{
    struct picture picture;

    start();
    paint(&picture, 3, 5, 3, 4);
    compare_all_ways(&picture, array_with(&picture, 0),
                     "tex.3d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0, %f1, %f2, %f2}];");
}

/* Rows lie further apart than they are long. */
Test(texture, memory_with_a_pitch_is_a_plane)
{
    enum {
        PITCH = 64
    };
    static uint8_t bytes[PITCH * 5];
    struct picture picture;
    CUDA_RESOURCE_DESC resource = {
        .resType = CU_RESOURCE_TYPE_PITCH2D,
        .res.pitch2D = {
            .format = CU_AD_FORMAT_FLOAT, .numChannels = 1, .width = 7, .height = 5, .pitchInBytes = PITCH}};

    start();
    paint(&picture, 2, 7, 5, 1);
    memset(bytes, 0x7f, sizeof bytes);
    for (unsigned i = 0; i < 5; i++)
        memcpy(bytes + i * PITCH, &picture.texels[i * 7], 28);
    resource.res.pitch2D.devPtr = device_bytes(bytes, sizeof bytes);
    for (unsigned i = 0; i < 16; i++) {
        const struct way way = {(CUaddress_mode)(i % 4), i & 4, i & 8};
        const CUDA_TEXTURE_DESC sampling = sampling_of(&way);
        CUtexObject texture;

        must(cuTexObjectCreate(&texture, &resource, &sampling, NULL));
        compare(&picture, &way, texture, "tex.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0, %f1}];");
    }
}

/* --- formats --- */

static const struct format {
    CUarray_format format;
    unsigned bytes;
    bool is_signed, is_float;
} formats[] = {{CU_AD_FORMAT_UNSIGNED_INT8, 1, false, false},
               {CU_AD_FORMAT_SIGNED_INT8, 1, true, false},
               {CU_AD_FORMAT_UNSIGNED_INT16, 2, false, false},
               {CU_AD_FORMAT_SIGNED_INT16, 2, true, false},
               {CU_AD_FORMAT_UNSIGNED_INT32, 4, false, false},
               {CU_AD_FORMAT_SIGNED_INT32, 4, true, false},
               {CU_AD_FORMAT_HALF, 2, false, true},
               {CU_AD_FORMAT_FLOAT, 4, false, true}};

/* A channel of a row's texel as 32 bits: what the instruction gives. */
static uint32_t widened(const struct format *format, const uint8_t *from, bool as_part)
{
    uint32_t word = 0;
    float part;

    memcpy(&word, from, format->bytes);
    if (format->is_float) {
        part = format->bytes == 4 ? single(word) : (float)h((u16)word);
    } else {
        int shift = 32 - 8 * (int)format->bytes;
        int32_t number = format->is_signed ? (int32_t)(word << shift) >> shift : (int32_t)word;

        if (!as_part || format->bytes == 4)
            return (uint32_t)number;
        part = (float)number / (format->bytes == 1  ? format->is_signed ? 127 : 255
                                : format->is_signed ? 32767
                                                    : 65535);
        part = part < -1 ? -1 : part;
    }
    memcpy(&word, &part, sizeof word);
    return word;
}

static void read_format(const struct format *format, unsigned channels, bool as_part)
{
    const CUDA_TEXTURE_DESC sampling = {.flags = as_part ? 0 : CU_TRSF_READ_AS_INTEGER};
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_LINEAR,
                                   .res.linear = {.format = format->format, .numChannels = channels}};
    unsigned element = format->bytes * channels;
    uint8_t bytes[64 * 16];
    CUtexObject texture;

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(format->is_float && i % format->bytes == format->bytes - 1u ? 0x30 + i % 16
                                                                                         : i * 29 + 128);
    resource.res.linear.sizeInBytes = 64 * element;
    resource.res.linear.devPtr = device_bytes(bytes, sizeof bytes);
    must(cuTexObjectCreate(&texture, &resource, &sampling, NULL));
    for (unsigned i = 0; i < 128; i++)
        in[i * 4] = i - 32;
    cr_assert_eq(ask(texture, "tex.1d.v4.s32.s32 {%r10, %r11, %r12, %r13}, [%rd5, {%r4}];", 128),
                 CUDA_SUCCESS);
    for (unsigned i = 0; i < 128; i++)
        for (unsigned k = 0; k < channels; k++) {
            unsigned texel = i - 32;
            uint32_t wanted =
                texel < 64 ? widened(format, bytes + texel * element + k * format->bytes, as_part) : 0;

            cr_assert_eq(out[i * 4 + k], wanted, "format %u, %u channels, %u.%u: %#x for %#x",
                         (unsigned)format->format, channels, texel, k, out[i * 4 + k], wanted);
        }
}

/* Outside of memory in a row there are zeros. */
Test(texture, each_format_is_read_as_it_is_and_as_parts_of_one)
{
    start();
    for (unsigned i = 0; i < sizeof formats / sizeof *formats; i++)
        for (unsigned channels = 1; channels <= 4; channels *= 2) {
            read_format(&formats[i], channels, false);
            read_format(&formats[i], channels, true);
        }
}

Test(texture, channels_that_are_not_there_are_zero_and_the_last_is_one)
{
    const CUDA_TEXTURE_DESC sampling = {0}, whole = {.flags = CU_TRSF_READ_AS_INTEGER};
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = 4, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 2};
    const uint8_t bytes[8] = {255, 51, 0, 255, 1, 2, 3, 4};
    CUarray array;

    start();
    array = array_of(&desc, 2, bytes);
    for (unsigned i = 0; i < 32; i++)
        in[i * 4] = 0;
    must(ask(texture_of(array, &sampling), "tex.1d.v4.f32.s32 {%r10, %r11, %r12, %r13}, [%rd5, {%r4}];", 32));
    cr_assert_eq(single(out[0]), 1);
    cr_assert_float_eq(single(out[1]), 0.2f, 1e-7);
    cr_assert_eq(single(out[2]), 0);
    cr_assert_eq(single(out[3]), 1);
    must(ask(texture_of(array, &whole), "tex.1d.v4.u32.s32 {%r10, %r11, %r12, %r13}, [%rd5, {%r4}];", 32));
    cr_assert_eq(out[0], 255);
    cr_assert_eq(out[1], 51);
    cr_assert_eq(out[2], 0);
    cr_assert_eq(out[3], 1);
}

Test(texture, bytes_of_a_picture_are_made_linear_and_its_opacity_is_not)
{
    const CUDA_TEXTURE_DESC sampling = {.flags = CU_TRSF_SRGB};
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = 1, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 4};
    const uint8_t bytes[4] = {10, 188, 255, 188};

    start();
    memset(in, 0, sizeof in);
    must(ask(texture_of(array_of(&desc, 4, bytes), &sampling),
             "tex.1d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0}];", 32));
    cr_assert_float_eq(single(out[0]), 10 / 255.0 / 12.92, 1e-6);
    cr_assert_float_eq(single(out[1]), pow((188 / 255.0 + 0.055) / 1.055, 2.4), 1e-6);
    cr_assert_eq(single(out[2]), 1);
    cr_assert_float_eq(single(out[3]), 188 / 255.0, 1e-6);
}

Test(texture, halves_are_given_one_by_one_and_by_twos)
{
    const CUDA_TEXTURE_DESC sampling = {0};
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = 2, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 4};
    const float bytes[8] = {1, -2, 0.5f, 65504, 3, 4, 5, 6};
    CUtexObject texture;

    start();
    memset(in, 0, sizeof in);
    texture = texture_of(array_of(&desc, 16, bytes), &sampling);
    must(ask(texture,
             "tex.1d.v2.f16x2.f32 {%r10, %r11}, [%rd5, {%f0}]; mov.u32 %r12, 0; mov.u32 %r13, 0;\n"
             "tex.1d.v4.f16.f32 {%h0, %h1, %h2, %h3}, [%rd5, {%f0}]; mov.b32 %r12, {%h0, %h1}; mov.b32 %r13, "
             "{%h2, "
             "%h3};",
             32));
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq((u16)(out[i / 2] >> i % 2 * 16), to_h(bytes[i]), "%u", i);
        cr_assert_eq((u16)(out[2 + i / 2] >> i % 2 * 16), to_h(bytes[i]), "%u", i);
    }
}

/* --- layers, cube maps, levels, and more of a fetch --- */

Test(texture, layers_are_counted_and_never_mixed)
{
    const struct way way = {CU_TR_ADDRESS_MODE_CLAMP, false, true};
    const CUDA_TEXTURE_DESC sampling = sampling_of(&way);
    struct picture picture;
    CUtexObject texture;

    start();
    paint(&picture, 2, 6, 4, 5);
    texture = texture_of(array_with(&picture, CUDA_ARRAY3D_LAYERED), &sampling);
    for (unsigned i = 0; i < PLACES; i++) {
        set_place(i, coordinate(i, 6, false), coordinate(i / 3, 4, false), 0, 0);
        in[i * 4 + 3] = i % 7;
    }
    must(ask(texture, "tex.a2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%r7, %f0, %f1, %f1}];", PLACES));
    for (unsigned i = 0; i < PLACES; i++) {
        float place[2];

        memcpy(place, &in[i * 4], sizeof place);
        expect_near(single(out[i * 4]), expected(&picture, &way, place, i % 7 < 5 ? i % 7 : 4), "a2d", i);
    }
    paint(&picture, 1, 6, 1, 5);
    texture = texture_of(array_with(&picture, CUDA_ARRAY3D_LAYERED), &sampling);
    must(ask(texture, "tex.a1d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%r7, %f0}];", PLACES));
    for (unsigned i = 0; i < PLACES; i++) {
        float place[1];

        memcpy(place, &in[i * 4], sizeof place);
        expect_near(single(out[i * 4]), expected(&picture, &way, place, i % 7 < 5 ? i % 7 : 4), "a1d", i);
    }
}

/* Each face has one number. */
Test(texture, a_direction_finds_the_face_of_its_cube)
{
    static const float directions[6][3] = {{2, 1, -1},    {-3, 1, 2}, {1, 4, 1},
                                           {0, -1, 0.5f}, {1, 1, 2},  {0, 1, -2}};
    const CUDA_TEXTURE_DESC sampling = {.filterMode = CU_TR_FILTER_MODE_LINEAR,
                                        .flags = CU_TRSF_NORMALIZED_COORDINATES};
    CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = 2,
                                    .Height = 2,
                                    .Depth = 6,
                                    .Format = CU_AD_FORMAT_FLOAT,
                                    .NumChannels = 1,
                                    .Flags = CUDA_ARRAY3D_CUBEMAP};
    float texels[12 * 4];
    CUtexObject texture;

    start();
    for (unsigned i = 0; i < 48; i++)
        texels[i] = (float)(i / 4);
    texture = texture_of(array_of(&desc, 4, texels), &sampling);
    for (unsigned i = 0; i < 32; i++) {
        set_place(i, directions[i % 6][0], directions[i % 6][1], directions[i % 6][2], 0);
        in[i * 4 + 3] = i & 1;
    }
    must(ask(texture, "tex.cube.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0, %f1, %f2, %f3}];", 32));
    for (unsigned i = 0; i < 32; i++)
        cr_assert_eq(single(out[i * 4]), i % 6);
    desc.Depth = 12;
    desc.Flags |= CUDA_ARRAY3D_LAYERED;
    texture = texture_of(array_of(&desc, 4, texels), &sampling);
    must(ask(texture, "tex.acube.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%r7, %f0, %f1, %f2}];", 32));
    for (unsigned i = 0; i < 32; i++)
        cr_assert_eq(single(out[i * 4]), (i & 1) * 6 + i % 6);
}

/* On a face: to the right, and down, as the guide's table says. */
Test(texture, places_on_a_face_lie_as_the_table_says)
{
    /* The upper right texel of each face. */
    static const float directions[6][3] = {{1, 0.5f, -0.5f}, {-1, 0.5f, 0.5f}, {0.5f, 1, -0.5f},
                                           {0.5f, -1, 0.5f}, {0.5f, 0.5f, 1},  {-0.5f, 0.5f, -1}};
    const CUDA_TEXTURE_DESC sampling = {.flags = CU_TRSF_NORMALIZED_COORDINATES};
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = 2,
                                          .Height = 2,
                                          .Depth = 6,
                                          .Format = CU_AD_FORMAT_FLOAT,
                                          .NumChannels = 1,
                                          .Flags = CUDA_ARRAY3D_CUBEMAP};
    float texels[24];

    start();
    for (unsigned i = 0; i < 24; i++)
        texels[i] = (float)i;
    for (unsigned i = 0; i < 32; i++)
        set_place(i, directions[i % 6][0], directions[i % 6][1], directions[i % 6][2], 0);
    must(ask(texture_of(array_of(&desc, 4, texels), &sampling),
             "tex.cube.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0, %f1, %f2, %f3}];", 32));
    for (unsigned i = 0; i < 32; i++)
        cr_assert_eq(single(out[i * 4]), (float)(i % 6 * 4 + 1), "face %u: %g", i % 6, single(out[i * 4]));
}

/* Level n is all 10 n. */
static CUtexObject levels(CUfilter_mode filter, float bias, float least, float most)
{
    const CUDA_ARRAY3D_DESCRIPTOR desc = {
        .Width = 8, .Height = 8, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
    const CUDA_TEXTURE_DESC sampling = {.filterMode = CU_TR_FILTER_MODE_LINEAR,
                                        .mipmapFilterMode = filter,
                                        .flags = CU_TRSF_NORMALIZED_COORDINATES,
                                        .mipmapLevelBias = bias,
                                        .minMipmapLevelClamp = least,
                                        .maxMipmapLevelClamp = most};
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY};
    CUmipmappedArray array;
    CUtexObject texture;

    must(cuMipmappedArrayCreate(&array, &desc, 4));
    for (unsigned level = 0; level < 4; level++) {
        unsigned side = 8u >> level;
        float texels[64];
        CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                              .srcHost = texels,
                              .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                              .WidthInBytes = side * 4,
                              .Height = side,
                              .Depth = 1};

        for (unsigned i = 0; i < 64; i++)
            texels[i] = (float)(10 * level);
        must(cuMipmappedArrayGetLevel(&copy.dstArray, array, level));
        must(cuMemcpy3D(&copy));
    }
    resource.res.mipmap.hMipmappedArray = array;
    must(cuTexObjectCreate(&texture, &resource, &sampling, NULL));
    return texture;
}

static const char by_level[] = "tex.level.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0, %f1}], %f3;";

static void set_levels(void)
{
    for (unsigned i = 0; i < 64; i++)
        set_place(i, 0.3f, 0.6f, 0, (float)i / 8 - 2);
}

Test(texture, levels_are_chosen_or_mixed)
{
    start();
    set_levels();
    must(ask(levels(CU_TR_FILTER_MODE_POINT, 0, 0, 10), by_level, 64));
    for (unsigned i = 0; i < 64; i++) {
        double level = i / 8.0 - 2;

        level = level < 0 ? 0 : level > 3 ? 3 : level;
        cr_assert_eq(single(out[i * 4]), 10 * floor(level + 0.5), "%u: %g", i, single(out[i * 4]));
    }
    must(ask(levels(CU_TR_FILTER_MODE_LINEAR, 0.5f, 0.25f, 2.5f), by_level, 64));
    for (unsigned i = 0; i < 64; i++) {
        double level = i / 8.0 - 1.5;

        level = level < 0.25 ? 0.25 : level > 2.5 ? 2.5 : level;
        expect_near(single(out[i * 4]), 10 * level, "levels", i);
    }
    /* What says no level reads the first that there is. */
    must(ask(levels(CU_TR_FILTER_MODE_POINT, 0, 2, 10),
             "tex.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0, %f1}];", 64));
    cr_assert_eq(single(out[0]), 20);
}

/* Two texels of the first level from one place to the next, then four. */
Test(texture, gradients_say_which_level)
{
    start();
    set_levels();
    must(ask(
        levels(CU_TR_FILTER_MODE_POINT, 0, 0, 10),
        "mov.f32 %f4, 0f3E800000; mov.f32 %f5, 0f00000000; and.b32 %r3, %r0, 1; setp.eq.u32 %p0, %r3, 1;\n"
        "@%p0 mov.f32 %f5, 0f3F000000;\n"
        "tex.grad.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0, %f1}], {%f4, 0f00000000}, "
        "{0f00000000, %f5};",
        64));
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(single(out[i * 4]), i & 1 ? 20 : 10, "%u: %g", i, single(out[i * 4]));
}

Test(texture, one_component_of_four_texels_is_gathered)
{
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = 4,
                                          .Height = 4,
                                          .Format = CU_AD_FORMAT_FLOAT,
                                          .NumChannels = 2,
                                          .Flags = CUDA_ARRAY3D_TEXTURE_GATHER};
    const CUDA_TEXTURE_DESC sampling = {
        .addressMode = {CU_TR_ADDRESS_MODE_CLAMP, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_ADDRESS_MODE_CLAMP}};
    static const int corners[4][2] = {{0, 1}, {1, 1}, {1, 0}, {0, 0}};
    float texels[32];
    CUtexObject texture;

    start();
    for (unsigned i = 0; i < 32; i++)
        texels[i] = (float)i;
    texture = texture_of(array_of(&desc, 8, texels), &sampling);
    for (unsigned i = 0; i < 32; i++)
        set_place(i, (float)(i % 5) - 0.2f, (float)(i / 5) - 0.7f, 0, 0);
    must(ask(texture, "tld4.g.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0, %f1}];", 32));
    for (unsigned i = 0; i < 32; i++)
        for (unsigned k = 0; k < 4; k++) {
            int x = (int)floor((float)(i % 5) - 0.7f) + corners[k][0];
            int y = (int)floor((float)(i / 5) - 1.2f) + corners[k][1];

            x = x < 0 ? 0 : x > 3 ? 3 : x;
            y = y < 0 ? 0 : y > 3 ? 3 : y;
            cr_assert_eq(single(out[i * 4 + k]), (float)(2 * (4 * y + x) + 1), "%u.%u: %g", i, k,
                         single(out[i * 4 + k]));
        }
}

/* By texels, after the place is found and before the edge is looked at; whether it was there says the predicate. */
Test(texture, a_place_is_moved_by_an_offset)
{
    const struct way way = {CU_TR_ADDRESS_MODE_CLAMP, false, false};
    const CUDA_TEXTURE_DESC sampling = sampling_of(&way);
    struct picture picture;

    start();
    paint(&picture, 2, 8, 5, 1);
    for (unsigned i = 0; i < 64; i++)
        set_place(i, (float)(i % 8), (float)(i / 8), 0, 0);
    must(ask(texture_of(array_with(&picture, 0), &sampling),
             "tex.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}|%p0, [%rd5, {%f0, %f1}], {2, -1};\n"
             "selp.u32 %r11, 1, 0, %p0;",
             64));
    for (unsigned i = 0; i < 64; i++) {
        float place[2] = {(float)(i % 8) + 2, (float)(i / 8) - 1};

        cr_assert_eq(single(out[i * 4]), (float)expected(&picture, &way, place, 0));
        cr_assert_eq(out[i * 4 + 1], 1);
    }
}

/* Bytes by fours as one word; of four layers the middle two. */
Test(texture, a_view_shows_an_array_otherwise)
{
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = 4,
                                          .Depth = 4,
                                          .Format = CU_AD_FORMAT_UNSIGNED_INT8,
                                          .NumChannels = 4,
                                          .Flags = CUDA_ARRAY3D_LAYERED};
    const CUDA_RESOURCE_VIEW_DESC view = {
        .format = CU_RES_VIEW_FORMAT_UINT_1X32, .width = 4, .depth = 4, .firstLayer = 1, .lastLayer = 2};
    const CUDA_TEXTURE_DESC sampling = {
        .addressMode = {CU_TR_ADDRESS_MODE_CLAMP, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_ADDRESS_MODE_CLAMP}};
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY};
    CUDA_RESOURCE_VIEW_DESC wrong = view, found;
    CUtexObject texture;
    uint32_t texels[16];

    start();
    for (unsigned i = 0; i < 16; i++)
        texels[i] = i * 0x01010101u;
    resource.res.array.hArray = array_of(&desc, 4, texels);
    must(cuTexObjectCreate(&texture, &resource, &sampling, &view));
    must(cuTexObjectGetResourceViewDesc(&found, texture));
    cr_assert_eq(found.lastLayer, 2);
    for (unsigned i = 0; i < 32; i++) {
        in[i * 4] = i % 4;
        in[i * 4 + 1] = i / 4;
    }
    must(ask(texture, "tex.a1d.v4.u32.s32 {%r10, %r11, %r12, %r13}, [%rd5, {%r5, %r4}];", 32));
    for (unsigned i = 0; i < 32; i++)
        cr_assert_eq(out[i * 4], texels[(i / 4 > 1 ? 8 : 4 + i / 4 * 4) + i % 4]);
    wrong.format = CU_RES_VIEW_FORMAT_UINT_1X16;
    cr_assert_eq(cuTexObjectCreate(&texture, &resource, &sampling, &wrong), CUDA_ERROR_INVALID_VALUE);
    wrong = view;
    wrong.lastLayer = 4;
    cr_assert_eq(cuTexObjectCreate(&texture, &resource, &sampling, &wrong), CUDA_ERROR_INVALID_VALUE);
}

/* --- what is asked, and what goes wrong --- */

Test(texture, it_says_what_it_is)
{
    const CUDA_TEXTURE_DESC sampling = {.addressMode = {CU_TR_ADDRESS_MODE_WRAP, CU_TR_ADDRESS_MODE_BORDER},
                                        .filterMode = CU_TR_FILTER_MODE_LINEAR,
                                        .flags = CU_TRSF_NORMALIZED_COORDINATES};
    struct picture picture;
    CUtexObject texture;

    start();
    paint(&picture, 2, 6, 4, 5);
    texture = texture_of(array_with(&picture, CUDA_ARRAY3D_LAYERED), &sampling);
    must(ask(texture,
             "txq.width.b32 %r10, [%rd5]; txq.height.b32 %r11, [%rd5]; txq.array_size.b32 %r12, [%rd5];\n"
             "txq.normalized_coords.b32 %r13, [%rd5];",
             32));
    cr_assert(out[0] == 6 && out[1] == 4 && out[2] == 5 && out[3] == 1);
    must(ask(texture,
             "txq.filter_mode.b32 %r10, [%rd5]; txq.addr_mode_0.b32 %r11, [%rd5]; txq.addr_mode_1.b32 %r12, "
             "[%rd5];\n"
             "txq.num_mipmap_levels.b32 %r13, [%rd5];",
             32));
    cr_assert(out[0] == 1 && out[1] == 0 && out[2] == 4 && out[3] == 1);
    must(ask(levels(CU_TR_FILTER_MODE_POINT, 0, 0, 10),
             "txq.level.width.b32 %r10, [%rd5], 2; txq.level.height.b32 %r11, [%rd5], 3;\n"
             "txq.num_mipmap_levels.b32 %r12, [%rd5]; txq.channel_data_type.b32 %r13, [%rd5];",
             32));
    cr_assert(out[0] == 2 && out[1] == 1 && out[2] == 4 && out[3] == 0x10de);
}

Test(texture, a_handle_of_nothing_is_a_launch_that_failed)
{
    start();
    cr_assert_eq(ask(0x12345678, "tex.1d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0}];", 32),
                 CUDA_ERROR_LAUNCH_FAILED);
}

Test(texture, memory_that_is_gone_is_an_illegal_address)
{
    const CUDA_TEXTURE_DESC sampling = {.flags = CU_TRSF_READ_AS_INTEGER};
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = 4, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
    const float texels[4] = {1, 2, 3, 4};
    CUtexObject texture;
    CUarray array;

    start();
    array = array_of(&desc, 4, texels);
    texture = texture_of(array, &sampling);
    must(cuArrayDestroy(array));
    cr_assert_eq(ask(texture, "tex.1d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd5, {%f0}];", 32),
                 CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(texture, what_no_texture_can_be_made_of_is_refused)
{
    const CUDA_TEXTURE_DESC point = {.flags = CU_TRSF_READ_AS_INTEGER},
                            linear = {.filterMode = CU_TR_FILTER_MODE_LINEAR,
                                      .flags = CU_TRSF_READ_AS_INTEGER},
                            wrong = {.addressMode = {(CUaddress_mode)4}};
    CUDA_RESOURCE_DESC row = {.resType = CU_RESOURCE_TYPE_LINEAR,
                              .res.linear = {.format = CU_AD_FORMAT_UNSIGNED_INT8, .numChannels = 1}};
    CUDA_RESOURCE_DESC plane = {.resType = CU_RESOURCE_TYPE_PITCH2D,
                                .res.pitch2D = {.format = CU_AD_FORMAT_UNSIGNED_INT8,
                                                .numChannels = 4,
                                                .width = 16,
                                                .height = 8,
                                                .pitchInBytes = 64}};
    CUdeviceptr memory;
    CUtexObject texture;

    start();
    must(cuMemAlloc(&memory, 4096));
    row.res.linear.devPtr = memory;
    row.res.linear.sizeInBytes = 4096;
    must(cuTexObjectCreate(&texture, &row, &point, NULL));
    cr_assert_eq(cuTexObjectCreate(&texture, &row, &wrong, NULL), CUDA_ERROR_INVALID_VALUE);
    row.res.linear.devPtr += 16;
    row.res.linear.sizeInBytes -= 16;
    cr_assert_eq(cuTexObjectCreate(&texture, &row, &point, NULL), CUDA_ERROR_INVALID_VALUE);
    row.res.linear.devPtr = memory;
    row.res.linear.numChannels = 3;
    cr_assert_eq(cuTexObjectCreate(&texture, &row, &point, NULL), CUDA_ERROR_INVALID_VALUE);
    row.res.linear.numChannels = 1;
    row.res.linear.sizeInBytes = 1 << 30;
    cr_assert_eq(cuTexObjectCreate(&texture, &row, &point, NULL), CUDA_ERROR_INVALID_VALUE);
    plane.res.pitch2D.devPtr = memory;
    must(cuTexObjectCreate(&texture, &plane, &point, NULL));
    cr_assert_eq(cuTexObjectCreate(&texture, &plane, &linear, NULL), CUDA_ERROR_INVALID_VALUE);
    plane.res.pitch2D.pitchInBytes = 72;
    cr_assert_eq(cuTexObjectCreate(&texture, &plane, &point, NULL), CUDA_ERROR_INVALID_VALUE);
    plane.res.pitch2D.pitchInBytes = 32;
    cr_assert_eq(cuTexObjectCreate(&texture, &plane, &point, NULL), CUDA_ERROR_INVALID_VALUE);
}
