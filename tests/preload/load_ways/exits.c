/* SPDX-License-Identifier: Apache-2.0 */
/* Ends while other threads use CUDA and blocks move: usage: way_exits exit|return|quick_exit|_exit */
#include "way.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    THREADS = 3,
};

static sem_t rounds;

static void *use_cuda(void *arg)
{
    (void)arg;
    /* Once the process ends the driver may refuse; that is no failure. */
    while (!way_driver())
        sem_post(&rounds);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    const char *way = argc > 1 ? argv[1] : "";

    sem_init(&rounds, 0, 0);
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&thread, NULL, use_cuda, NULL))
            return way_end("pthread_create");
    for (unsigned i = 0; i < THREADS; i++)
        sem_wait(&rounds);
    if (strcmp(way, "exit") == 0)
        exit(0);
    if (strcmp(way, "quick_exit") == 0)
        quick_exit(0);
    if (strcmp(way, "_exit") == 0)
        _exit(0);
    return 0;
}
