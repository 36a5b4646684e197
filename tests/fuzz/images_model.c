/* SPDX-License-Identifier: Apache-2.0 */
/*
 * images_model.c - images that were edited at random are read within their bounds, and never tell of a kernel what cannot
 * be.
 *
 * The first bytes of the input choose the image and what is done to it, the rest are the edits. An image that nothing was
 * done to tells just what it was made of.
 */
#include "../core/made_image.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char room[MOST_BYTES];
    struct input input = {data, size};

    for (unsigned round = 0; input.size > 64; round++) {
        struct world world = {0};
        unsigned char *exact;
        size_t bytes;

        make_parameters(&input, &world);
        bytes = make_image(&input, &world, room);
        for (unsigned edits = draw(&input, EDITS); edits; edits--, world.is_edited = true)
            edit(&input, room, &bytes);
        exact = malloc(bytes);
        if (!exact)
            return 0;
        memcpy(exact, room, bytes);
        kernel_image_read(exact, bytes, UINT32_MAX, see, &world);
        free(exact);
        if (!world.is_edited && world.found != 1)
            abort();
    }
    return 0;
}
