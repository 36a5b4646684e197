/* SPDX-License-Identifier: Apache-2.0 */
/* What happens before any body runs: start-up, counting, injected failures, refusals. */
#include "device/context.h"
#include "driver/entry.h"
#include "driver/fail.h"
#include "driver/report.h"
#include "driver/sim.h"
#include "machine/options.h"

#include <stdio.h>

/* A body that nobody defines is NULL. The thunks go by a name of their own here: another library may
 * interpose the exported one, and the driver must not hand that out as its own. */
#define ENTRY(symbol, version, needs, stream, body)                                                          \
    extern __typeof__(body) sim_##body __attribute__((weak));                                                \
    extern char thunk_##symbol[] __attribute__((visibility("hidden")));
#include "driver/entries.def"
#undef ENTRY

const struct entry entries[] = {
#define ENTRY(symbol, version, needs, stream, body)                                                          \
    {#symbol, version, needs, stream, thunk_##symbol, (void *)sim_##body},
#include "driver/entries.def"
#undef ENTRY
};

const unsigned entry_count = sizeof entries / sizeof *entries;

static uint64_t calls[sizeof entries / sizeof *entries];
static bool named[sizeof entries / sizeof *entries]; /* not implemented, and its name has been printed */

uint64_t entry_calls(unsigned index)
{
    return __atomic_load_n(&calls[index], __ATOMIC_RELAXED);
}

static void start(void)
{
    options_read();
    if (options.fail && !fail_read(options.fail))
        options.valid = false;
}

static CUresult admit(const struct entry *entry, unsigned index, const void *return_address)
{
    const struct context *context = context_current();
    CUresult sticky = context ? __atomic_load_n(&context->sticky, __ATOMIC_RELAXED) : CUDA_SUCCESS;
    int injected;

    if (sim.forked)
        return entry->needs == ANY && index != ENTRY_cuInit ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
    if (sim.finished)
        return CUDA_ERROR_DEINITIALIZED;
    if (entry->version > options.driver_version)
        return CUDA_ERROR_NOT_SUPPORTED;
    injected = fail_judge(index, return_address);
    if (injected)
        return (CUresult)injected;
    if (entry->needs != ANY && !__atomic_load_n(&sim.initialized, __ATOMIC_ACQUIRE))
        return CUDA_ERROR_NOT_INITIALIZED;
    if (entry->needs == CTX && !context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (entry->needs == CTX && !__atomic_load_n(&context->alive, __ATOMIC_RELAXED))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (entry->needs == VMM && !options.vmm)
        return CUDA_ERROR_NOT_SUPPORTED;
    return entry->needs == INIT || entry->needs == ANY ? CUDA_SUCCESS : sticky;
}

/* Of what has no body. To print is a point of cancellation, which an entry is only if it is told to be. */
static void name_once(unsigned index)
{
    int state;

    if (__atomic_exchange_n(&named[index], true, __ATOMIC_RELAXED))
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    fprintf(stderr, "simgpu: %s is not implemented\n", entries[index].symbol);
    pthread_setcancelstate(state, NULL);
}

struct gate gate_enter(unsigned index, void *return_address)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct entry *entry = &entries[index];
    CUresult result;

    pthread_once(&once, start);
    if (options.cancel)
        pthread_testcancel();
    __atomic_add_fetch(&calls[index], 1, __ATOMIC_RELAXED);
    result = admit(entry, index, return_address);
    if (result == CUDA_SUCCESS && !entry->body) {
        name_once(index);
        result = CUDA_ERROR_NOT_SUPPORTED;
    }
    thread.per_thread = entry->stream == PER_THREAD;
    return (struct gate){result, entry->body};
}

__attribute__((destructor)) static void finish(void)
{
    if (sim.forked)
        return; /* the lock may be held by a thread that is not here */
    sim_lock();
    sim.finished = true;
    report_write();
    sim_unlock();
}
