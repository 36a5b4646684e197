/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on two simulated devices with budgets of 16 MiB each. Blocks of one device leave, and what moves them waits in
 * the middle, with the gate closed, until the other device has come as far as it can.
 */
#include "../../core/asleep.h"
#include "../world.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

TestSuite(gate_devices, .timeout = 60);

enum {
    BLOCKS = 4, /* the budget */
    LAUNCHES = 100,
    PATIENCE_S = 20 /* of the move; only a failure needs it */
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))
#define PART_BYTES  (BLOCK_BYTES / 2)

static struct world world[2];
static CUdeviceptr near[BLOCKS + 1], far[2];
static _Atomic bool is_moving, may_go_on;

static struct world world_on(CUdevice device)
{
    struct world made = {.device = device};

    OK(cuDevicePrimaryCtxRetain(&made.context, device));
    OK(cuCtxSetCurrent(made.context));
    OK(cuModuleLoad(&made.module, getenv("KERNELS")));
    OK(cuModuleGetFunction(&made.add, made.module, "add"));
    return made;
}

/* Called by the move. */
void meet(void);
__attribute__((visibility("default"))) void meet(void)
{
    struct timespec since, now;

    clock_gettime(CLOCK_MONOTONIC, &since);
    atomic_store(&is_moving, true);
    do {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (!atomic_load(&may_go_on) && now.tv_sec - since.tv_sec < PATIENCE_S);
    atomic_store(&is_moving, false);
}

static void await_move(void)
{
    while (!atomic_load(&is_moving))
        sched_yield();
}

/* What a thread does while memory of the first device is on its way. */
struct doer {
    void (*act)(void);
    _Atomic int id;
    _Atomic bool is_done, was_moving; /* when it was done */
    pthread_t thread;
};

static void *do_it(void *arg)
{
    struct doer *doer = arg;

    atomic_store(&doer->id, gettid());
    doer->act();
    atomic_store(&doer->was_moving, atomic_load(&is_moving));
    atomic_store(&doer->is_done, true);
    return NULL;
}

static void launch_often(void)
{
    CUstream stream;

    OK(cuCtxSetCurrent(world[1].context));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    await_move();
    for (unsigned i = 0; i < LAUNCHES; i++)
        OK(world_add(&world[1], i % 2 ? far[0] : far[0] + PART_BYTES, far[1], 1, i % 2 ? stream : NULL));
    OK(cuStreamSynchronize(stream));
    OK(cuStreamSynchronize(NULL));
}

static void launch_near(void)
{
    OK(cuCtxSetCurrent(world[0].context));
    await_move();
    OK(world_add(&world[0], near[0], near[1], BLOCK_COUNT, NULL));
}

static void copy_far(void)
{
    OK(cuCtxSetCurrent(world[1].context));
    await_move();
    OK(cuMemcpyDtoDAsync(far[1] + PART_BYTES, far[1], 4, NULL));
}

static void let_in(void)
{
    OK(cuCtxSetCurrent(world[1].context));
    await_move();
    OK(cuCtxEnablePeerAccess(world[0].context, 0));
}

static void let_in_by_a_pool(void)
{
    const CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1},
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemoryPool pool;

    OK(cuDeviceGetDefaultMemPool(&pool, world[0].device));
    await_move();
    OK(cuMemPoolSetAccess(pool, &access, 1));
}

static bool waits(struct doer *doer)
{
    unsigned seen = 0;

    while (!atomic_load(&doer->is_done) && seen < 1000)
        seen = asleep(atomic_load(&doer->id)) ? seen + 1 : 0;
    return !atomic_load(&doer->is_done);
}

static void *move(void *unused)
{
    (void)unused;
    OK(cuCtxSetCurrent(world[0].context));
    OK(cuMemAlloc(&near[BLOCKS], BLOCK_BYTES));
    return NULL;
}

static void begin(void)
{
    OK(cuInit(0));
    world[1] = world_on(1);
    fill_blocks(far, 2, BLOCK_BYTES);
    OK(cuCtxSynchronize());
    world[0] = world_on(0);
    fill_blocks(near, BLOCKS, BLOCK_BYTES);
    OK(cuCtxSynchronize());
    OK(cuMemFree(near[BLOCKS - 1]));
    OK(cuMemAllocAsync(&near[BLOCKS - 1], BLOCK_BYTES, NULL)); /* so that there is something to let in to */
}

static void end(void)
{
    free_blocks(near, BLOCKS + 1);
    free_blocks(far, 2);
    for (unsigned i = 0; i < 2; i++) {
        OK(cuCtxSetCurrent(world[i].context));
        world_end(&world[i]);
    }
}

Test(gate_devices, launches_on_one_device_go_on_while_memory_of_the_other_moves)
{
    struct doer goes_on = {.act = launch_often};
    struct doer stops[] = {
        {.act = launch_near}, {.act = copy_far}, {.act = let_in}, {.act = let_in_by_a_pool}};
    static const char *const what[] = {"a launch there", "a copy", "a device that is let in",
                                       "a device that a pool lets in"};
    enum {
        STOPS = sizeof stops / sizeof *stops
    };
    pthread_t mover;

    begin();
    pthread_create(&goes_on.thread, NULL, do_it, &goes_on);
    for (unsigned i = 0; i < STOPS; i++)
        pthread_create(&stops[i].thread, NULL, do_it, &stops[i]);
    pthread_create(&mover, NULL, move, NULL);
    pthread_join(goes_on.thread, NULL);
    cr_expect(atomic_load(&goes_on.was_moving), "%u launches", LAUNCHES);
    for (unsigned i = 0; atomic_load(&is_moving) && i < STOPS; i++)
        cr_expect(waits(&stops[i]), "%s", what[i]);
    atomic_store(&may_go_on, true);
    pthread_join(mover, NULL);
    for (unsigned i = 0; i < STOPS; i++) {
        pthread_join(stops[i].thread, NULL);
        cr_expect_not(atomic_load(&stops[i].was_moving), "%s", what[i]);
    }
    cr_expect(all_are(far[0], 1, LAUNCHES / 2), "in a stream");
    cr_expect(all_are(far[0] + PART_BYTES, 1, LAUNCHES / 2), "in the default one");
    cr_expect(all_are(near[0], BLOCK_COUNT, 1));
    cr_expect(all_are(near[2], BLOCK_COUNT, 2));
    end();
}
