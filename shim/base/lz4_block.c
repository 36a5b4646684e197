/* SPDX-License-Identifier: Apache-2.0 */
/* lz4_block.c - see lz4_block.h. */
#include "base/lz4_block.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
    LONG = 15, /* a length of four bits that goes on in bytes */
    MATCH_LEAST = 4
};

struct input {
    const unsigned char *at, *end;
};

/* Four bits of the token, and the bytes that go on with them. False: the input has ended. */
static bool read_length(struct input *input, size_t bits, size_t *out)
{
    unsigned char more = 255;

    *out = bits;
    while (bits == LONG && more == 255) {
        if (input->at == input->end)
            return false;
        more = *input->at++;
        *out += more;
    }
    return true;
}

/* A match may overlap what it makes. */
static void repeat(unsigned char *to, size_t distance, size_t bytes)
{
    if (distance >= bytes)
        memcpy(to, to - distance, bytes);
    else
        for (size_t i = 0; i < bytes; i++)
            to[i] = to[i - distance];
}

int lz4_block_unpack(const unsigned char *from, size_t size, unsigned char *out, size_t out_size)
{
    struct input input = {from, from + size};
    size_t made = 0, bytes, distance;

    while (input.at < input.end) {
        unsigned char token = *input.at++;

        if (!read_length(&input, token >> 4, &bytes) || bytes > (size_t)(input.end - input.at) ||
            bytes > out_size - made)
            return -EINVAL;
        memcpy(out + made, input.at, bytes);
        input.at += bytes;
        made += bytes;
        if (input.at == input.end) /* the last sequence is literals alone */
            break;
        if (input.end - input.at < 2)
            return -EINVAL;
        distance = (size_t)input.at[0] | (size_t)input.at[1] << 8;
        input.at += 2;
        if (!read_length(&input, token & 15, &bytes) || !distance || distance > made)
            return -EINVAL;
        bytes += MATCH_LEAST;
        if (bytes > out_size - made)
            return -EINVAL;
        repeat(out + made, distance, bytes);
        made += bytes;
    }
    return made == out_size ? 0 : -EINVAL;
}
