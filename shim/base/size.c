/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing sizes. No libc number parsing: strtoull takes signs and blanks, strtod takes a locale. */
#include "base/size.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"

/* A decimal number: whole.ppm, plus how it was written. */
struct decimal {
    uint64_t whole;
    uint32_t ppm; /* digits behind the point, in millionths; further digits are dropped */
    bool has_point;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Returns the first character behind the number, or NULL when there is none or it passes 64 bits. */
static const char *read_decimal(const char *text, struct decimal *out)
{
    struct decimal d = {0};

    if (!is_digit(*text))
        return NULL;
    for (; is_digit(*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (d.whole > (UINT64_MAX - digit) / 10)
            return NULL;
        d.whole = d.whole * 10 + digit;
    }
    if (*text == '.') {
        uint32_t weight = SIZE_PPM_WHOLE / 10;
        d.has_point = true;
        if (!is_digit(*++text))
            return NULL;
        for (; is_digit(*text); text++, weight /= 10)
            d.ppm += weight * (uint32_t)(*text - '0');
    }
    *out = d;
    return text;
}

/* The power of two a unit stands for, 0 when the text is none. */
static unsigned unit_shift(const char *text)
{
    static const char units[] = "KMGT";
    char upper = *text >= 'a' ? (char)(*text - ('a' - 'A')) : *text;
    const char *unit = upper ? strchr(units, upper) : NULL;

    if (!unit || (text[1] && strcmp(text + 1, "iB") != 0))
        return 0;
    return 10 * (unsigned)(unit - units + 1);
}

static int parse_fraction(const struct decimal *d, bool is_percent, struct size_spec *out)
{
    uint64_t limit = is_percent ? 100 : 1;

    if (d->whole > limit || (d->whole == limit && d->ppm > 0))
        return -EINVAL;
    uint64_t ppm = d->whole * SIZE_PPM_WHOLE + d->ppm;
    *out = (struct size_spec){.kind = SIZE_FRACTION, .ppm = (uint32_t)(ppm / limit)};
    return 0;
}

static int parse_bytes(const struct decimal *d, unsigned shift, struct size_spec *out)
{
    if (d->whole > UINT64_MAX >> shift)
        return -EINVAL;
    uint64_t bytes = d->whole << shift;
    uint64_t rest = ((uint64_t)d->ppm << shift) / SIZE_PPM_WHOLE;
    if (bytes >= SIZE_UNLIMITED - rest)
        return -EINVAL;
    *out = (struct size_spec){.kind = SIZE_BYTES, .bytes = bytes + rest};
    return 0;
}

int size_parse(const char *text, struct size_spec *out)
{
    struct decimal d;

    if (strcmp(text, "off") == 0) {
        *out = (struct size_spec){.kind = SIZE_NO_LIMIT};
        return 0;
    }
    const char *rest = read_decimal(text, &d);
    if (!rest)
        return -EINVAL;
    if (strcmp(rest, "%") == 0)
        return parse_fraction(&d, true, out);
    if (!*rest)
        return d.has_point ? parse_fraction(&d, false, out) : parse_bytes(&d, 0, out);

    unsigned shift = unit_shift(rest);
    return shift ? parse_bytes(&d, shift, out) : -EINVAL;
}

uint64_t size_resolve(const struct size_spec *spec, uint64_t whole_bytes)
{
    switch (spec->kind) {
    case SIZE_BYTES:
        return spec->bytes;
    case SIZE_FRACTION:
        /* In two steps, since whole times ppm passes 64 bits from 18 TB on. */
        return whole_bytes / SIZE_PPM_WHOLE * spec->ppm +
               whole_bytes % SIZE_PPM_WHOLE * spec->ppm / SIZE_PPM_WHOLE;
    case SIZE_NO_LIMIT:
        break;
    }
    return SIZE_UNLIMITED;
}

size_t size_format(uint64_t bytes, char *buf, size_t buf_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0, tenth = 0;

    if (bytes == SIZE_UNLIMITED)
        return log_print(buf, buf_bytes, "unlimited");
    for (; unit < 4 && bytes >> 10; unit++) {
        tenth = (unsigned)(bytes % 1024 * 10 / 1024);
        bytes >>= 10;
    }
    if (tenth)
        return log_print(buf, buf_bytes, "%llu.%u %s", (unsigned long long)bytes, tenth, units[unit]);
    return log_print(buf, buf_bytes, "%llu %s", (unsigned long long)bytes, units[unit]);
}
