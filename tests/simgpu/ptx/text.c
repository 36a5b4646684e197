/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/text.h"

#include <stdarg.h>
#include <stdio.h>
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

void text_put(struct text *text, const char *format, ...)
{
    va_list arguments, again;
    int length;

    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    make_room(text, (size_t)length + 1);
    vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
    va_end(again);
    text->length += (size_t)length;
}

char *arena_print(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    int length;
    char *printed;

    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    printed = arena_take(arena, (size_t)length + 1);
    vsnprintf(printed, (size_t)length + 1, format, again);
    va_end(again);
    return printed;
}
