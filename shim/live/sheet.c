/* SPDX-License-Identifier: Apache-2.0 */
/* sheet.c - see sheet.h. */
#include "live/sheet.h"

#include <stdarg.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/output.h"

int sheet_flush(struct sheet *sheet)
{
    for (size_t at = 0; at < sheet->used && !sheet->error;) {
        ssize_t wrote = output_write(sheet->fd, sheet->buf + at, sheet->used - at);

        sheet->error = wrote < 0 ? (int)wrote : 0;
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    sheet->used = 0;
    return sheet->error;
}

void sheet_put(struct sheet *sheet, const char *format, ...)
{
    va_list args;

    if (sizeof(sheet->buf) - sheet->used < 1024)
        sheet_flush(sheet);
    va_start(args, format);
    sheet->used += log_format(sheet->buf + sheet->used, sizeof(sheet->buf) - sheet->used, format, args);
    va_end(args);
}

/* Bytes of the character of UTF-8 that begins here; 0: none does. */
static size_t character(const unsigned char *text, size_t length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = text[0] < 0x80       ? 1
                   : text[0] >> 5 == 6  ? 2
                   : text[0] >> 4 == 14 ? 3
                   : text[0] >> 3 == 30 ? 4
                                        : 0;
    uint32_t code = bytes > 1 ? text[0] & (0x7fu >> bytes) : text[0];

    if (bytes > length)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    return bytes && code >= least[bytes] && code <= 0x10ffff && code >> 11 != 0x1b ? bytes : 0;
}

void sheet_text(struct sheet *sheet, const char *text, size_t length)
{
    for (size_t i = 0, bytes; i < length; i += bytes) {
        bytes = character((const unsigned char *)text + i, length - i);
        if (!bytes || (unsigned char)text[i] < ' ')
            sheet_put(sheet, "?");
        else
            sheet_put(sheet, "%s%.*s", text[i] == '"' || text[i] == '\\' ? "\\" : "", (int)bytes, text + i);
        bytes += !bytes;
    }
}
