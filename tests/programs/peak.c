/* SPDX-License-Identifier: Apache-2.0 */
#include "peak.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t held, most;

void peak_add(uint64_t bytes)
{
    pthread_mutex_lock(&lock);
    held += bytes;
    if (held > most)
        most = held;
    pthread_mutex_unlock(&lock);
}

void peak_remove(uint64_t bytes)
{
    pthread_mutex_lock(&lock);
    held -= bytes;
    pthread_mutex_unlock(&lock);
}

uint64_t peak_bytes(void)
{
    pthread_mutex_lock(&lock);
    uint64_t bytes = most;
    pthread_mutex_unlock(&lock);
    return bytes;
}
