/* SPDX-License-Identifier: Apache-2.0 */
/* Text that grows, in an arena. */
#ifndef PTX_TEXT_H
#define PTX_TEXT_H

#include "ptx/arena.h"

struct text {
    char *bytes; /* NUL-terminated once anything was put */
    size_t length, room;
    struct arena *arena;
};

void text_put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add(struct text *text, const char *bytes, size_t length);

/* A new text in the arena. */
char *arena_print(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
