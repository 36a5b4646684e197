/* SPDX-License-Identifier: Apache-2.0 */
/* pressure_callback.c - see pressure_callback.h. */
#include "engine/pressure_callback.h"

#include <pthread.h>
#include <stddef.h>

static struct {
    pthread_mutex_t lock; /* of both fields, which belong together */
    ebb_pressure_fn fn;
    void *arg;
} callback = {.lock = PTHREAD_MUTEX_INITIALIZER};

static __thread bool asking;

void pressure_callback_set(ebb_pressure_fn fn, void *arg)
{
    pthread_mutex_lock(&callback.lock);
    callback.fn = fn;
    callback.arg = arg;
    pthread_mutex_unlock(&callback.lock);
}

bool pressure_callback_ask(int tier, int device, uint64_t bytes)
{
    ebb_pressure_fn fn;
    void *arg;
    int given;

    if (asking)
        return false;
    pthread_mutex_lock(&callback.lock);
    fn = callback.fn;
    arg = callback.arg;
    pthread_mutex_unlock(&callback.lock);
    if (!fn)
        return false;
    asking = true;
    given = fn(tier, device, bytes, arg);
    asking = false;
    return given != 0;
}

bool pressure_callback_asking(void)
{
    return asking;
}

void pressure_callback_forked(void)
{
    pthread_mutex_init(&callback.lock, NULL);
    callback.fn = NULL;
}
