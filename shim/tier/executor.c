/* SPDX-License-Identifier: Apache-2.0 */
/* executor.c - see executor.h. */
#include "tier/executor.h"

#include <assert.h>
#include <errno.h>

static bool carries(const struct executor *executor, enum tier from, enum tier to)
{
    return (executor->ends[0] == from && executor->ends[1] == to) ||
           (executor->ends[0] == to && executor->ends[1] == from);
}

int executors_submit(struct executors *list, struct transfer *transfer)
{
    unsigned least = list->count;

    lock_assert_none();
    for (unsigned i = 0; i < list->count; i++)
        if (carries(list->row[i], transfer->from, transfer->to) &&
            (least == list->count || list->row[i]->busy < list->row[least]->busy))
            least = i;
    if (least == list->count)
        return -ENOTSUP;
    transfer->executor = least;
    return list->row[least]->submit(list->row[least], transfer);
}

int executors_wait(struct executors *list, struct transfer *transfer)
{
    lock_assert_none();
    assert(transfer->executor < list->count);
    return list->row[transfer->executor]->wait(list->row[transfer->executor], transfer);
}
