/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of option values. Lists are cut into items on the stack, since strtok would write into the environment. */
#include "base/options.h"

#include <errno.h>
#include <string.h>

#define ITEM_BYTES (OPTIONS_PATH_BYTES + 32) /* a path, a colon and a size */

static int read_bytes(const char *text, uint64_t *out)
{
    struct size_spec spec;

    if (size_parse(text, &spec) < 0 || spec.kind != SIZE_BYTES)
        return -EINVAL;
    *out = spec.bytes;
    return 0;
}

static int read_least(const char *text, uint64_t *out)
{
    if (strcmp(text, "registered") != 0)
        return read_bytes(text, out);
    *out = UINT64_MAX;
    return 0;
}

static int read_fraction(const char *text, uint32_t *out)
{
    struct size_spec spec;

    /* 1 is a share here, though a bare integer is bytes elsewhere; 0 would have the monitor evict for ever. */
    if (strcmp(text, "1") == 0)
        text = "100%";
    if (size_parse(text, &spec) < 0 || spec.kind != SIZE_FRACTION || spec.ppm == 0)
        return -EINVAL;
    *out = spec.ppm;
    return 0;
}

/* Digits only, so that neither 1e3 nor 50s passes for a number. */
static int read_number(const char *text, uint32_t most, uint32_t *out)
{
    uint64_t value = 0;

    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > most)
            return -EINVAL;
    }
    *out = (uint32_t)value;
    return 0;
}

static int read_flag(const char *text, bool *out)
{
    if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return -EINVAL;
    *out = *text == '1';
    return 0;
}

/* The index of a word in a list set apart by blanks. */
static int read_choice(const char *words, const char *text, int *out)
{
    size_t length = strlen(text);

    if (strchr(text, ' '))
        return -EINVAL;
    for (int index = 0; *words; index++) {
        size_t word_length = strcspn(words, " ");
        if (word_length == length && memcmp(words, text, length) == 0) {
            *out = index;
            return 0;
        }
        words += word_length;
        words += strspn(words, " ");
    }
    return -EINVAL;
}

static int read_path(const char *text, char *out)
{
    size_t length = strlen(text);

    if (length >= OPTIONS_PATH_BYTES)
        return -EINVAL;
    memcpy(out, text, length + 1);
    return 0;
}

/*
 * Copy the next item of a comma list. Returns where the one after it starts, the end of the text after the
 * last; NULL for an item that is empty or too long. A comma at the end makes an empty item, hence the second
 * test.
 */
static const char *next_item(const char *list, char item[ITEM_BYTES])
{
    size_t length = strcspn(list, ",");

    if (length == 0 || length >= ITEM_BYTES || (list[length] && !list[length + 1]))
        return NULL;
    memcpy(item, list, length);
    item[length] = '\0';
    return list + length + (list[length] == ',');
}

static int read_devices(const struct option_row *row, const char *text, struct device_budgets *out)
{
    struct device_budgets budgets;
    struct size_spec spec;
    char item[ITEM_BYTES];
    uint32_t named = 0; /* a bit per ordinal */

    if (size_parse(row->default_text, &spec) < 0)
        return -EINVAL;
    for (unsigned i = 0; i < OPTIONS_DEVICES; i++)
        budgets.of[i] = spec;

    for (const char *rest = text; *rest;) {
        bool is_first = rest == text;
        rest = next_item(rest, item);
        if (!rest)
            return -EINVAL;
        char *colon = strchr(item, ':');
        if (size_parse(colon ? colon + 1 : item, &spec) < 0)
            return -EINVAL;
        if (!colon) {
            /* For every device; behind a named one it could only be a slip. */
            if (!is_first)
                return -EINVAL;
            for (unsigned i = 0; i < OPTIONS_DEVICES; i++)
                budgets.of[i] = spec;
            continue;
        }
        uint32_t ordinal;
        *colon = '\0';
        if (read_number(item, OPTIONS_DEVICES - 1, &ordinal) < 0 || named & 1u << ordinal)
            return -EINVAL;
        named |= 1u << ordinal;
        budgets.of[ordinal] = spec;
    }
    *out = budgets;
    return 0;
}

static int read_dir(char *item, struct spill_dir *out)
{
    char *colon = strrchr(item, ':');

    *out = (struct spill_dir){.has_budget = colon != NULL};
    if (colon) {
        if (size_parse(colon + 1, &out->budget) < 0)
            return -EINVAL;
        *colon = '\0';
    }
    /* A relative one would mean another place after each chdir of the program. */
    return item[0] == '/' ? read_path(item, out->path) : -EINVAL;
}

static int read_dirs(const char *text, struct spill_dirs *out)
{
    struct spill_dirs dirs;
    char item[ITEM_BYTES];

    dirs.count = 0;
    for (const char *rest = text; *rest;) {
        rest = next_item(rest, item);
        if (!rest || dirs.count == OPTIONS_DIRS || read_dir(item, &dirs.of[dirs.count]) < 0)
            return -EINVAL;
        dirs.count++;
    }
    out->count = dirs.count;
    memcpy(out->of, dirs.of, dirs.count * sizeof(dirs.of[0])); /* the rest is large, and of no meaning */
    return 0;
}

/* `budget` is the word of the contract for all of it. */
static int read_pool(const char *text, struct pool_sizes *out)
{
    struct pool_sizes pool;
    char item[ITEM_BYTES];
    const char *colon = strchr(text, ':'), *maximum = colon ? colon + 1 : "";

    if (!colon || colon - text >= ITEM_BYTES)
        return -EINVAL;
    memcpy(item, text, (size_t)(colon - text));
    item[colon - text] = '\0';
    if (size_parse(item, &pool.initial) < 0 || pool.initial.kind == SIZE_NO_LIMIT ||
        size_parse(strcmp(maximum, "budget") == 0 ? "100%" : maximum, &pool.maximum) < 0 ||
        pool.maximum.kind == SIZE_NO_LIMIT ||
        (pool.initial.kind == pool.maximum.kind &&
         (pool.initial.bytes > pool.maximum.bytes || pool.initial.ppm > pool.maximum.ppm)))
        return -EINVAL;
    *out = pool;
    return 0;
}

static int read_area(const char *text, struct share_option *out)
{
    struct share_option share = {.off = strcmp(text, "off") == 0};
    char item[ITEM_BYTES];
    char *colon;

    if (share.off) {
        *out = share;
        return 0;
    }
    share.with_api = strncmp(text, "api:", 4) == 0;
    if (!next_item(text + (share.with_api ? 4 : 0), item) || !(colon = strchr(item, ':')))
        return -EINVAL;
    *colon = '\0';
    if (read_fraction(item, &share.min_ppm) < 0 || read_fraction(colon + 1, &share.max_ppm) < 0 ||
        share.min_ppm > share.max_ppm || strchr(text, ','))
        return -EINVAL;
    *out = share;
    return 0;
}

int option_value_read(const struct option_row *row, const char *text, void *field)
{
    if (!*text && row->type != OPTION_PATH)
        return -EINVAL;
    switch (row->type) {
    case OPTION_AREA:
        return read_area(text, field);
    case OPTION_DEVICES:
        return read_devices(row, text, field);
    case OPTION_DIRS:
        return read_dirs(text, field);
    case OPTION_SIZE:
        return size_parse(text, field);
    case OPTION_PERIOD:
        return read_number(text, 60000, field);
    case OPTION_POOL:
        return read_pool(text, field);
    case OPTION_FRACTION:
        return read_fraction(text, field);
    case OPTION_MS:
        return read_number(text, UINT32_MAX, field);
    case OPTION_BYTES:
        return read_bytes(text, field);
    case OPTION_LEAST:
        return read_least(text, field);
    case OPTION_CHOICE:
        return read_choice(row->forms, text, field);
    case OPTION_FLAG:
        return read_flag(text, field);
    case OPTION_PATH:
        return read_path(text, field);
    }
    return -EINVAL;
}
