/* SPDX-License-Identifier: Apache-2.0 */
#include "driver/sim.h"

#include "device/device.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <time.h>

struct sim sim = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

__thread struct thread thread;

static pthread_key_t key;

/* At the end of a thread that has asked for its number. */
static void thread_end(void *number)
{
    (void)number;
    free(thread.contexts);
    thread.contexts = NULL;
    thread.depth = thread.room = 0;
    if (sim.forked)
        return;
    sim_lock();
    stream_end_thread(thread.id);
    sim_unlock();
}

CUresult thread_start(void)
{
    return pthread_key_create(&key, thread_end) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

uint64_t thread_id(void)
{
    static uint64_t last;

    if (!thread.id) {
        thread.id = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
        /* Without memory for it the thread's streams merely stay. */
        (void)pthread_setspecific(key, &thread);
    }
    return thread.id;
}

void sim_lock(void)
{
    pthread_mutex_lock(&sim.lock);
}

void sim_unlock(void)
{
    struct hole *holes = device_holes();

    pthread_mutex_unlock(&sim.lock);
    hole_free(holes);
}

void sim_wait(void)
{
    sim.waiters++;
    pthread_cond_wait(&sim.done, &sim.lock);
    sim.waiters--;
}

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A sleep overshoots by tens of microseconds: the last part is spun, as a driver does that waits for its
 * device. */
void sleep_until(uint64_t deadline_ns)
{
    enum {
        SPIN_NS = 100000
    };
    uint64_t now = now_ns();

    if (now + SPIN_NS < deadline_ns) {
        uint64_t wake = deadline_ns - SPIN_NS;
        struct timespec at = {(time_t)(wake / 1000000000u), (long)(wake % 1000000000u)};

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
            continue;
    }
    while (now_ns() < deadline_ns)
        continue;
}
