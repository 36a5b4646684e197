/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that do what they are told, on devices that they share. The test itself stays out of the driver until it has
 * started them all: they are its forks.
 */
#ifndef SIMGPU_TESTS_PEER_H
#define SIMGPU_TESTS_PEER_H

#include <stddef.h>
#include <sys/types.h>

struct peer {
    pid_t pid;
    int orders, answers;
};

typedef long act(long argument);

/* The file that they share from now on, which is not there yet; removed by share_end. Their devices have so much. */
const char *share_begin(const char *memory);
void share_end(void);

struct peer peer_start(void);

/* What the act returns there. */
long peer_do(const struct peer *peer, act *what, long argument);

/* The same in two steps: it works meanwhile. */
void peer_begin(const struct peer *peer, act *what, long argument);
long peer_wait(const struct peer *peer);

/* Kills it, or lets it end by itself, and waits until it is gone. */
void peer_kill(struct peer *peer);
void peer_end(struct peer *peer);

/* Acts. A context on a device of the process; 0, or what cuInit says. */
long act_start(long ordinal);

/* Allocates; 0, or the driver's result. */
long act_take(long bytes);

/* Takes and gives back by chance, for good; the argument is the seed. Ends by a kill only. */
long act_churn(long seed);

/* Bytes that cuMemGetInfo says are free. */
long act_room(long unused);

/* Bytes that the process itself uses of its device 0. */
long act_used(long unused);

#endif
