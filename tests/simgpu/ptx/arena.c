/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 1 << 16,
    ALIGN = 16
};

struct arena_piece {
    struct arena_piece *next;
    size_t used, room; /* bytes behind this header */
};

void *arena_take(struct arena *arena, size_t bytes)
{
    struct arena_piece *piece = arena->pieces;
    size_t rounded = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    void *taken;

    if (!piece || piece->room - piece->used < rounded) {
        size_t room = rounded > PIECE ? rounded : PIECE;

        piece = rounded < bytes ? NULL : calloc(1, sizeof *piece + room);
        if (!piece)
            ptx_fail(arena->exit, 0, "out of memory");
        piece->room = room;
        piece->next = arena->pieces;
        arena->pieces = piece;
    }
    taken = (char *)(piece + 1) + piece->used;
    piece->used += rounded;
    return taken;
}

char *arena_text(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_take(arena, length + 1);

    memcpy(copy, text, length);
    return copy;
}

void arena_finish(struct arena *arena)
{
    while (arena->pieces) {
        struct arena_piece *piece = arena->pieces;

        arena->pieces = piece->next;
        free(piece);
    }
}

void ptx_fail(struct ptx_exit *exit, unsigned line, const char *format, ...)
{
    int length = line ? snprintf(exit->why, sizeof exit->why, "line %u: ", line) : 0;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(exit->why + length, sizeof exit->why - (size_t)length, format, arguments);
    va_end(arguments);
    longjmp(exit->leave, 1);
}
