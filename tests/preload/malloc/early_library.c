/* SPDX-License-Identifier: Apache-2.0 */
/* early_library.c - a library whose constructor runs before that of any preloaded one, and whose fork handlers
 * allocate. */
#include "object.h"

#include <dlfcn.h>
#include <pthread.h>

struct objects linked_early;
unsigned linked_forks;

static void *run(void *arg)
{
    objects_pass();
    return arg;
}

static void prepare(void)
{
    for (unsigned i = 0; i < 2; i++)
        objects_pass();
    linked_forks++;
}

static void after(void)
{
    for (unsigned i = 0; i < 2; i++)
        objects_pass();
}

__attribute__((constructor)) static void load(void)
{
    pthread_t thread;

    objects_make(&linked_early);
    if (dlsym(RTLD_DEFAULT, "no_such_name_at_all") || !dlerror())
        fail("a name that nobody has");
    if (pthread_create(&thread, NULL, run, NULL) || pthread_join(thread, NULL))
        fail("a thread in a constructor");
    if (pthread_atfork(prepare, after, after))
        fail("fork handlers");
}

__attribute__((destructor)) static void unload(void)
{
    objects_pass();
}
