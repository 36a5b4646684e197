/* SPDX-License-Identifier: Apache-2.0 */
/*
 * size.h - amounts of memory as a person writes them, and as a person reads them.
 *
 * Shape    a spec is an absolute number of bytes, a share of something, or no limit at all.
 * Owns     nothing; pure functions, safe from any thread.
 * Units    bytes; shares in parts per million, rounded down.
 */
#ifndef EBB_SIZE_H
#define EBB_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* What an unlimited spec resolves to. No real amount reaches it. */
#define SIZE_UNLIMITED UINT64_MAX

/* A whole, in the unit of size_spec.ppm. */
#define SIZE_PPM_WHOLE 1000000u

/* Room for any text of size_format, its NUL included. */
#define SIZE_TEXT_BYTES 24

enum size_kind {
    SIZE_BYTES,
    SIZE_FRACTION,
    SIZE_NO_LIMIT,
};

struct size_spec {
    enum size_kind kind;
    uint64_t bytes; /* SIZE_BYTES only, else 0; below SIZE_UNLIMITED */
    uint32_t ppm;   /* SIZE_FRACTION only, else 0; 0 to SIZE_PPM_WHOLE */
};

/**
 * Read a size: `1073741824`, `8G`, `1.5GiB` (K M G T, powers of 1024), `0.8`, `80%`, `off`.
 *
 * @text    the whole text must be a size; no blanks, no sign
 * Returns  0; -EINVAL for anything else, for a share above 100% and for more bytes than 64 bits hold;
 *          then *out is untouched
 */
int size_parse(const char *text, struct size_spec *out);

/**
 * The bytes a spec stands for.
 *
 * @whole_bytes  what a share is a share of; ignored by the other kinds
 * Returns       bytes, rounded down; SIZE_UNLIMITED for no limit
 */
uint64_t size_resolve(const struct size_spec *spec, uint64_t whole_bytes);

/**
 * Write an amount for people: `0 B`, `512 B`, `1.5 GiB`, `2 MiB`, `unlimited`; one decimal, rounded down.
 *
 * @buf     gets at most buf_bytes, always ended by NUL when buf_bytes > 0
 * Returns  the length written, without the NUL; SIZE_TEXT_BYTES always suffice
 */
size_t size_format(uint64_t bytes, char *buf, size_t buf_bytes);

/** The same by value, for as long as the expression that it stands in. */
struct size_text {
    char text[SIZE_TEXT_BYTES];
};

static inline struct size_text size_text(uint64_t bytes)
{
    struct size_text out;

    size_format(bytes, out.text, sizeof(out.text));
    return out;
}

#endif
