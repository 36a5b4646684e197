/* SPDX-License-Identifier: Apache-2.0 */
/* wrapper.c - a library in front of malloc, as those that trace it: it looks for the next one when it is called first. */
#include <dlfcn.h>
#include <stddef.h>

void *malloc(size_t bytes);
void free(void *memory);

static void *(*next_malloc)(size_t bytes);
static void (*next_free)(void *memory);

static void find(void)
{
    *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next_free = dlsym(RTLD_NEXT, "free");
}

void *malloc(size_t bytes)
{
    if (!next_malloc)
        find();
    return next_malloc(bytes);
}

void free(void *memory)
{
    if (!next_free)
        find();
    next_free(memory);
}
