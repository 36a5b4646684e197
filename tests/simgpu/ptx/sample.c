/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/sample.h"

#include "memory/texel.h"

#include <math.h>
#include <string.h>

struct sampler {
    const struct texture *texture;
    const struct ptx_fetch *fetch;
    const struct texture_level *level;
    sample_reach *reach;
    void *who;
    f32 at[3]; /* of a cube map: within the face */
    u32 layer;
    unsigned dimensions;
};

/* Along one axis: a texel, and how much of the next one counts. */
struct axis {
    s64 first;
    f64 part;
};

static f32 number_of(u32 bits)
{
    return ptx_float_b32(bits);
}

/* Coordinates need not be numbers, or small ones. */
static s64 floor_of(f64 value)
{
    const f64 most = 1e15;

    return value != value ? 0 : value > most ? (s64)most : value < -most ? -(s64)most : (s64)floor(value);
}

/* Fractions have 8 bits. */
static f64 eighth_bit(f64 part)
{
    return floor(part * 256 + 0.5) / 256;
}

static bool is_normalized(const struct sampler *sampler)
{
    return sampler->fetch->is_cube ||
           (sampler->texture->sampling.flags & CU_TRSF_NORMALIZED_COORDINATES && !sampler->fetch->is_whole);
}

static bool is_mixed(const struct sampler *sampler)
{
    return sampler->fetch->is_gathered ||
           (sampler->texture->sampling.filterMode == CU_TR_FILTER_MODE_LINEAR && !sampler->fetch->is_whole);
}

static size_t count_of(const struct texture_level *level, unsigned axis)
{
    return axis == 0 ? level->width : axis == 1 ? level->height : level->depth;
}

/* Where a texel that may be outside comes from; -1: from the border. */
static s64 inside(const struct sampler *sampler, unsigned axis, s64 index)
{
    CUaddress_mode mode = sampler->texture->sampling.addressMode[axis];
    s64 count = (s64)count_of(sampler->level, axis), turn;

    if (index >= 0 && index < count)
        return index;
    if (mode == CU_TR_ADDRESS_MODE_BORDER && !sampler->fetch->is_cube)
        return -1;
    if (sampler->fetch->is_cube || mode == CU_TR_ADDRESS_MODE_CLAMP || !is_normalized(sampler))
        return index < 0 ? 0 : count - 1;
    turn = index % (2 * count);
    turn += turn < 0 ? 2 * count : 0;
    if (mode == CU_TR_ADDRESS_MODE_WRAP)
        return turn % count;
    return turn < count ? turn : 2 * count - 1 - turn;
}

static f32 linear_of(f32 value)
{
    return value <= 0.04045f ? value / 12.92f : (f32)pow((value + 0.055) / 1.055, 2.4);
}

static u32 promoted(const struct texture *texture, unsigned channel, s32 value)
{
    bool is_signed =
        texture->format == CU_AD_FORMAT_SIGNED_INT8 || texture->format == CU_AD_FORMAT_SIGNED_INT16;
    f32 most = (f32)((1u << (8 * channel_bytes(texture->format) - is_signed)) - 1), part = (f32)value / most;

    if (part < -1)
        part = -1;
    if (texture->sampling.flags & CU_TRSF_SRGB && texture->format == CU_AD_FORMAT_UNSIGNED_INT8 &&
        channel < 3)
        part = linear_of(part);
    return ptx_bits_f32(part);
}

/* One channel, as it lies in memory. */
static u32 unpack(const struct texture *texture, unsigned channel, const u8 *from)
{
    u32 word = 0;

    memcpy(&word, from, channel_bytes(texture->format));
    switch (texture->format) {
    case CU_AD_FORMAT_HALF:
        return ptx_bits_f32(ptx_widen_f16((u16)word));
    case CU_AD_FORMAT_SIGNED_INT8:
        word = (u32)(s8)word;
        break;
    case CU_AD_FORMAT_SIGNED_INT16:
        word = (u32)(s16)word;
        break;
    default:
        break;
    }
    return texture->is_promoted ? promoted(texture, channel, (s32)word) : word;
}

static bool gives_floats(const struct texture *texture)
{
    return texture->is_promoted || channel_is_float(texture->format);
}

static void read_texel(const struct sampler *sampler, const s64 index[3], u32 texel[4])
{
    const struct texture *texture = sampler->texture;
    const struct texture_level *level = sampler->level;
    size_t bytes = channel_bytes(texture->format);
    const u8 *from = sampler->reach(sampler->who,
                                    level->start + (size_t)index[0] * texture->bytes +
                                        (size_t)index[1] * level->pitch + (size_t)index[2] * level->slice,
                                    texture->bytes);

    for (unsigned i = 0; i < 4; i++) {
        if (i < texture->channels)
            texel[i] = unpack(texture, i, from + i * bytes);
        else
            texel[i] = i < 3 ? 0 : gives_floats(texture) ? ptx_bits_f32(1) : 1;
    }
}

/* The texel at whole coordinates, wherever they are. */
static void texel_at(const struct sampler *sampler, const s64 at[3], u32 texel[4])
{
    s64 index[3] = {0, 0, 0};

    for (unsigned i = 0; i < sampler->dimensions; i++) {
        index[i] = inside(sampler, i, at[i]);
        if (index[i] < 0) {
            memcpy(texel, sampler->texture->sampling.borderColor, 4 * sizeof *texel);
            return;
        }
    }
    if (sampler->dimensions < 3)
        index[2] = (s64)sampler->layer;
    read_texel(sampler, index, texel);
}

static struct axis axis_of(const struct sampler *sampler, unsigned number)
{
    s64 offset = sampler->fetch->offset[number];
    f64 at = sampler->at[number];
    s64 first;

    if (sampler->fetch->is_whole)
        return (struct axis){(s64)(s32)sampler->fetch->at[number] + offset, 0};
    if (is_normalized(sampler))
        at *= (f64)count_of(sampler->level, number);
    if (!is_mixed(sampler))
        return (struct axis){floor_of(at) + offset, 0};
    at -= 0.5;
    first = floor_of(at);
    return (struct axis){first + offset,
                         at - (f64)first >= 0 && at - (f64)first <= 1 ? eighth_bit(at - (f64)first) : 0};
}

/* Texels around the place, each by its weight. */
static void mix(const struct sampler *sampler, const struct axis axes[3], u32 texel[4])
{
    f64 sums[4] = {0, 0, 0, 0};

    for (unsigned corner = 0; corner < 1u << sampler->dimensions; corner++) {
        f64 weight = 1;
        s64 at[3] = {0, 0, 0};
        u32 one[4];

        for (unsigned i = 0; i < sampler->dimensions; i++) {
            weight *= corner >> i & 1 ? axes[i].part : 1 - axes[i].part;
            at[i] = axes[i].first + (corner >> i & 1);
        }
        if (weight == 0)
            continue;
        texel_at(sampler, at, one);
        for (unsigned i = 0; i < 4; i++)
            sums[i] += weight * number_of(one[i]);
    }
    for (unsigned i = 0; i < 4; i++)
        texel[i] = ptx_bits_f32((f32)sums[i]);
}

/* One component of four texels, against the clock from the lower left one. */
static void gather(const struct sampler *sampler, const struct axis axes[3], u32 texel[4])
{
    static const u8 corners[4][2] = {{0, 1}, {1, 1}, {1, 0}, {0, 0}};

    for (unsigned i = 0; i < 4; i++) {
        s64 at[3] = {axes[0].first + corners[i][0], axes[1].first + corners[i][1], 0};
        u32 one[4];

        texel_at(sampler, at, one);
        texel[i] = one[sampler->fetch->component];
    }
}

static void sample_level(struct sampler *sampler, unsigned level, u32 texel[4])
{
    struct axis axes[3] = {{0, 0}, {0, 0}, {0, 0}};

    sampler->level = &sampler->texture->levels[level];
    for (unsigned i = 0; i < sampler->dimensions; i++)
        axes[i] = axis_of(sampler, i);
    if (sampler->fetch->is_gathered)
        gather(sampler, axes, texel);
    else if (is_mixed(sampler) && gives_floats(sampler->texture))
        mix(sampler, axes, texel);
    else
        texel_at(sampler, (s64[]){axes[0].first, axes[1].first, axes[2].first}, texel);
}

/* Where a direction meets the cube: the face in its layers, and a place within. */
static void meet_cube(struct sampler *sampler)
{
    f32 x = sampler->at[0], y = sampler->at[1], z = sampler->at[2], most, s, t;
    f32 ax = fabsf(x), ay = fabsf(y), az = fabsf(z);
    unsigned face;

    if (ax >= ay && ax >= az) {
        face = x < 0;
        most = ax, s = x < 0 ? z : -z, t = -y;
    } else if (ay >= az) {
        face = 2 + (y < 0);
        most = ay, s = x, t = y < 0 ? -z : z;
    } else {
        face = 4 + (z < 0);
        most = az, s = z < 0 ? -x : x, t = -y;
    }
    sampler->at[0] = (s / most + 1) / 2;
    sampler->at[1] = (t / most + 1) / 2;
    sampler->layer = sampler->layer * 6 + face;
    sampler->dimensions = 2;
}

/* How many texels of the first level a step in the grid of the picture crosses, as a power of two. */
static f64 level_of_gradients(const struct sampler *sampler)
{
    const struct ptx_fetch *fetch = sampler->fetch;
    f64 x = 0, y = 0;

    for (unsigned i = 0; i < fetch->dimensions; i++) {
        f64 count = is_normalized(sampler) ? (f64)count_of(&sampler->texture->levels[0], i) : 1;

        x += fetch->dx[i] * count * fetch->dx[i] * count;
        y += fetch->dy[i] * count * fetch->dy[i] * count;
    }
    return log2(x > y ? x : y) / 2;
}

static f64 level_of(const struct sampler *sampler)
{
    const CUDA_TEXTURE_DESC *sampling = &sampler->texture->sampling;
    const struct ptx_fetch *fetch = sampler->fetch;
    f64 level = 0;

    if (fetch->has_level)
        level = fetch->is_whole ? (f64)(s32)fetch->level : (f64)number_of(fetch->level);
    else if (fetch->has_gradients)
        level = level_of_gradients(sampler);
    level += sampling->mipmapLevelBias;
    if (!(level >= sampling->minMipmapLevelClamp))
        level = sampling->minMipmapLevelClamp;
    if (level > sampling->maxMipmapLevelClamp)
        level = sampling->maxMipmapLevelClamp;
    if (!(level >= 0))
        level = 0;
    return level < sampler->texture->level_count - 1 ? level : sampler->texture->level_count - 1;
}

/* The level, or two of them mixed. */
static void sample_levels(struct sampler *sampler, u32 texel[4])
{
    f64 level = level_of(sampler), part;
    u32 next[4];

    if (sampler->texture->sampling.mipmapFilterMode == CU_TR_FILTER_MODE_POINT) {
        sample_level(sampler, (unsigned)(level + 0.5), texel);
        return;
    }
    part = eighth_bit(level - floor(level));
    sample_level(sampler, (unsigned)level, texel);
    if (part == 0 || !gives_floats(sampler->texture))
        return;
    sample_level(sampler, (unsigned)level + 1, next);
    for (unsigned i = 0; i < 4; i++)
        texel[i] = ptx_bits_f32((f32)((1 - part) * number_of(texel[i]) + part * number_of(next[i])));
}

/* Memory in a row has no ways of addressing: outside there is nothing. */
static void sample_row(struct sampler *sampler, u32 texel[4])
{
    s64 at[3] = {sampler->fetch->is_whole ? (s32)sampler->fetch->at[0] : floor_of(sampler->at[0]), 0, 0};

    sampler->level = sampler->texture->levels;
    if (at[0] >= 0 && (size_t)at[0] < sampler->level->width)
        read_texel(sampler, at, texel);
    else
        memset(texel, 0, 4 * sizeof *texel);
}

void sample_fetch(const struct texture *texture, const struct ptx_fetch *fetch, sample_reach *reach,
                  void *who, u32 texel[4])
{
    struct sampler sampler = {.texture = texture,
                              .fetch = fetch,
                              .reach = reach,
                              .who = who,
                              .layer = fetch->is_layered ? fetch->layer : 0,
                              .dimensions = fetch->dimensions};
    size_t layers = texture->is_layered ? texture->levels[0].depth : 1;

    for (unsigned i = 0; i < fetch->dimensions; i++)
        sampler.at[i] = number_of(fetch->at[i]);
    if (fetch->is_cube) {
        layers /= 6;
        if (sampler.layer >= layers)
            sampler.layer = layers ? (u32)layers - 1 : 0;
        meet_cube(&sampler);
        layers = texture->levels[0].depth;
    }
    if (sampler.layer >= layers)
        sampler.layer = (u32)layers - 1;
    if (texture->resource.resType == CU_RESOURCE_TYPE_LINEAR)
        sample_row(&sampler, texel);
    else if (texture->level_count > 1)
        sample_levels(&sampler, texel);
    else
        sample_level(&sampler, 0, texel);
}

/* False: outside. */
static bool bound(s64 *at, s64 last, u8 outside)
{
    if (*at >= 0 && *at <= last)
        return true;
    *at = *at < 0 ? 0 : last;
    return outside == PTX_OUTSIDE_CLAMP;
}

uintptr_t sample_place(const struct texture *surface, const struct ptx_place *place)
{
    const struct texture_level *level = surface->levels;
    s64 at[3] = {place->at[0], 0, 0}, row = (s64)(level->width * surface->bytes);
    s64 step = place->is_counted ? (s64)surface->bytes : 1;
    s64 bytes = place->bytes ? place->bytes : (s64)surface->bytes;

    if (place->dimensions > 1)
        at[1] = place->at[1];
    at[2] = place->is_layered ? (s64)place->layer : place->dimensions > 2 ? place->at[2] : 0;
    at[0] *= step;
    if (!bound(&at[0], row - bytes, place->outside) ||
        !bound(&at[1], (s64)level->height - 1, place->outside) ||
        !bound(&at[2], (s64)level->depth - 1, place->outside) || row < bytes)
        return 0;
    return level->start + (size_t)at[0] + (size_t)at[1] * level->pitch + (size_t)at[2] * level->slice;
}

static u32 bounded(u32 word, unsigned bits, bool is_signed)
{
    s64 value = is_signed ? (s64)(s32)word : (s64)word;
    s64 most = ((s64)1 << (bits - is_signed)) - 1, least = is_signed ? -most - 1 : 0;

    return (u32)(value > most ? most : value < least ? least : value);
}

void sample_pack(const struct texture *surface, const u32 words[4], u8 texel[16])
{
    size_t bytes = channel_bytes(surface->format);
    bool is_signed = surface->format == CU_AD_FORMAT_SIGNED_INT8 ||
                     surface->format == CU_AD_FORMAT_SIGNED_INT16 ||
                     surface->format == CU_AD_FORMAT_SIGNED_INT32;

    for (unsigned i = 0; i < surface->channels; i++) {
        u32 word = surface->format == CU_AD_FORMAT_HALF    ? ptx_narrow_f16(number_of(words[i]), PTX_RN, 0)
                   : surface->format == CU_AD_FORMAT_FLOAT ? words[i]
                                                           : bounded(words[i], 8 * (u32)bytes, is_signed);

        memcpy(texel + i * bytes, &word, bytes);
    }
}

/* Numbers of cl_channel_type. */
static u32 channel_type(const struct texture *texture)
{
    bool promoted = texture->is_promoted;

    switch (texture->format) {
    case CU_AD_FORMAT_SIGNED_INT8:
        return promoted ? 0x10d0 : 0x10d7;
    case CU_AD_FORMAT_SIGNED_INT16:
        return promoted ? 0x10d1 : 0x10d8;
    case CU_AD_FORMAT_UNSIGNED_INT8:
        return promoted ? 0x10d2 : 0x10da;
    case CU_AD_FORMAT_UNSIGNED_INT16:
        return promoted ? 0x10d3 : 0x10db;
    case CU_AD_FORMAT_SIGNED_INT32:
        return 0x10d9;
    case CU_AD_FORMAT_UNSIGNED_INT32:
        return 0x10dc;
    case CU_AD_FORMAT_HALF:
        return 0x10dd;
    default:
        return 0x10de;
    }
}

/* Of cl_channel_order: R, RG, RGBA. */
static u32 channel_order(const struct texture *texture)
{
    return texture->channels == 1 ? 0x10b0 : texture->channels == 2 ? 0x10b2 : 0x10b5;
}

/* In the order in which PTX lists them; 2 is clamp_ogl, which nothing here is. */
static u32 address_way(const struct texture *texture, unsigned axis)
{
    static const u8 numbers[] = {[CU_TR_ADDRESS_MODE_WRAP] = 0,
                                 [CU_TR_ADDRESS_MODE_CLAMP] = 3,
                                 [CU_TR_ADDRESS_MODE_MIRROR] = 1,
                                 [CU_TR_ADDRESS_MODE_BORDER] = 4};

    return numbers[texture->sampling.addressMode[axis]];
}

u32 sample_answer(const struct texture *texture, enum ptx_question question, u32 level)
{
    const struct texture_level *at =
        &texture->levels[level < texture->level_count ? level : texture->level_count - 1];

    switch (question) {
    case PTX_ASK_WIDTH:
        return (u32)at->width;
    case PTX_ASK_HEIGHT:
        return (u32)at->height;
    case PTX_ASK_DEPTH:
        return texture->is_layered ? 1 : (u32)at->depth;
    case PTX_ASK_ARRAY_SIZE:
        return texture->is_layered ? (u32)at->depth : 1;
    case PTX_ASK_LEVELS:
        return texture->level_count;
    case PTX_ASK_CHANNEL_TYPE:
        return channel_type(texture);
    case PTX_ASK_CHANNEL_ORDER:
        return channel_order(texture);
    case PTX_ASK_NORMALIZED:
        return !!(texture->sampling.flags & CU_TRSF_NORMALIZED_COORDINATES);
    case PTX_ASK_UNNORMALIZED:
        return !(texture->sampling.flags & CU_TRSF_NORMALIZED_COORDINATES);
    case PTX_ASK_FILTER:
        return texture->sampling.filterMode == CU_TR_FILTER_MODE_LINEAR;
    case PTX_ASK_ADDRESS_0:
    case PTX_ASK_ADDRESS_1:
    case PTX_ASK_ADDRESS_2:
        return address_way(texture, question - PTX_ASK_ADDRESS_0);
    case PTX_ASK_SAMPLES:
        return 1;
    case PTX_ASK_LAYOUT:
        return 0;
    }
    return 0;
}
