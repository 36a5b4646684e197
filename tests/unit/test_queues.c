/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/queues.h"

#include <criterion/criterion.h>
#include <string.h>

static struct queues queues;
static struct queue_entry entry[4];

static const struct queue_entry *next_of(enum queue queue, const struct queue_entry *after)
{
    const struct queue_entry *next = NULL;

    for (unsigned i = 0; i < 4; i++)
        if (entry[i].queue == queue && (!after || queues_before(after, &entry[i])) &&
            (!next || queues_before(&entry[i], next)))
            next = &entry[i];
    return next;
}

/* The entries of a queue by their place in `entry`, as digits. */
static const char *order_of(enum queue queue)
{
    static char text[8];
    unsigned length = 0;

    for (const struct queue_entry *at = next_of(queue, NULL); at; at = next_of(queue, at))
        text[length++] = (char)('0' + (at - entry));
    text[length] = 0;
    return text;
}

static void fill(void)
{
    for (unsigned i = 0; i < 4; i++)
        queues_move(&queues, &entry[i], QUEUE_BUFFERS);
}

Test(queues, keep_the_order_in_which_entries_came)
{
    fill();
    cr_expect_str_eq(order_of(QUEUE_BUFFERS), "0123");
    queues_move(&queues, &entry[1], QUEUE_BUFFERS);
    cr_expect_str_eq(order_of(QUEUE_BUFFERS), "0231");
}

Test(queues, pin_and_unpin_move_an_entry)
{
    fill();
    queues_move(&queues, &entry[2], QUEUE_OPERATIONS);
    queues_move(&queues, &entry[0], QUEUE_OPERATIONS);
    cr_expect_str_eq(order_of(QUEUE_OPERATIONS), "20");
    cr_expect_str_eq(order_of(QUEUE_BUFFERS), "13");
    queues_move(&queues, &entry[2], QUEUE_BUFFERS);
    cr_expect_str_eq(order_of(QUEUE_BUFFERS), "132");
}

Test(queues, entries_that_are_taken_out_leave_nothing)
{
    fill();
    for (unsigned i = 0; i < 4; i++)
        queues_move(&queues, &entry[i], QUEUE_NONE);
    cr_expect_str_eq(order_of(QUEUE_BUFFERS), "");
}
