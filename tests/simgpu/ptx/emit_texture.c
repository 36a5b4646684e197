/* SPDX-License-Identifier: Apache-2.0 */
/* Textures and surfaces: the machine has the formulas, and is told what is wanted. */
#include "ptx/family.h"

#include <string.h>

#define PRINT(...) arena_print(emitter->arena, __VA_ARGS__)

/* What the word for the geometry says. */
struct geometry {
    const char *word;
    unsigned dimensions;
    bool is_cube, is_layered;
};

static const struct geometry geometries[] = {
    {"1d", 1, false, false}, {"2d", 2, false, false},  {"3d", 3, false, false}, {"a1d", 1, false, true},
    {"a2d", 2, false, true}, {"cube", 3, true, false}, {"acube", 3, true, true}};

static const struct geometry *find_geometry(struct emitter *emitter)
{
    for (size_t i = 0; i < sizeof geometries / sizeof *geometries; i++)
        if (emit_has(emitter, geometries[i].word))
            return &geometries[i];
    emit_fail(emitter, "%s of that geometry is not known", emitter->instruction->opcode);
}

/* An element of a vector, or the operand itself where it is none. */
static const struct ptx_operand *element(struct emitter *emitter, const struct ptx_operand *operand,
                                         unsigned number)
{
    if (operand->kind != OPERAND_VECTOR && number == 0)
        return operand;
    if (operand->kind != OPERAND_VECTOR || number >= operand->count)
        emit_fail(emitter, "%s has a vector that is too short", emitter->instruction->opcode);
    return &operand->items[number];
}

/* A value of 32 bits, or its bits. */
static const char *bits_of(struct emitter *emitter, const struct ptx_operand *operand,
                           const struct ptx_type *type)
{
    const char *value = emit_value(emitter, operand, type);

    return type->kind == TYPE_FLOAT ? PRINT("ptx_bits_f32(%s)", value) : PRINT("(u32)(%s)", value);
}

/* [handle, coordinates], or with a sampler between them, which here is part of the texture. */
static const char *handle_of(struct emitter *emitter, const struct ptx_operand *address)
{
    if (address->kind != OPERAND_ADDRESS || !address->count || address->count > 3)
        emit_fail(emitter, "%s wants a handle and a place", emitter->instruction->opcode);
    if (address->items[0].kind != OPERAND_REGISTER)
        emit_fail(emitter, "%s is known of handles in registers alone", emitter->instruction->opcode);
    return emit_value(emitter, &address->items[0], ptx_type_find("b64"));
}

/* The members that say where: the layer in front, if there is one, and coordinates of the type. */
static void put_place(struct emitter *emitter, const struct geometry *geometry,
                      const struct ptx_operand *address, const struct ptx_type *type)
{
    const struct ptx_operand *place = &address->items[address->count - 1];

    if (address->count < 2)
        emit_fail(emitter, "%s wants a place", emitter->instruction->opcode);
    if (geometry->is_layered)
        text_put(&emitter->out, ".layer = %s, ", emit_u32(emitter, element(emitter, place, 0)));
    text_put(&emitter->out, ".at = {");
    for (unsigned i = 0; i < geometry->dimensions; i++)
        text_put(&emitter->out, "%s%s", i ? ", " : "",
                 bits_of(emitter, element(emitter, place, i + geometry->is_layered), type));
    text_put(&emitter->out, "}, ");
}

static void put_vector(struct emitter *emitter, const char *member, const struct geometry *geometry,
                       const struct ptx_operand *operand, const char *type)
{
    text_put(&emitter->out, ".%s = {", member);
    for (unsigned i = 0; i < geometry->dimensions; i++)
        text_put(&emitter->out, "%s%s", i ? ", " : "",
                 emit_value(emitter, element(emitter, operand, i), ptx_type_find(type)));
    text_put(&emitter->out, "}, ");
}

/* What stands behind the address: the level or gradients, and offsets. */
static void put_rest(struct emitter *emitter, const struct geometry *geometry, const char *how,
                     const struct ptx_type *type)
{
    unsigned number = 2, count = emitter->instruction->count;

    if (how && strcmp(how, "level") == 0)
        text_put(&emitter->out, ".has_level = true, .level = %s, ",
                 bits_of(emitter, emit_operand(emitter, number++), type));
    if (how && strcmp(how, "grad") == 0) {
        put_vector(emitter, "dx", geometry, emit_operand(emitter, number++), "f32");
        put_vector(emitter, "dy", geometry, emit_operand(emitter, number++), "f32");
        text_put(&emitter->out, ".has_gradients = true, ");
    }
    if (number < count)
        put_vector(emitter, "offset", geometry, emit_operand(emitter, number++), "s32");
    if (number != count)
        emit_fail(emitter, "textures of depth are not known");
}

/* All four words to the result; halves come one by one, or by twos. */
static void assign_texel(struct emitter *emitter, const struct ptx_type *type, const char *texel)
{
    const struct ptx_operand *to = emit_operand(emitter, 0);
    bool is_pair = strcmp(type->name, "f16x2") == 0, is_half = strcmp(type->name, "f16") == 0;

    if (type->kind != TYPE_FLOAT && type->bits != 32 && !is_half)
        emit_fail(emitter, "a texture gives no .%s", type->name);
    if (to->second)
        emit_assign(emitter, to->second, ptx_type_find("pred"), "true");
    for (unsigned i = 0; i < (is_pair ? 2u : 4u); i++) {
        const char *value = PRINT("%s[%u]", texel, i);

        if (is_pair)
            value = PRINT("ptx_cvt_f16x2_f32(ptx_float_b32(%s[%u]), ptx_float_b32(%s[%u]), PTX_RN, 0)", texel,
                          2 * i + 1, texel, 2 * i);
        else if (is_half)
            value = PRINT("ptx_narrow_f16(ptx_float_b32(%s), PTX_RN, 0)", value);
        else if (type->kind == TYPE_FLOAT)
            value = PRINT("ptx_float_b32(%s)", value);
        emit_assign(emitter, element(emitter, to, i), type, value);
    }
}

/* The component that tld4 gathers. */
static void put_component(struct emitter *emitter)
{
    static const char *const components[] = {"r", "g", "b", "a"};
    unsigned number = 0;

    while (number < 4 && !emit_has(emitter, components[number]))
        number++;
    if (number == 4)
        emit_fail(emitter, "tld4 of no component is not known");
    text_put(&emitter->out, ".is_gathered = true, .component = %u, ", number);
}

/* tex and tld4 */
void emit_texture(struct emitter *emitter)
{
    const char *how = emit_one_of(emitter, "base level grad"), *fetch = emit_temporary(emitter);
    const struct geometry *geometry = find_geometry(emitter);
    const struct ptx_type *result, *type;
    const char *handle, *texel = emit_temporary(emitter);

    if (emit_vector(emitter) == 1)
        emit_fail(emitter, "%s gives a vector", emitter->instruction->opcode);
    result = emit_need_type(emitter);
    type = emit_need_type(emitter);
    if (strcmp(type->name, "f32") != 0 && strcmp(type->name, "s32") != 0)
        emit_fail(emitter, "coordinates of .%s are not known", type->name);
    emit_expect_count(emitter, 2, 5);
    handle = handle_of(emitter, emit_operand(emitter, 1));
    text_put(&emitter->out, "struct ptx_fetch %s = {.dimensions = %u, .is_cube = %d, .is_layered = %d, ",
             fetch, geometry->dimensions, geometry->is_cube, geometry->is_layered);
    if (strcmp(emitter->instruction->opcode, "tld4") == 0)
        put_component(emitter);
    put_place(emitter, geometry, emit_operand(emitter, 1), type);
    put_rest(emitter, geometry, how, type);
    text_put(&emitter->out, ".is_whole = %d}; u32 %s[4]; t->host->fetch(t, %s, &%s, %s); ",
             type->kind != TYPE_FLOAT, texel, handle, fetch, texel);
    assign_texel(emitter, result, texel);
}

/* txq and suq */
void emit_texture_query(struct emitter *emitter)
{
    static const struct {
        const char *word, *question;
    } questions[] = {{"width", "PTX_ASK_WIDTH"},
                     {"height", "PTX_ASK_HEIGHT"},
                     {"depth", "PTX_ASK_DEPTH"},
                     {"array_size", "PTX_ASK_ARRAY_SIZE"},
                     {"num_mipmap_levels", "PTX_ASK_LEVELS"},
                     {"num_samples", "PTX_ASK_SAMPLES"},
                     {"channel_data_type", "PTX_ASK_CHANNEL_TYPE"},
                     {"channel_order", "PTX_ASK_CHANNEL_ORDER"},
                     {"normalized_coords", "PTX_ASK_NORMALIZED"},
                     {"force_unnormalized_coords", "PTX_ASK_UNNORMALIZED"},
                     {"filter_mode", "PTX_ASK_FILTER"},
                     {"addr_mode_0", "PTX_ASK_ADDRESS_0"},
                     {"addr_mode_1", "PTX_ASK_ADDRESS_1"},
                     {"addr_mode_2", "PTX_ASK_ADDRESS_2"},
                     {"memory_layout", "PTX_ASK_LAYOUT"}};
    bool has_level = emit_has(emitter, "level"),
         is_surface = strcmp(emitter->instruction->opcode, "suq") == 0;
    const char *question = NULL, *level = "0";

    for (size_t i = 0; i < sizeof questions / sizeof *questions && !question; i++)
        if (emit_has(emitter, questions[i].word))
            question = questions[i].question;
    if (!question || strcmp(emit_need_type(emitter)->name, "b32") != 0)
        emit_fail(emitter, "%s of that is not known", emitter->instruction->opcode);
    emit_expect_count(emitter, 2 + has_level, 2 + has_level);
    if (has_level)
        level = emit_u32(emitter, emit_operand(emitter, 2));
    emit_assign(emitter, emit_operand(emitter, 0), ptx_type_find("b32"),
                PRINT("t->host->answer(t, %s, %d, %s, %s)", handle_of(emitter, emit_operand(emitter, 1)),
                      is_surface, question, level));
}

/* Declares what place of a surface is wanted; bytes 0: a texel's. Returns its name. */
static const char *surface_place(struct emitter *emitter, const struct geometry *geometry,
                                 const struct ptx_operand *address, bool is_counted, unsigned bytes)
{
    const char *outside = emit_one_of(emitter, "trap clamp zero"), *place = emit_temporary(emitter);

    if (!outside || geometry->is_cube)
        emit_fail(emitter, "%s of that kind is not known", emitter->instruction->opcode);
    text_put(&emitter->out,
             "struct ptx_place %s = {.dimensions = %u, .is_layered = %d, .is_counted = %d, "
             ".bytes = %u, .outside = PTX_OUTSIDE_%s, ",
             place, geometry->dimensions, geometry->is_layered, is_counted, bytes,
             *outside == 't'   ? "TRAP"
             : *outside == 'c' ? "CLAMP"
                               : "ZERO");
    put_place(emitter, geometry, address, ptx_type_find("u32"));
    text_put(&emitter->out, "}; ");
    return place;
}

static void ignore_hints(struct emitter *emitter)
{
    emit_ignore(emitter, "ca cg cs cv wb wt");
}

/* What a load or store of bytes has in common: declares the address of the place, and returns its name. */
static const char *surface_bytes(struct emitter *emitter, const struct geometry *geometry,
                                 const struct ptx_operand *address, unsigned bytes)
{
    const char *place = surface_place(emitter, geometry, address, false, bytes),
               *at = emit_temporary(emitter);

    text_put(&emitter->out, "u8 *%s = t->host->place(t, %s, &%s); ", at, handle_of(emitter, address), place);
    return at;
}

void emit_surface_load(struct emitter *emitter)
{
    const struct geometry *geometry = find_geometry(emitter);
    const struct ptx_type *type;
    const char *at;
    unsigned count;

    ignore_hints(emitter);
    if (!emit_has(emitter, "b"))
        emit_fail(emitter, "suld is known of bytes alone");
    count = emit_vector(emitter);
    type = emit_need_type(emitter);
    emit_expect_count(emitter, 2, 2);
    at = surface_bytes(emitter, geometry, emit_operand(emitter, 1), count * type->bits / 8);
    for (unsigned i = 0; i < count; i++)
        emit_assign(emitter, element(emitter, emit_operand(emitter, 0), i), type,
                    PRINT("%s ? ((const %s *)%s)[%u] : 0", at, type->c, at, i));
}

/* The words of a texel, which the machine turns into the surface's format. */
static void emit_formatted_store(struct emitter *emitter, const struct geometry *geometry)
{
    const struct ptx_operand *from = emit_operand(emitter, 1);
    unsigned count = emit_vector(emitter);
    const struct ptx_type *type = emit_need_type(emitter);
    const char *place = surface_place(emitter, geometry, emit_operand(emitter, 0), true, 0);

    if (type->bits != 32)
        emit_fail(emitter, "sust.p of .%s is not known", type->name);
    text_put(&emitter->out, "t->host->store(t, %s, &%s, (const u32[4]){",
             handle_of(emitter, emit_operand(emitter, 0)), place);
    for (unsigned i = 0; i < count; i++)
        text_put(&emitter->out, "%s%s", i ? ", " : "", bits_of(emitter, element(emitter, from, i), type));
    text_put(&emitter->out, "}); ");
}

void emit_surface_store(struct emitter *emitter)
{
    const struct geometry *geometry = find_geometry(emitter);
    const struct ptx_operand *from = emit_operand(emitter, 1);
    const struct ptx_type *type;
    const char *at;
    unsigned count;

    ignore_hints(emitter);
    emit_expect_count(emitter, 2, 2);
    if (emit_has(emitter, "p")) {
        emit_formatted_store(emitter, geometry);
        return;
    }
    if (!emit_has(emitter, "b"))
        emit_fail(emitter, "sust of that kind is not known");
    count = emit_vector(emitter);
    type = emit_need_type(emitter);
    at = surface_bytes(emitter, geometry, emit_operand(emitter, 0), count * type->bits / 8);
    text_put(&emitter->out, "if (%s) { ", at);
    for (unsigned i = 0; i < count; i++)
        text_put(&emitter->out, "((%s *)%s)[%u] = %s; ", type->c, at, i,
                 emit_value(emitter, element(emitter, from, i), type));
    text_put(&emitter->out, "} ");
}

/* Bytes, or counted texels, at which something is done that nothing comes between. */
void emit_surface_reduce(struct emitter *emitter)
{
    const struct geometry *geometry = find_geometry(emitter);
    const char *operation = emit_one_of(emitter, "add min max and or"), *place, *at;
    bool is_counted = emit_has(emitter, "p");
    const struct ptx_type *type;

    if (!operation || (!is_counted && !emit_has(emitter, "b")))
        emit_fail(emitter, "sured of that kind is not known");
    type = emit_need_type(emitter);
    emit_expect_count(emitter, 2, 2);
    /* Bits are unsigned where they are numbers. */
    if (*type->name == 'b' && strcmp(operation, "and") != 0 && strcmp(operation, "or") != 0)
        type = ptx_type_find(type->bits == 64 ? "u64" : "u32");
    else if (*operation == 'o' || strcmp(operation, "and") == 0)
        type = ptx_type_find(type->bits == 64 ? "b64" : "b32");
    if (type->bits < 32 || type->bits > 64 || type->kind == TYPE_FLOAT)
        emit_fail(emitter, "sured of .%s is not known", type->name);
    place = surface_place(emitter, geometry, emit_operand(emitter, 0), is_counted, type->bits / 8);
    at = emit_temporary(emitter);
    text_put(&emitter->out, "u8 *%s = t->host->place(t, %s, &%s); if (%s) (void)ptx_atom_%s_%s(%s, %s); ", at,
             handle_of(emitter, emit_operand(emitter, 0)), place, at, operation, type->name, at,
             emit_value(emitter, emit_operand(emitter, 1), type));
}
