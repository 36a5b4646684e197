/* SPDX-License-Identifier: Apache-2.0 */
/* A list through three blocks, each node in another block than the one before it. */
#include "kernel.h"
#include "linked.h"
#include "pressure_kernels.h"

GLOBAL(struct node *, root)
GLOBAL(struct found, found)

/* The s-th node: blocks take turns, and places within a block are far apart. */
FUNCTION struct node *node_at(struct node *const *blocks, uint64_t s)
{
    return blocks[s % LINKED_BLOCKS] + (s / LINKED_BLOCKS * 7919 + 17) % LINKED_BLOCK_NODES;
}

SIMGPU_KERNEL4(make, struct node *, first, struct node *, second, struct node *, third, uint64_t, seed)
{
    struct node *const blocks[LINKED_BLOCKS] = {first, second, third};
    uint64_t count = (uint64_t)LINKED_BLOCKS * LINKED_BLOCK_NODES;

    SIMGPU_TOUCH(first, LINKED_BLOCK_BYTES);
    SIMGPU_TOUCH(second, LINKED_BLOCK_BYTES);
    SIMGPU_TOUCH(third, LINKED_BLOCK_BYTES);
    EACH(uint64_t, s, count) {
        struct node *node = node_at(blocks, s);

        node->value = random_at(seed, s);
        node->next = s + 1 < count ? node_at(blocks, s + 1) : 0;
        if (!s)
            root = node;
    }
}

/* Follows the list from the root. It takes no pointer: what it reads, only the memory tells. */
SIMGPU_KERNEL1(walk, uint64_t, most)
{
    EACH(uint32_t, once, 1) {
        struct found sum = {once, 0};

        for (const struct node *node = root; node && sum.count < most; node = node->next) {
            if (sum.count < LINKED_BLOCKS)
                SIMGPU_TOUCH(node, sizeof(*node));
            sum.mix = (sum.mix ^ node->value) * linked_multiplier;
            sum.count++;
        }
        found = sum;
    }
}
