/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario_managed.h"

#include "pages.h"

#include <sched.h>

static void send_away_meanwhile(CUdeviceptr block, uint64_t bytes)
{
    uint32_t *words = flags();
    CUdeviceptr *cell;
    CUstream user, mover;

    must(cuStreamCreate(&user, CU_STREAM_NON_BLOCKING));
    must(cuStreamCreate(&mover, CU_STREAM_NON_BLOCKING));
    must(cuMemHostAlloc((void **)&cell, sizeof *cell, 0));
    *cell = block;
    must(launch("touch_through", user, (void *[]){&cell, &bytes, &words}));
    must(cuMemsetD8Async(block, 1, 1, user));
    while (!__atomic_load_n(&words[0], __ATOMIC_ACQUIRE))
        sched_yield();
    must(cuMemPrefetchAsync(block, bytes, at(HOST), 0, mover));
    must(cuStreamSynchronize(mover));
    let_go(&words[1]);
    must(cuStreamSynchronize(user));
}

void paged(void)
{
    CUdeviceptr first, second;
    uint64_t page = 2 * MIB;

    setenv("SIMGPU_MEMORY", "16M", 1);
    start();
    first = managed(8 * MIB);
    second = managed(12 * MIB);
    send_away_meanwhile(first, 8 * MIB);
    must(cuMemPrefetchAsync(second, 12 * MIB, at(0), 0, NULL));
    must(cuMemPrefetchAsync(first, 8 * MIB, at(0), 0, NULL));
    must(cuMemAdvise(second, page, CU_MEM_ADVISE_SET_ACCESSED_BY, at(0)));
    must(launch("declare", NULL, (void *[]){&second, &page}));
    must(cuCtxSynchronize());
}
