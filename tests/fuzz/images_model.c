/* SPDX-License-Identifier: Apache-2.0 */
/*
 * images_model.c - images that were edited at random are read within their bounds, and never tell of a kernel what cannot
 * be.
 *
 * The first bytes of the input choose the image and what is done to it, the rest are the edits. An image that nothing was
 * done to tells just what it was made of.
 */
#include "../core/made_image.h"
#include "base/image_variables.h"
#include "base/kernel_image.h"
#include "draw.h"
#include "fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    ELF = 2,
    PTX = 1,
    FORMS = 6,
    EDITS = 8,
    MOST_BYTES = 4 * MADE_IMAGE_BYTES
};

struct world {
    struct kernel_parameter parameter[8];
    unsigned count;
    unsigned found;
    bool is_edited;
};

/* Words and other parameters; the last one ends the buffer. */
static void make_parameters(struct input *input, struct world *world)
{
    unsigned offset = 0;

    world->count = draw(input, 9);
    for (unsigned i = 0; i < world->count; i++) {
        unsigned bytes = draw(input, 4) ? 8 : 4 + 4 * draw(input, 1200), align = bytes == 8 ? 8 : 4;

        offset = (offset + align - 1) / align * align;
        if (offset + bytes > KERNEL_BYTES_MAX) {
            world->count = i;
            return;
        }
        world->parameter[i] = (struct kernel_parameter){(uint16_t)offset, (uint16_t)bytes};
        offset += bytes;
    }
}

static size_t make_image(struct input *input, const struct world *world, unsigned char *out)
{
    static unsigned char one[MADE_IMAGE_BYTES];
    unsigned form = draw(input, FORMS);
    size_t size;

    if (form == 0)
        return made_cubin(out, "kernel", world->parameter, world->count);
    if (form == 1)
        return made_ptx(out, "kernel", world->parameter, world->count);
    size = form & 1 ? made_ptx(one, "kernel", world->parameter, world->count)
                    : made_cubin(one, "kernel", world->parameter, world->count);
    return made_fat_entry(out, made_fat(out), form & 1 ? PTX : ELF, 90, form < 4 ? MADE_PLAIN : MADE_LZ4, one,
                          size);
}

static void edit(struct input *input, unsigned char *image, size_t *size)
{
    size_t at = draw(input, 0x10000) % *size, from = draw(input, 0x10000) % *size;

    switch (draw(input, 5)) {
    case 0:
        *size = at + 1; /* cut */
        return;
    case 1:
        image[at] ^= (unsigned char)(1u << draw(input, 8));
        return;
    case 2:
        memmove(image + at, image + from, *size - (at > from ? at : from));
        return;
    case 3:
        memset(image + at, draw(input, 2) ? 255 : 0, *size - at < 8 ? *size - at : 8);
        return;
    default:
        image[at] = (unsigned char)draw(input, 256);
    }
}

static void see(const struct kernel_shape *shape, void *arg)
{
    struct world *world = arg;
    unsigned end = 0;

    world->found++;
    if (!shape->name_bytes || shape->count > KERNEL_PARAMETERS_MAX)
        abort();
    for (size_t i = 0; i < shape->name_bytes; i++)
        if (!shape->name[i])
            abort();
    for (unsigned i = 0; i < shape->count; i++) {
        if (shape->parameter[i].offset < end || !shape->parameter[i].bytes)
            abort();
        end = (unsigned)shape->parameter[i].offset + shape->parameter[i].bytes;
    }
    if (end > KERNEL_BYTES_MAX)
        abort();
    if (!world->is_edited &&
        (shape->count != world->count ||
         memcmp(shape->parameter, world->parameter, shape->count * sizeof(*shape->parameter)) != 0))
        abort();
}

/* What has variables. */
static size_t make_listing(struct input *input, unsigned char *out)
{
    static const struct made_variable symbols[] = {{"x", ".nv.global", 1, 0},
                                                   {"static_y", ".nv.constant3", 13, 4},
                                                   {"shared", ".nv.shared.k", 1, 0},
                                                   {"malloc", NULL, 2, 0}};
    static const char text[] = ".version 8.0\n.target sm_75\n.address_size 64\n"
                               ".extern .func (.param .b64 r) malloc (.param .b64 s);\n"
                               ".visible .global .attribute(.managed) .align 8 .b8 x[4][2] = {1, 2, {3}};\n"
                               ".const .u64 a, b = generic(x), c[2];\n"
                               ".entry k(.param .u64 .ptr .global p) { { ld.global.u32 %r1, [a]; } ret; }\n";

    if (draw(input, 2))
        return made_symbols(out, symbols, sizeof(symbols) / sizeof(*symbols));
    memcpy(out, text, sizeof(text));
    return sizeof(text);
}

static void begin_version(void *arg)
{
    ++*(unsigned *)arg;
}

static void see_variable(const struct image_variable *variable, void *arg)
{
    if (!*(unsigned *)arg || !variable->name_bytes || memchr(variable->name, 0, variable->name_bytes))
        abort();
}

/* Whatever they are, a name has letters, and a version that it belongs to. */
static int read_variables(const void *image, size_t bytes)
{
    static const struct image_target target = {.arch = {90, 75}, .count = 2};
    struct image_facts facts = {0};
    unsigned versions = 0;
    int error = image_variables_read(image, bytes, &target, begin_version, see_variable, &versions, &facts);

    if (versions > IMAGE_VERSIONS_MAX || (!error && !versions))
        abort();
    return error;
}

static bool edit_all(struct input *input, unsigned char *image, size_t *bytes)
{
    unsigned edits = draw(input, EDITS);

    for (unsigned i = 0; i < edits; i++)
        edit(input, image, bytes);
    return edits != 0;
}

/* As long as it is, so that a read past the end is seen. */
static unsigned char *exact_copy(const unsigned char *image, size_t bytes)
{
    unsigned char *exact = malloc(bytes);

    return exact ? memcpy(exact, image, bytes) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char room[MOST_BYTES];
    struct input input = {data, size};

    for (unsigned round = 0; input.size > 64; round++) {
        struct world world = {0};
        unsigned char *exact;
        size_t bytes;
        bool is_edited;

        make_parameters(&input, &world);
        bytes = make_image(&input, &world, room);
        world.is_edited = edit_all(&input, room, &bytes);
        exact = exact_copy(room, bytes);
        if (!exact)
            return 0;
        kernel_image_read(exact, bytes, UINT32_MAX, see, &world);
        read_variables(exact, bytes);
        free(exact);
        if (!world.is_edited && world.found != 1)
            abort();
        bytes = make_listing(&input, room);
        is_edited = edit_all(&input, room, &bytes);
        exact = exact_copy(room, bytes);
        if (!exact)
            return 0;
        if (read_variables(exact, bytes) && !is_edited)
            abort();
        free(exact);
    }
    return 0;
}
