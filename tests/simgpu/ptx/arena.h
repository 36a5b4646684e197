/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is given back all at once, and the way out of whatever uses it. Not for two threads at a time. */
#ifndef PTX_ARENA_H
#define PTX_ARENA_H

#include <setjmp.h>
#include <stddef.h>

struct arena_piece;

/* Where reading or translating ends when it cannot go on. */
struct ptx_exit {
    jmp_buf leave;
    char why[200]; /* one line, with the line of the text where there is one */
};

struct arena {
    struct arena_piece *pieces; /* the latest first */
    struct ptx_exit *exit;      /* taken when memory is out, too */
};

/* Zeroed bytes, aligned for anything. Leaves when memory is out. */
void *arena_take(struct arena *arena, size_t bytes);

/* A copy of text, with a NUL behind it. Leaves when memory is out. */
char *arena_text(struct arena *arena, const char *text, size_t length);

void arena_finish(struct arena *arena);

/* Says why, and leaves. line 0: none. */
_Noreturn void ptx_fail(struct ptx_exit *exit, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
