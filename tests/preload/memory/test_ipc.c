/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on the simulated driver with a device budget of 16 MiB: blocks that another process opens. */
#include "../log_lines.h"
#include "../world.h"

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OTHERS = 8
};
#define BLOCK_BYTES (5 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

/* Two processes that tell each other when to go on. */
struct peers {
    int to_child[2], to_parent[2];
    pid_t child;
};

static struct peers peers_start(void)
{
    struct peers peers;

    cr_assert(pipe(peers.to_child) == 0 && pipe(peers.to_parent) == 0);
    peers.child = fork(); /* before CUDA is up in either */
    cr_assert_geq(peers.child, 0);
    return peers;
}

static void say(int fd, const void *message, size_t bytes)
{
    cr_assert_eq(write(fd, message, bytes), (ssize_t)bytes);
}

static void hear(int fd, void *message, size_t bytes)
{
    cr_assert_eq(read(fd, message, bytes), (ssize_t)bytes);
}

static void peers_end(const struct peers *peers)
{
    int status;

    cr_assert_eq(waitpid(peers->child, &status, 0), peers->child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the other process: %x", status);
}

/* In the other process nothing reports: it says what went wrong by how it ends. */
#define DEMAND(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            _exit(__LINE__ % 200 + 1);                                                                       \
    } while (0)

/* Open, find 1 everywhere, add 1 to all of it, close. */
static void import_and_add(const struct peers *peers, unsigned count)
{
    struct world world = world_make();
    CUipcMemHandle handle;
    CUdeviceptr block, again;

    hear(peers->to_child[0], &handle, sizeof handle);
    DEMAND(cuIpcOpenMemHandle(&block, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) == CUDA_SUCCESS);
    DEMAND(cuIpcOpenMemHandle(&again, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) == CUDA_SUCCESS);
    DEMAND(again == block);
    DEMAND(all_are(block, count, 1));
    DEMAND(world_add(&world, block, block, count, NULL) == CUDA_SUCCESS);
    DEMAND(cuIpcCloseMemHandle(again) == CUDA_SUCCESS);
    DEMAND(all_are(block, count, 2));
    DEMAND(cuIpcCloseMemHandle(block) == CUDA_SUCCESS);
    DEMAND(cuIpcCloseMemHandle(block) != CUDA_SUCCESS);
    say(peers->to_parent[1], "x", 1);
    _exit(0);
}

/* More than the budget holds, used again and again. */
static void press(const struct world *world)
{
    CUdeviceptr other[OTHERS];

    for (unsigned i = 0; i < OTHERS; i++)
        OK(cuMemAlloc(&other[i], 4 * MIB));
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < OTHERS; i++)
            OK(world_add(world, other[i], other[i], MIB, NULL));
    for (unsigned i = 0; i < OTHERS; i++)
        OK(cuMemFree(other[i]));
}

Test(ipc, a_block_is_shared_and_stays_where_it_is)
{
    struct peers peers = peers_start();
    CUipcMemHandle handle, same;
    CUdeviceptr block;
    char done;

    if (!peers.child)
        import_and_add(&peers, BLOCK_COUNT);
    struct world world = world_make();

    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuMemsetD32(block, bits_of(1), BLOCK_COUNT));
    OK(cuIpcGetMemHandle(&handle, block));
    OK(cuIpcGetMemHandle(&same, block + 100));
    cr_expect_arr_eq(&same, &handle, sizeof handle);
    press(&world);
    OK(cuCtxSynchronize());
    say(peers.to_child[1], &handle, sizeof handle);
    hear(peers.to_parent[0], &done, 1);
    press(&world);
    cr_expect(all_are(block, BLOCK_COUNT, 2));
    peers_end(&peers);
    OK(cuMemFree(block));
    world_end(&world);
}

/* It lies behind another one in the memory that both share. */
Test(ipc, a_small_allocation_is_shared_where_it_lies)
{
    enum {
        COUNT = 16 << 10
    };
    struct peers peers = peers_start();
    CUipcMemHandle handle;
    CUdeviceptr before, small, after;
    char done;

    if (!peers.child)
        import_and_add(&peers, COUNT);
    struct world world = world_make();

    OK(cuMemAlloc(&before, COUNT * 4));
    OK(cuMemAlloc(&small, COUNT * 4));
    OK(cuMemAlloc(&after, COUNT * 4));
    OK(cuMemsetD32(before, bits_of(7), COUNT));
    OK(cuMemsetD32(small, bits_of(1), COUNT));
    OK(cuMemsetD32(after, bits_of(7), COUNT));
    OK(cuIpcGetMemHandle(&handle, small));
    press(&world);
    OK(cuCtxSynchronize());
    say(peers.to_child[1], &handle, sizeof handle);
    hear(peers.to_parent[0], &done, 1);
    press(&world);
    cr_expect(all_are(small, COUNT, 2));
    cr_expect(all_are(before, COUNT, 7));
    cr_expect(all_are(after, COUNT, 7));
    peers_end(&peers);
    OK(cuMemFree(before));
    OK(cuMemFree(small));
    OK(cuMemFree(after));
    world_end(&world);
}

/* The same by the runtime's calls. */
static void import_by_runtime(const struct peers *peers)
{
    struct world world = world_make();
    cudaIpcMemHandle_t handle;
    void *block;

    hear(peers->to_child[0], &handle, sizeof handle);
    DEMAND(cudaIpcOpenMemHandle(&block, handle, cudaIpcMemLazyEnablePeerAccess) == cudaSuccess);
    DEMAND(all_are((CUdeviceptr)block, BLOCK_COUNT, 1));
    DEMAND(world_add(&world, (CUdeviceptr)block, (CUdeviceptr)block, BLOCK_COUNT, NULL) == CUDA_SUCCESS);
    DEMAND(cuCtxSynchronize() == CUDA_SUCCESS);
    DEMAND(cudaIpcCloseMemHandle(block) == cudaSuccess);
    DEMAND(cudaIpcCloseMemHandle(block) != cudaSuccess);
    say(peers->to_parent[1], "x", 1);
    _exit(0);
}

Test(ipc, a_block_is_shared_by_the_runtimes_calls)
{
    struct peers peers = peers_start();
    cudaIpcMemHandle_t handle;
    void *block;
    char done;

    if (!peers.child)
        import_by_runtime(&peers);
    struct world world = world_make();

    cr_assert_eq(cudaMalloc(&block, BLOCK_BYTES), cudaSuccess);
    OK(cuMemsetD32((CUdeviceptr)block, bits_of(1), BLOCK_COUNT));
    OK(cuCtxSynchronize());
    cr_assert_eq(cudaIpcGetMemHandle(&handle, block), cudaSuccess);
    say(peers.to_child[1], &handle, sizeof handle);
    press(&world);
    hear(peers.to_parent[0], &done, 1);
    cr_expect(all_are((CUdeviceptr)block, BLOCK_COUNT, 2));
    peers_end(&peers);
    cr_assert_eq(cudaFree(block), cudaSuccess);
    world_end(&world);
}

static void import_in_vain(const struct peers *peers)
{
    struct world world = world_make();
    CUipcMemHandle handle;
    CUdeviceptr block = 7;

    (void)world;
    hear(peers->to_child[0], &handle, sizeof handle);
    DEMAND(cuIpcOpenMemHandle(&block, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) ==
           CUDA_ERROR_INVALID_VALUE);
    DEMAND(block == 7);
    _exit(0);
}

Test(ipc, a_block_that_was_freed_cannot_be_opened)
{
    struct peers peers = peers_start();
    CUipcMemHandle handle;
    CUdeviceptr block;

    if (!peers.child)
        import_in_vain(&peers);
    struct world world = world_make();

    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuIpcGetMemHandle(&handle, block));
    OK(cuMemFree(block));
    OK(cuMemAlloc(&block, BLOCK_BYTES)); /* perhaps at the same address */
    say(peers.to_child[1], &handle, sizeof handle);
    peers_end(&peers);
    OK(cuMemFree(block));
    world_end(&world);
}

Test(ipc, a_guessed_handle_opens_nothing)
{
    struct peers peers = peers_start();
    CUipcMemHandle handle;
    CUdeviceptr block;

    if (!peers.child)
        import_in_vain(&peers);
    struct world world = world_make();

    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuIpcGetMemHandle(&handle, block));
    handle.reserved[16] = (char)(handle.reserved[16] + 1); /* of the random number */
    say(peers.to_child[1], &handle, sizeof handle);
    peers_end(&peers);
    OK(cuMemFree(block));
    world_end(&world);
}

/* From here on this process has `count` more descriptors and no other. */
static void descriptors_left(unsigned count)
{
    int free_one[8];
    struct rlimit limit;

    DEMAND(count <= 8 && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (unsigned i = 0; i < count; i++)
        free_one[i] = dup(0);
    limit.rlim_cur = (rlim_t)free_one[count - 1] + 1;
    for (unsigned i = 0; i < count; i++)
        close(free_one[i]);
    DEMAND(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void import_large(const struct peers *peers)
{
    struct world world = world_make();
    CUipcMemHandle handle;
    CUdeviceptr block;

    (void)world;
    descriptors_left(4);
    hear(peers->to_child[0], &handle, sizeof handle);
    DEMAND(cuIpcOpenMemHandle(&block, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) == CUDA_SUCCESS);
    DEMAND(all_are(block, 14 * MIB / sizeof(float), 1));
    DEMAND(cuIpcCloseMemHandle(block) == CUDA_SUCCESS);
    _exit(0);
}

Test(ipc, a_block_of_more_pieces_than_descriptors_is_shared)
{
    struct peers peers = peers_start();
    CUipcMemHandle handle;
    CUdeviceptr block;

    if (!peers.child)
        import_large(&peers);
    struct world world = world_make();

    OK(cuMemAlloc(&block, 14 * MIB)); /* in pieces of 2 MiB */
    OK(cuMemsetD32(block, bits_of(1), 14 * MIB / sizeof(float)));
    OK(cuCtxSynchronize());
    descriptors_left(4);
    OK(cuIpcGetMemHandle(&handle, block));
    say(peers.to_child[1], &handle, sizeof handle);
    peers_end(&peers);
    OK(cuMemFree(block));
    world_end(&world);
}

/* The random number of a handle, and that of its socket, as shim/cuda/ipc_server.h has them. */
static unsigned long long number_at(const CUipcMemHandle *handle, size_t offset)
{
    unsigned long long number;

    memcpy(&number, handle->reserved + offset, sizeof number);
    return number;
}

enum {
    TOKEN_AT = 16,
    SOCKET_AT = 48
};

/* The socket of the process that a handle is of. */
static socklen_t socket_of(const CUipcMemHandle *handle, struct sockaddr_un *out)
{
    int32_t pid;

    memcpy(&pid, handle->reserved + 8, sizeof pid);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) +
           (socklen_t)snprintf(out->sun_path + 1, sizeof out->sun_path - 1, "ebbtide-%d-%llx", pid,
                               number_at(handle, SOCKET_AT));
}

/* Connect, and be silent. */
static int connect_only(const CUipcMemHandle *handle)
{
    struct sockaddr_un address;
    socklen_t length = socket_of(handle, &address);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    DEMAND(connect(fd, (struct sockaddr *)&address, length) == 0);
    return fd;
}

static void import_behind_the_silent(const struct peers *peers)
{
    struct world world = world_make();
    CUipcMemHandle handle;
    CUdeviceptr block;

    (void)world;
    hear(peers->to_child[0], &handle, sizeof handle);
    for (unsigned i = 0; i < 3; i++)
        connect_only(&handle);
    DEMAND(cuIpcOpenMemHandle(&block, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) == CUDA_SUCCESS);
    DEMAND(cuIpcCloseMemHandle(block) == CUDA_SUCCESS);
    _exit(0);
}

Test(ipc, those_who_connect_and_say_nothing_hold_nobody_up)
{
    struct peers peers = peers_start();
    CUipcMemHandle handle;
    CUdeviceptr block;

    if (!peers.child)
        import_behind_the_silent(&peers);
    struct world world = world_make();

    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuIpcGetMemHandle(&handle, block));
    say(peers.to_child[1], &handle, sizeof handle);
    peers_end(&peers);
    OK(cuMemFree(block));
    world_end(&world);
}

/* Another user, who has nothing to say and waits for whatever comes. */
static void be_hung_up_on(const struct peers *peers)
{
    CUipcMemHandle handle;
    char word;

    DEMAND(setuid(65534) == 0);
    hear(peers->to_child[0], &handle, sizeof handle);
    DEMAND(recv(connect_only(&handle), &word, 1, 0) == 0);
    _exit(0);
}

Test(ipc, another_user_is_hung_up_on_at_once)
{
    struct peers peers;
    CUipcMemHandle handle;
    CUdeviceptr block;

    if (geteuid())
        cr_skip_test("only root can become somebody else");
    peers = peers_start();
    if (!peers.child)
        be_hung_up_on(&peers);
    struct world world = world_make();

    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuIpcGetMemHandle(&handle, block));
    say(peers.to_child[1], &handle, sizeof handle);
    peers_end(&peers);
    OK(cuMemFree(block));
    world_end(&world);
}

/* Another user has taken the name of an exporter that is gone. */
static void stand_in(const struct peers *peers)
{
    struct sockaddr_un address;
    CUipcMemHandle handle;
    char word[512];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    DEMAND(setuid(65534) == 0);
    hear(peers->to_child[0], &handle, sizeof handle);
    socklen_t length = socket_of(&handle, &address);

    DEMAND(bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, 1) == 0);
    say(peers->to_parent[1], "x", 1);
    DEMAND(recv(accept(fd, NULL, NULL), word, sizeof word, 0) == 0); /* it is told nothing */
    _exit(0);
}

Test(ipc, another_user_who_has_taken_the_exporters_name_is_told_nothing)
{
    struct peers peers;
    CUipcMemHandle handle;
    CUdeviceptr block;
    char ready;

    if (geteuid())
        cr_skip_test("only root can become somebody else");
    peers = peers_start();
    if (!peers.child)
        stand_in(&peers);
    struct world world = world_make();

    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuIpcGetMemHandle(&handle, block));
    handle.reserved[SOCKET_AT]++; /* of a socket that nobody has */
    memcpy(handle.reserved + 8, &(int32_t){peers.child}, sizeof(int32_t));
    say(peers.to_child[1], &handle, sizeof handle);
    hear(peers.to_parent[0], &ready, 1);
    cr_expect_neq(cuIpcOpenMemHandle(&block, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS), CUDA_SUCCESS);
    peers_end(&peers);
    world_end(&world);
}

/* All users can read the names of sockets. */
Test(ipc, the_name_of_a_socket_tells_no_secret)
{
    struct world world = world_make();
    FILE *sockets = fopen("/proc/net/unix", "r");
    char line[512], token[32], number[32];
    CUipcMemHandle handle;
    CUdeviceptr block;
    bool is_listed = false;

    cr_assert(sockets);
    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuIpcGetMemHandle(&handle, block));
    snprintf(token, sizeof token, "%llx", number_at(&handle, TOKEN_AT));
    snprintf(number, sizeof number, "-%llx", number_at(&handle, SOCKET_AT));
    while (fgets(line, sizeof line, sockets)) {
        cr_expect_null(strstr(line, token));
        is_listed = is_listed || strstr(line, number);
    }
    cr_expect(is_listed);
    fclose(sockets);
    OK(cuMemFree(block));
    world_end(&world);
}

Test(ipc, a_process_does_not_open_its_own_block)
{
    struct world world = world_make();
    CUipcMemHandle handle;
    CUdeviceptr block, opened;

    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuIpcGetMemHandle(&handle, block));
    cr_expect_eq(cuIpcOpenMemHandle(&opened, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
                 CUDA_ERROR_INVALID_CONTEXT);
    OK(cuMemFree(block));
    world_end(&world);
}

/* Exports and ends in peace, as a process does whose peer could not open the block. */
static void export_only(void)
{
    struct world world = world_make();
    CUipcMemHandle handle;
    CUdeviceptr block;

    (void)world;
    DEMAND(cuMemAlloc(&block, BLOCK_BYTES) == CUDA_SUCCESS);
    DEMAND(cuIpcGetMemHandle(&handle, block) == CUDA_SUCCESS);
    exit(0);
}

Test(ipc, an_export_that_nobody_can_open_is_told_with_the_option)
{
    FILE *errors = listen_to_errors();
    struct peers peers = peers_start();

    if (!peers.child)
        export_only();
    peers_end(&peers);
    cr_expect_eq(lines_of(errors, peers.child, "exported with cuIpcGetMemHandle and never opened"), 1);
    fclose(errors);
}
