/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include "driver.h"
#include "pages.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct order {
    act *what;
    long argument;
};

static char path[64];

const char *share_begin(const char *memory)
{
    /* Where locks are known to live as long as mappings, see machine/share.h. */
    snprintf(path, sizeof path, "%s/simgpu-test-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             (int)getpid());
    unlink(path);
    setenv("SIMGPU_SHARED", path, 1);
    setenv("SIMGPU_MEMORY", memory, 1);
    return path;
}

void share_end(void)
{
    unlink(path);
}

static void fail(const char *what)
{
    fprintf(stderr, "a process that was told what to do: %s\n", what);
    abort();
}

static void serve(int orders, int answers)
{
    struct order order;

    while (read(orders, &order, sizeof order) == (ssize_t)sizeof order) {
        long answer = order.what(order.argument);

        if (write(answers, &answer, sizeof answer) != (ssize_t)sizeof answer)
            break;
    }
    exit(0);
}

struct peer peer_start(void)
{
    int orders[2], answers[2];
    struct peer peer;

    if (pipe(orders) != 0 || pipe(answers) != 0)
        fail("no pipe");
    peer = (struct peer){fork(), orders[1], answers[0]};
    if (peer.pid < 0)
        fail("no fork");
    if (peer.pid == 0) {
        close(orders[1]);
        close(answers[0]);
        serve(orders[0], answers[1]);
    }
    close(orders[0]);
    close(answers[1]);
    return peer;
}

void peer_begin(const struct peer *peer, act *what, long argument)
{
    struct order order = {what, argument};

    if (write(peer->orders, &order, sizeof order) != (ssize_t)sizeof order)
        fail("it takes no orders");
}

long peer_wait(const struct peer *peer)
{
    long answer;

    if (read(peer->answers, &answer, sizeof answer) != (ssize_t)sizeof answer)
        fail("it is gone");
    return answer;
}

long peer_do(const struct peer *peer, act *what, long argument)
{
    peer_begin(peer, what, argument);
    return peer_wait(peer);
}

void peer_kill(struct peer *peer)
{
    kill(peer->pid, SIGKILL);
    peer_end(peer);
}

void peer_end(struct peer *peer)
{
    close(peer->orders);
    waitpid(peer->pid, NULL, 0);
    close(peer->answers);
    peer->pid = -1;
}

long act_start(long ordinal)
{
    CUresult result = cuInit(0);
    CUcontext context;

    if (result != CUDA_SUCCESS)
        return result;
    must(cuDevicePrimaryCtxRetain(&context, (CUdevice)ordinal));
    must(cuCtxSetCurrent(context));
    return 0;
}

long act_take(long bytes)
{
    CUdeviceptr address;

    return cuMemAlloc(&address, (size_t)bytes);
}

long act_churn(long seed)
{
    CUdeviceptr taken[16] = {0};
    unsigned state = (unsigned)seed;

    for (;;) {
        CUdeviceptr *slot = &taken[rand_r(&state) % 16];

        if (*slot) {
            must(cuMemFree(*slot));
            *slot = 0;
        } else if (cuMemAlloc(slot, (size_t)(rand_r(&state) % 8 + 1) * GRANULE) != CUDA_SUCCESS) {
            *slot = 0;
        }
    }
}

long act_room(long unused)
{
    size_t free_bytes, total_bytes;

    (void)unused;
    must(cuMemGetInfo(&free_bytes, &total_bytes));
    return (long)free_bytes;
}

long act_used(long unused)
{
    (void)unused;
    return (long)simgpu_used_bytes(0);
}
