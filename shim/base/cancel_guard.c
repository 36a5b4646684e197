/* SPDX-License-Identifier: Apache-2.0 */
/* door.c - see door.h. */
#include "base/cancel_guard.h"

#include <errno.h>
#include <pthread.h>

void door_enter(struct door *door)
{
    door->error = errno;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &door->cancel_state);
}

void door_leave(const struct door *door)
{
    errno = door->error;
    if (door->cancel_state != PTHREAD_CANCEL_DISABLE)
        pthread_setcancelstate(door->cancel_state, NULL);
}
