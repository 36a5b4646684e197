/* SPDX-License-Identifier: Apache-2.0 */
/* executor.c - see executor.h. */
#include "tier/executor.h"

#include "base/lock.h"
#include <assert.h>
#include <errno.h>

int executors_submit(struct executors *list, struct transfer *transfer)
{
    lock_assert_none();
    int least = -1;
    unsigned least_busy = 0;
    for (unsigned i = 0; i < list->count; i++) {
        const struct executor *row = list->row[i];
        if (!row->can(row, transfer->from, transfer->to))
            continue;
        unsigned busy = row->busy(row);
        if (least < 0 || busy < least_busy) {
            least = (int)i;
            least_busy = busy;
        }
    }
    if (least < 0)
        return -ENOTSUP;
    transfer->executor = least;
    return list->row[least]->submit(list->row[least], transfer);
}

int executors_wait(struct executors *list, struct transfer *transfer)
{
    lock_assert_none();
    assert(transfer->executor >= 0 && (unsigned)transfer->executor < list->count);
    struct executor *row = list->row[transfer->executor];
    return row->wait(row, transfer);
}
