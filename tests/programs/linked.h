/* SPDX-License-Identifier: Apache-2.0 */
/* What the program and its kernels agree on. */
#ifndef PROGRAMS_LINKED_H
#define PROGRAMS_LINKED_H

#include <stdint.h>

struct node {
    uint64_t value;
    struct node *next;
};

enum {
    LINKED_BLOCKS = 3,
    LINKED_BLOCK_BYTES = 4 << 20,
    LINKED_BLOCK_NODES = LINKED_BLOCK_BYTES / sizeof(struct node),
};

/* What the walk finds: the values, mixed in the order of the list, and their number. */
struct found {
    uint64_t mix, count;
};

static const uint64_t linked_multiplier = 0xff51afd7ed558ccdU;

#endif
