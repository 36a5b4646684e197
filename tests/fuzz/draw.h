/* SPDX-License-Identifier: Apache-2.0 */
/* draw.h - numbers out of an input, until it ends. */
#ifndef EBBTIDE_TESTS_FUZZ_DRAW_H
#define EBBTIDE_TESTS_FUZZ_DRAW_H

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *data; /* what is left */
    size_t size;
};

/* A number below `below`, out of two bytes; 0 at the end. */
static inline unsigned draw(struct input *input, unsigned below)
{
    unsigned value = 0;

    for (unsigned i = 0; i < 2 && input->size; i++, input->size--)
        value = value << 8 | *input->data++;
    return value % below;
}

#endif
