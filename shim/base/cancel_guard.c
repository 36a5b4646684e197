/* SPDX-License-Identifier: Apache-2.0 */
/* cancel_guard.c - see cancel_guard.h. */
#include "base/cancel_guard.h"

#include <errno.h>
#include <pthread.h>

void cancel_guard_enter(struct cancel_guard *guard)
{
    guard->error = errno;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guard->cancel_state);
}

void cancel_guard_leave(const struct cancel_guard *guard)
{
    errno = guard->error;
    if (guard->cancel_state != PTHREAD_CANCEL_DISABLE)
        pthread_setcancelstate(guard->cancel_state, NULL);
}
