/* SPDX-License-Identifier: Apache-2.0 */
/* reload_callback.c - see callbacks.h. */
#include "engine/callbacks.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "ledger/state.h"

static __thread bool running;

bool reload_callback_running(void)
{
    return running;
}

int reload_callback_fill(uint32_t first, uint32_t granule, void *memory)
{
    uint64_t offset = (granule - first) * GRANULE_BYTES, bytes = chunk_bytes(&core.blocks.chunk[granule]),
             all;
    struct object object;
    int error;

    lock_acquire(&core.lock);
    object = core.blocks.object[first];
    all = core.blocks.block[first].bytes;
    lock_release(&core.lock);
    if (bytes > all - offset) { /* the last granule may be larger than what the program asked for */
        memset((char *)memory + (all - offset), 0, bytes - (all - offset));
        bytes = all - offset;
    }
    lock_assert_none();
    running = true;
    error = object.reload((void *)(uintptr_t)granule_address(&core.blocks, first), offset, memory, bytes,
                          object.reload_arg);
    running = false;
    if (!error)
        return 0;
    log_line(LOG_WARN, "the reload callback of %s failed (%d) for %llu bytes at %llu: it stays away",
             object.name, error, (unsigned long long)bytes, (unsigned long long)offset);
    return -EIO;
}
