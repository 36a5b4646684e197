/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/tests/threads.h"

#include <stdlib.h>

/* Rooms are taken by one thread here. */
void sim_lock(void);
void sim_unlock(void);

void sim_lock(void) {}

void sim_unlock(void) {}

static const struct ptx_host host = {.barrier = block_barrier,
                                     .meet = block_meet,
                                     .gather = block_gather,
                                     .yield = block_yield,
                                     .exit = block_exit};

enum block_end threads_run(size_t stack_bytes, unsigned threads, thread_body *body)
{
    static struct room *room;
    struct ptx_code code = {.version = PTX_VERSION, .flags = PTX_FIBERS, .name = "test", .thread = body};

    if (!room)
        room = room_take();
    if (!room || !room_open(room, 4096) || !room_stacks(room, threads, stack_bytes, true))
        abort();
    for (unsigned i = 0; i < threads; i++) {
        struct ptx_thread *self = &room->runners[i].thread;

        *self = (struct ptx_thread){.tid = {i},
                                    .ntid = {threads, 1, 1},
                                    .lane = i % PTX_WARP,
                                    .warp = i / PTX_WARP,
                                    .shared = room->window,
                                    .host = &host,
                                    .place = &room->runners[i]};
    }
    return block_run(room, threads, &code, NULL);
}
