/* SPDX-License-Identifier: Apache-2.0 */
/* own_malloc.c - a program with a malloc of its own, which ends when it is handed what it did not give out; see
 * heap.py. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t)64 << 20)

static _Alignas(4096) char arena[ARENA_BYTES];
/* Not 0: libc's free would take the first object for a mapping of no pages, in silence. */
static _Atomic size_t used = 100;

static void stop(const char *why)
{
    if (write(STDOUT_FILENO, why, strlen(why)) < 0)
        _exit(9);
    _exit(1);
}

static size_t *head_of(void *memory)
{
    if ((char *)memory < arena || (char *)memory >= arena + ARENA_BYTES)
        stop("handed what another malloc gave out\n");
    return (size_t *)memory - 1;
}

/* Nothing is used again: what is freed is lost. */
void *memalign(size_t alignment, size_t bytes)
{
    size_t take = bytes + 2 * alignment + sizeof(size_t), at = atomic_fetch_add(&used, take);
    char *memory = arena + (at + sizeof(size_t) + alignment - 1) / alignment * alignment;

    if (bytes > ARENA_BYTES || at + take > ARENA_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    *head_of(memory) = bytes;
    return memory;
}

void *malloc(size_t bytes)
{
    return memalign(16, bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return memalign(16, count * bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    *out = memalign(alignment, bytes);
    return *out ? 0 : ENOMEM;
}

size_t malloc_usable_size(void *memory)
{
    return memory ? *head_of(memory) : 0;
}

void free(void *memory)
{
    if (memory)
        head_of(memory);
}

void *realloc(void *memory, size_t bytes)
{
    size_t had = memory ? *head_of(memory) : 0;
    void *moved = memalign(16, bytes);

    if (moved && memory)
        memcpy(moved, memory, had < bytes ? had : bytes);
    return moved;
}

/* What libc allocates and others free, and the other way round. */
static void *use_libc(void *arg)
{
    char *line = NULL, *text = NULL;
    size_t bytes = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    DIR *folder = opendir("/proc/self");

    while (getline(&line, &bytes, file) > 0)
        ;
    free(line);
    fclose(file);
    while (readdir(folder))
        ;
    closedir(folder);
    if (asprintf(&text, "%d", 12345) != 5)
        stop("asprintf\n");
    free(text);
    free(strdup("a"));
    if (dlsym(RTLD_DEFAULT, "no_such_name") || !dlerror())
        stop("dlsym\n");
    return arg;
}

int main(void)
{
    pthread_t thread[4];
    pid_t child;
    int status = -1;

    for (unsigned i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, use_libc, NULL);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    child = fork();
    if (child == 0) {
        use_libc(NULL);
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child || status)
        stop("the child\n");
    puts("kept");
    return 0;
}
