/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lent [free] - two processes: one lends a block and a small allocation, the other opens the block twice and the small one once, and
 * gives one opening of the block back; with `free` all. Both end with what they then have.
 */
#include <cuda.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static void must(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%d: %s\n", (int)getpid(), what);
    exit(2);
}

#define MUST(call) must((call) == CUDA_SUCCESS, #call)

static void begin(void)
{
    CUcontext context;

    MUST(cuInit(0));
    MUST(cuDevicePrimaryCtxRetain(&context, 0));
    MUST(cuCtxSetCurrent(context));
}

static void borrow(int in, int out, int gives_all)
{
    CUipcMemHandle handle[2];
    CUdeviceptr at[3];

    begin();
    must(read(in, handle, sizeof handle) == sizeof handle, "read");
    for (int i = 0; i < 3; i++)
        MUST(cuIpcOpenMemHandle(&at[i], handle[i / 2], CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    MUST(cuIpcCloseMemHandle(at[0]));
    for (int i = 1; gives_all && i < 3; i++)
        MUST(cuIpcCloseMemHandle(at[i]));
    must(write(out, "", 1) == 1, "write");
}

static void lend(int in, int out)
{
    CUipcMemHandle handle[2];
    CUdeviceptr at[2];
    char word;

    begin();
    for (int i = 0; i < 2; i++) {
        MUST(cuMemAlloc(&at[i], i ? 3000 : 6 * MIB));
        MUST(cuIpcGetMemHandle(&handle[i], at[i]));
    }
    must(write(out, handle, sizeof handle) == sizeof handle, "write");
    must(read(in, &word, 1) == 1, "read");
}

int main(int argc, char **argv)
{
    int there[2], back[2], status;
    pid_t child;

    (void)argv;
    must(!pipe(there) && !pipe(back), "pipe");
    child = fork();
    if (!child) {
        borrow(there[0], back[1], argc > 1);
        return 0;
    }
    lend(back[0], there[1]);
    must(waitpid(child, &status, 0) == child && status == 0, "the other process");
    return 0;
}
