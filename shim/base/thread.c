/* SPDX-License-Identifier: Apache-2.0 */
/* thread.c - see thread.h. */
#include "base/thread.h"

#include <signal.h>

static void *begin(void *arg)
{
    const struct thread *thread = arg;

    pthread_setname_np(pthread_self(), thread->name);
    return thread->run(thread->arg);
}

int thread_start(const struct thread *thread, pthread_t *out)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t unjoined;
    int error;

    pthread_attr_init(&attributes);
    if (thread->stack_bytes)
        pthread_attr_setstacksize(&attributes, thread->stack_bytes);
    if (!out)
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = (thread->create ? thread->create : pthread_create)(out ? out : &unjoined, &attributes, begin,
                                                               (void *)(size_t)thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}
