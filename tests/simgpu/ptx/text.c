/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_room(struct text *text, size_t more)
{
    size_t room = text->room ? text->room : 256;
    char *bytes;

    while (room - text->length <= more)
        room *= 2;
    if (room == text->room)
        return;
    bytes = arena_take(text->arena, room);
    if (text->length)
        memcpy(bytes, text->bytes, text->length + 1);
    text->bytes = bytes;
    text->room = room;
}

void text_add(struct text *text, const char *bytes, size_t length)
{
    make_room(text, length + 1);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

static void put(struct text *text, const char *format, va_list arguments)
{
    char *printed;
    int length = vasprintf(&printed, format, arguments);

    if (length < 0)
        ptx_fail(text->arena->exit, 0, "out of memory");
    text_add(text, printed, (size_t)length);
    free(printed);
}

void text_put(struct text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    put(text, format, arguments);
    va_end(arguments);
}

char *arena_print(struct arena *arena, const char *format, ...)
{
    struct text text = {.arena = arena};
    va_list arguments;

    va_start(arguments, format);
    put(&text, format, arguments);
    va_end(arguments);
    return text.bytes;
}
