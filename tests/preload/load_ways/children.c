/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parent that starts children in one of the ways there are; usage: way_children WAY [PROGRAM]
 *
 * fork early      forks before anything of CUDA; the child does the work
 * fork late       uses CUDA in four threads, forks all the while; each child calls CUDA, allocates, and leaves by exit
 * exec, vfork, spawn   uses CUDA, then starts PROGRAM
 */
#include "way.h"

#include <cuda.h>
#include <dirent.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    THREADS = 4,
    CHILDREN = 6,
    NO_CHILD = 99,
};

static int wait_for(pid_t child)
{
    int status;

    if (child < 0 || waitpid(child, &status, 0) != child)
        return NO_CHILD;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static unsigned count_threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    unsigned count = 0;

    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

/* 0, or what is wrong in a child of a process that used CUDA: the driver does not serve it, all else works. */
static int child_of_user(void)
{
    CUdeviceptr address = 0;
    size_t free_bytes, total_bytes;
    CUcontext context;
    void *memory = malloc(1 << 20);

    if (count_threads() != 1)
        return 1;
    if (!memory || cuInit(0) != CUDA_ERROR_NOT_INITIALIZED ||
        cuMemAlloc(&address, WAY_BYTES) != CUDA_ERROR_NOT_INITIALIZED || address)
        return 2;
    if (cuMemGetInfo(&free_bytes, &total_bytes) != CUDA_ERROR_NOT_INITIALIZED ||
        cuDevicePrimaryCtxRetain(&context, 0) != CUDA_ERROR_NOT_INITIALIZED ||
        cuMemFree(address) != CUDA_ERROR_NOT_INITIALIZED)
        return 3;
    free(memory);
    return 0;
}

static bool is_over;

static void *use_cuda(void *arg)
{
    const char *complaint = NULL;

    while (!complaint && !__atomic_load_n(&is_over, __ATOMIC_RELAXED))
        complaint = way_driver();
    *(const char **)arg = complaint;
    return NULL;
}

static const char *fork_late(void)
{
    pthread_t thread[THREADS];
    const char *complaint[THREADS], *first = way_driver();
    int status = 0;

    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, use_cuda, &complaint[i]))
            return "pthread_create";
    for (unsigned i = 0; !status && i < CHILDREN; i++) {
        pid_t child = fork();

        if (child == 0)
            exit(child_of_user());
        status = wait_for(child);
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        first = first ? first : complaint[i];
    }
    if (status)
        printf("child: %d\n", status);
    return status ? "a forked child" : first;
}

static int start(const char *way, char *const arguments[])
{
    pid_t child = -1;

    if (strcmp(way, "spawn") == 0) {
        if (posix_spawn(&child, arguments[0], NULL, NULL, arguments, environ))
            child = -1;
        return wait_for(child);
    }
    child = strcmp(way, "vfork") == 0 ? vfork() : fork();
    if (child == 0) {
        execv(arguments[0], arguments);
        _exit(NO_CHILD);
    }
    return wait_for(child);
}

static const char *run(const char *way, char *const arguments[])
{
    if (strcmp(way, "fork late") == 0)
        return fork_late();
    if (strcmp(way, "fork early") == 0) {
        pid_t child = fork();

        if (child == 0)
            exit(way_end(way_driver()));
        return wait_for(child) ? "the child" : way_driver();
    }
    const char *complaint = way_driver();

    return complaint ? complaint : start(way, arguments) ? "the child" : way_driver();
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    return way_end(argc > 1 ? run(argv[1], argv + 2) : "no way given");
}
