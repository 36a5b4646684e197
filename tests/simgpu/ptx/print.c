/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/print.h"

#include "driver/sim.h"
#include "ptx/room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEPT_BYTES = 1 << 20,
    CONVERSION_BYTES = 32
};

/* What one call printed. */
struct piece {
    struct piece *next;
    size_t bytes;
    char text[];
};

/* Under the lock; the first is read without it, too. */
static struct piece *first, *last;
static size_t kept_bytes;

struct printer {
    char *text;
    size_t used;
    const u8 *argument;
    u32 count;
};

static void keep(const char *text, size_t bytes)
{
    struct piece *piece = malloc(sizeof *piece + bytes), *dropped = NULL;

    if (!piece)
        return;
    piece->next = NULL;
    piece->bytes = bytes;
    memcpy(piece->text, text, bytes);
    sim_lock();
    if (last)
        last->next = piece;
    else
        __atomic_store_n(&first, piece, __ATOMIC_RELAXED);
    last = piece;
    kept_bytes += bytes;
    if (kept_bytes > KEPT_BYTES && first != piece) {
        dropped = first;
        kept_bytes -= dropped->bytes;
        __atomic_store_n(&first, dropped->next, __ATOMIC_RELAXED);
    }
    sim_unlock();
    free(dropped);
}

bool print_waits(void)
{
    return __atomic_load_n(&first, __ATOMIC_RELAXED) != NULL;
}

void print_flush(void)
{
    struct piece *piece;

    sim_lock();
    piece = first;
    __atomic_store_n(&first, NULL, __ATOMIC_RELAXED);
    last = NULL;
    kept_bytes = 0;
    sim_unlock();
    while (piece) {
        struct piece *next = piece->next;

        fwrite(piece->text, 1, piece->bytes, stdout);
        free(piece);
        piece = next;
    }
}

static void take_argument(struct printer *printer, void *value, size_t bytes)
{
    printer->argument += -(uintptr_t)printer->argument & (bytes - 1);
    memcpy(value, printer->argument, bytes);
    printer->argument += bytes;
    printer->count++;
}

/* After one that was cut short the text is full. */
static void note(struct printer *printer, int printed)
{
    size_t room = ROOM_TEXT_BYTES - printer->used;

    if (printed > 0)
        printer->used += (size_t)printed < room ? (size_t)printed : room - 1;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
/* One conversion, from % to its letter, without the lengths: they are said anew, as the host has them. */
static void convert(struct printer *printer, char *conversion, size_t length, bool is_long)
{
    char letter = conversion[length - 1], *at = printer->text + printer->used;
    size_t room = ROOM_TEXT_BYTES - printer->used;
    u64 wide = 0;
    u32 word = 0;
    f64 number;

    if (strchr("eEfFgGaA", letter)) {
        take_argument(printer, &number, sizeof number);
        note(printer, snprintf(at, room, conversion, number));
    } else if (letter == 's' || letter == 'p') {
        take_argument(printer, &wide, sizeof wide);
        note(printer, snprintf(at, room, conversion, (void *)(uintptr_t)wide));
    } else if (is_long && letter != 'c') {
        take_argument(printer, &wide, sizeof wide);
        memcpy(conversion + length - 1, (char[]){'l', letter, 0}, 3);
        note(printer, snprintf(at, room, conversion, wide));
    } else {
        take_argument(printer, &word, sizeof word);
        note(printer, snprintf(at, room, conversion, word));
    }
}
#pragma GCC diagnostic pop

/* Reads one conversion behind a %, and returns where it ends. What is no conversion is text. */
static const char *read_conversion(struct printer *printer, const char *at)
{
    char conversion[CONVERSION_BYTES + 3] = "%";
    size_t length = 1;
    unsigned longs = 0;

    while (*at && strchr("-+ #0123456789.", *at) && length < CONVERSION_BYTES)
        conversion[length++] = *at++;
    for (; *at && strchr("lhzjtL", *at); at++)
        longs += *at != 'h';
    if (*at == '%') {
        note(printer, snprintf(printer->text + printer->used, ROOM_TEXT_BYTES - printer->used, "%%"));
        return at + 1;
    }
    if (!*at || !strchr("diouxXcspeEfFgGaA", *at)) {
        conversion[length] = 0;
        note(printer,
             snprintf(printer->text + printer->used, ROOM_TEXT_BYTES - printer->used, "%s", conversion));
        return at;
    }
    conversion[length++] = *at;
    conversion[length] = 0;
    convert(printer, conversion, length, longs > 0);
    return at + 1;
}

u32 print_format(char *text, u64 format, u64 arguments)
{
    struct printer printer = {.text = text, .argument = (const u8 *)(uintptr_t)arguments};

    for (const char *at = (const char *)(uintptr_t)format; *at && printer.used < ROOM_TEXT_BYTES - 1;) {
        if (*at == '%')
            at = read_conversion(&printer, at + 1);
        else
            text[printer.used++] = *at++;
    }
    keep(text, printer.used);
    return printer.count;
}
