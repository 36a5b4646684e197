/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/run.h"

#include "device/device.h"
#include "memory/space.h"
#include "ptx/block.h"
#include "ptx/heap.h"
#include "ptx/print.h"
#include "ptx/room.h"
#include "ptx/texture.h"
#include "stream/fault.h"
#include "stream/touch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SHARED_ALIGNMENT = 16,
    /* Of a stack, what .local variables may not have. */
    STACK_RESERVE = 160 << 10,
    /* Of one launch, threads whose stacks have a page between them. */
    GUARDED_MAX = 16 << 10
};

struct run {
    const struct ptx_code *code;
    const struct simgpu_launch *launch;
    const u8 *params;
    struct room *room; /* and of a cooperative launch one for each more block */
    bool is_cooperative;
    u32 meeting[8]; /* of a cooperative launch's blocks, zero at first: %envreg1 and 2 are its address */
    u32 envreg[32];
    u64 *sites;
    struct textures textures;
    bool has_lent;              /* the room's stack to the handler of faults */
    struct ptx_thread first;    /* what all threads of the launch have in common, in block 0 */
    uintptr_t stack, stack_end; /* of the thread that all this runs on; 0: not asked yet */
};

static const struct run *run_of(const struct ptx_thread *self)
{
    return self->machine;
}

static void __attribute__((noreturn)) run_trap(struct ptx_thread *self)
{
    fprintf(stderr, "simgpu: trap in %s, block (%u, %u, %u), thread (%u, %u, %u)\n", run_of(self)->code->name,
            self->ctaid[0], self->ctaid[1], self->ctaid[2], self->tid[0], self->tid[1], self->tid[2]);
    fault_stop(CUDA_ERROR_LAUNCH_FAILED);
}

static void __attribute__((noreturn))
run_assert(struct ptx_thread *self, u64 message, u64 file, u32 line, u64 function)
{
    char *text = run_of(self)->room->text;

    /* What they point to may be no address: not while stderr is held. */
    snprintf(text, ROOM_TEXT_BYTES,
             "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` failed.\n",
             (const char *)(uintptr_t)file, line, (const char *)(uintptr_t)function, self->ctaid[0],
             self->ctaid[1], self->ctaid[2], self->tid[0], self->tid[1], self->tid[2],
             (const char *)(uintptr_t)message);
    fputs(text, stderr);
    fault_stop(CUDA_ERROR_ASSERT);
}

static void __attribute__((noreturn)) run_misaligned(struct ptx_thread *self, u64 address)
{
    fprintf(stderr, "simgpu: misaligned address %#lx in %s on device %d\n", (unsigned long)address,
            run_of(self)->code->name, run_of(self)->launch->device);
    fault_stop(CUDA_ERROR_MISALIGNED_ADDRESS);
}

static void run_touch(struct ptx_thread *self, u64 address, u32 bytes)
{
    if (address & (bytes - 1))
        run_misaligned(self, address);
    if (space_contains(address) || !ptx_is_private(self, address, bytes))
        touch_access(address, bytes);
}

static u32 run_print(struct ptx_thread *self, u64 format, u64 arguments)
{
    return print_format(run_of(self)->room->text, format, arguments);
}

static const struct ptx_host host = {.touch = run_touch,
                                     .barrier = block_barrier,
                                     .meet = block_meet,
                                     .gather = block_gather,
                                     .yield = block_yield,
                                     .exit = block_exit,
                                     .trap = run_trap,
                                     .assert_fail = run_assert,
                                     .misaligned = run_misaligned,
                                     .print = run_print,
                                     .allocate = heap_allocate,
                                     .release = heap_release,
                                     .nanoseconds = now_ns,
                                     .fetch = texture_fetch,
                                     .place = texture_place,
                                     .store = texture_store,
                                     .answer = texture_answer};

static void find_stack(struct run *run)
{
    pthread_attr_t attributes;
    void *stack = NULL;
    size_t bytes = 0;

    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &stack, &bytes);
        pthread_attr_destroy(&attributes);
    }
    run->stack = (uintptr_t)stack;
    run->stack_end = (uintptr_t)stack + bytes;
}

struct textures *run_textures(const struct ptx_thread *self)
{
    struct run *run = self->machine;

    return &run->textures;
}

bool ptx_is_private(const struct ptx_thread *self, u64 address, u32 bytes)
{
    struct run *run = self->machine;

    (void)bytes;
    if (address - (u64)(uintptr_t)self->shared < run->room->open_bytes)
        return true;
    if (!run->stack_end)
        find_stack(run);
    if (address >= run->stack && address < run->stack_end)
        return true;
    for (const struct room *room = run->room; room; room = room->next)
        if (room_has_stack(room, address))
            return true;
    return false;
}

/* What the threads of a block share, and the place of the block in the grid. */
static void block_place(const struct run *run, struct ptx_thread *self, u64 number)
{
    const unsigned *grid = run->launch->grid;

    self->ctaid[0] = (u32)(number % grid[0]);
    self->ctaid[1] = (u32)(number / grid[0] % grid[1]);
    self->ctaid[2] = (u32)(number / grid[0] / grid[1]);
    self->smid = (u32)(number % SM_COUNT);
}

/* The block behind that one in the grid. */
static void block_next(struct ptx_thread *self)
{
    self->smid = (self->smid + 1) % SM_COUNT;
    for (unsigned i = 0; i < 3 && ++self->ctaid[i] == self->nctaid[i] && i < 2; i++)
        self->ctaid[i] = 0;
}

static void run_plain(struct run *run, u64 blocks)
{
    struct ptx_thread self = run->first;

    for (u64 i = 0; i < blocks; i++) {
        run->code->block(&self, run->params);
        block_next(&self);
    }
}

static void __attribute__((noreturn)) say_stuck(const struct run *run, const struct ptx_thread *self)
{
    fprintf(stderr,
            "simgpu: %s does not end: all threads that are left of block (%u, %u, %u) wait for each other\n",
            run->code->name, self->ctaid[0], self->ctaid[1], self->ctaid[2]);
    fault_stop(CUDA_ERROR_LAUNCH_FAILED);
}

static void runner_place(struct runner *runner, const struct ptx_thread *common, u32 number)
{
    struct ptx_thread *self = &runner->thread;

    *self = *common;
    self->tid[0] = number % self->ntid[0];
    self->tid[1] = number / self->ntid[0] % self->ntid[1];
    self->tid[2] = number / self->ntid[0] / self->ntid[1];
    self->lane = number % PTX_WARP;
    self->warp = number / PTX_WARP;
    self->place = runner;
}

/* From that block on, as many as there are rooms. */
static void run_together(struct run *run, u64 number, u32 threads)
{
    struct ptx_thread common = run->first;
    enum block_end end;

    for (struct room *room = run->room; room; room = room->next, number++) {
        block_place(run, &common, number);
        common.shared = room->window;
        for (u32 i = 0; i < threads; i++)
            runner_place(&room->runners[i], &common, i);
    }
    end = block_run(run->room, threads, run->code, run->params);
    if (end == BLOCK_FAILED)
        fault_again();
    if (end == BLOCK_STUCK)
        say_stuck(run, &common);
}

static void run_fibers(struct run *run, u64 blocks, u32 threads)
{
    u64 together = run->is_cooperative ? blocks : 1;

    for (u64 i = 0; i < blocks; i += together)
        run_together(run, i, threads);
}

/* One more room in front of the others. */
static bool run_add_room(struct run *run, u32 threads, bool guarded)
{
    const struct ptx_code *code = run->code;
    size_t stack = (size_t)code->local_bytes + STACK_RESERVE;
    struct room *room = room_take();

    if (!room)
        return false;
    room->next = run->room;
    run->room = room;
    return room_open(room, run->first.shared_bytes) &&
           (!(code->flags & PTX_FIBERS) ||
            room_stacks(room, threads, stack > ROOM_STACK_BYTES ? stack : ROOM_STACK_BYTES, guarded));
}

static bool run_begin(struct run *run, u64 blocks, u32 threads)
{
    u64 rooms = run->is_cooperative && run->code->flags & PTX_FIBERS ? blocks : 1;

    run->sites = calloc(run->code->site_count + 1, sizeof *run->sites);
    if (!run->sites)
        return false;
    for (u64 i = 0; i < rooms; i++)
        if (!run_add_room(run, threads, rooms * threads <= GUARDED_MAX))
            return false;
    return true;
}

static void run_end(struct run *run)
{
    while (run->room) {
        struct room *room = run->room;

        run->room = room->next;
        room_give(room);
    }
    textures_forget(&run->textures);
    free(run->sites);
}

static void run_describe(struct run *run, u8 *const *globals, u32 threads)
{
    static u64 last_grid;
    const struct simgpu_launch *launch = run->launch;
    struct ptx_thread *first = &run->first;
    u32 fixed = (run->code->shared_static + SHARED_ALIGNMENT - 1) & ~(u32)(SHARED_ALIGNMENT - 1);

    for (unsigned i = 0; i < 3; i++) {
        first->ntid[i] = launch->block[i];
        first->nctaid[i] = launch->grid[i];
    }
    first->nwarps = (threads + PTX_WARP - 1) / PTX_WARP;
    first->shared_dynamic = launch->shared_bytes;
    first->shared_bytes = fixed + launch->shared_bytes;
    first->nsmid = SM_COUNT;
    first->gridid = __atomic_add_fetch(&last_grid, 1, __ATOMIC_RELAXED);
    first->globals = globals;
    first->host = &host;
    first->machine = run;
    first->envreg = run->envreg;
    if (run->is_cooperative) {
        run->envreg[1] = (u32)((uintptr_t)run->meeting >> 32);
        run->envreg[2] = (u32)(uintptr_t)run->meeting;
    }
}

/* A stack that is used up leaves none for the handler of the fault. Returns whether there is one now that is the room's. */
static bool lend_signal_stack(const struct room *room)
{
    stack_t stack = {.ss_sp = room->signal_stack, .ss_size = ROOM_SIGNAL_BYTES}, before;

    if (sigaltstack(NULL, &before) != 0 || !(before.ss_flags & SS_DISABLE))
        return false;
    return sigaltstack(&stack, NULL) == 0;
}

static void return_signal_stack(void)
{
    stack_t none = {.ss_flags = SS_DISABLE};

    sigaltstack(&none, NULL);
}

/* True: it has failed, and all stands as if it had never begun. */
static bool run_guarded(struct run *run, u64 blocks, u32 threads)
{
    sigjmp_buf guard, *outer = thread.guard;
    volatile bool failed = true;

    run->has_lent = lend_signal_stack(run->room);
    if (sigsetjmp(guard, 0) == 0) {
        thread.guard = &guard;
        thread.strict = true;
        thread.escape = block_escape;
        if (run->code->flags & PTX_FIBERS)
            run_fibers(run, blocks, threads);
        else
            run_plain(run, blocks);
        failed = false;
    }
    thread.guard = outer;
    thread.strict = false;
    thread.escape = NULL;
    if (run->has_lent)
        return_signal_stack();
    return failed;
}

void ptx_run(const struct ptx_code *code, const struct simgpu_launch *launch, bool is_cooperative,
             const u8 *params, u8 *const *globals)
{
    struct run run = {.code = code, .launch = launch, .params = params, .is_cooperative = is_cooperative};
    u32 threads = launch->block[0] * launch->block[1] * launch->block[2];
    u64 blocks = (u64)launch->grid[0] * launch->grid[1] * launch->grid[2];
    bool failed;

    run_describe(&run, globals, threads);
    if (!run_begin(&run, blocks, threads)) {
        run_end(&run);
        fault_stop(CUDA_ERROR_OUT_OF_MEMORY);
    }
    run.first.shared = run.room->window;
    run.first.sites = run.sites;
    failed = run_guarded(&run, blocks, threads);
    run_end(&run);
    if (failed)
        fault_again();
}
