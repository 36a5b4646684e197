/* SPDX-License-Identifier: Apache-2.0 */
#include "queues.h"

#include <criterion/criterion.h>
#include <string.h>

static struct queues queues;
static struct queue_entry entry[4];

/* The entries of a queue by their place in `entry`, as digits. */
static const char *order_of(enum queue queue)
{
    static char text[8];
    unsigned length = 0;

    for (const struct queue_entry *at = queues.head[queue]; at; at = at->next)
        text[length++] = (char)('0' + (at - entry));
    text[length] = 0;
    return text;
}

static void fill(void)
{
    for (unsigned i = 0; i < 4; i++)
        queues_move(&queues, &entry[i], QUEUE_BUFFERS, 10 + i);
}

Test(queues, keep_the_order_in_which_entries_came)
{
    fill();
    cr_expect_str_eq(order_of(QUEUE_BUFFERS), "0123");
    queues_move(&queues, &entry[1], QUEUE_BUFFERS, 11);
    cr_expect_str_eq(order_of(QUEUE_BUFFERS), "0231");
    cr_expect_eq(queues.bytes[QUEUE_BUFFERS], 46);
}

Test(queues, pin_and_unpin_move_an_entry_and_its_bytes)
{
    fill();
    queues_move(&queues, &entry[2], QUEUE_OPERATIONS, 12);
    queues_move(&queues, &entry[0], QUEUE_OPERATIONS, 10);
    cr_expect_str_eq(order_of(QUEUE_OPERATIONS), "20");
    cr_expect_str_eq(order_of(QUEUE_BUFFERS), "13");
    cr_expect_eq(queues.bytes[QUEUE_OPERATIONS], 22);
    cr_expect_eq(queues.bytes[QUEUE_BUFFERS], 24);
    queues_move(&queues, &entry[2], QUEUE_BUFFERS, 12);
    cr_expect_str_eq(order_of(QUEUE_BUFFERS), "132");
}

Test(queues, entry_that_is_taken_out_counts_for_nothing)
{
    fill();
    for (unsigned i = 0; i < 4; i++)
        queues_move(&queues, &entry[i], QUEUE_NONE, 99);
    cr_expect_eq(queues.bytes[QUEUE_BUFFERS], 0);
    cr_expect_null(queues.head[QUEUE_BUFFERS]);
    queues_count(&queues, &entry[0], 5);
    cr_expect_eq(queues.bytes[QUEUE_NONE], 0);
}

Test(queues, count_what_an_entry_has_left)
{
    fill();
    queues_count(&queues, &entry[3], 3);
    cr_expect_eq(queues.bytes[QUEUE_BUFFERS], 36);
    cr_expect_str_eq(order_of(QUEUE_BUFFERS), "0123");
}
