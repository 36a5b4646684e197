/* SPDX-License-Identifier: Apache-2.0 */
/* first_fork_handlers.c - a library whose constructor registers fork handlers before anything in the process has
 * allocated. */
#include "object.h"

#include <pthread.h>

void (*first_work)(const char *moment);
unsigned first_calls;

static void called(const char *moment)
{
    first_calls++;
    objects_pass();
    if (first_work)
        first_work(moment);
}

static void prepare(void)
{
    called("prepare");
}

static void in_parent(void)
{
    called("parent");
}

static void in_child(void)
{
    called("child");
}

__attribute__((constructor)) static void load(void)
{
    if (pthread_atfork(prepare, in_parent, in_child))
        fail("fork handlers");
}
