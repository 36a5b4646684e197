/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/fault.h"

#include "device/context.h"
#include "device/host_link.h"
#include "managed/managed.h"
#include "memory/space.h"

#include <signal.h>
#include <stdio.h>

static struct sigaction before[2]; /* SIGSEGV, SIGBUS */

/* As if this handler had never been there. */
static void chain(int number, siginfo_t *info, void *machine)
{
    const struct sigaction *action = &before[number == SIGBUS];

    if (action->sa_flags & SA_SIGINFO) {
        action->sa_sigaction(number, info, machine);
    } else if (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN) {
        action->sa_handler(number);
    } else {
        /* The access is repeated on return, and then kills. */
        struct sigaction fatal = {.sa_handler = SIG_DFL};

        sigaction(number, &fatal, NULL);
    }
}

/* A fiber goes back to its thread's stack first: only there a jump to the guard is one down the stack. */
void fault_again(void)
{
    if (thread.escape)
        thread.escape();
    siglongjmp(*thread.guard, 1);
}

void fault_stop(CUresult result)
{
    thread.failure = result;
    fault_again();
}

static void handle(int number, siginfo_t *info, void *machine)
{
    if (thread.guard && (thread.strict || space_contains((uintptr_t)info->si_addr))) {
        thread.fault = (uintptr_t)info->si_addr;
        fault_again();
    }
    chain(number, info, machine);
}

void fault_start(void)
{
    /* Not blocked while it runs: it leaves by a jump, and the guard does not save the mask. */
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};

    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &before[0]);
    sigaction(SIGBUS, &action, &before[1]);
}

static void run(const struct work *work, struct op *op)
{
    if (work->kind == WORK_KERNEL)
        kernel_run(&work->kernel, op);
    else if (work->kind == WORK_COPY)
        copy_run(&work->copy, op);
    else if (work->kind == WORK_SET)
        set_run(&work->set);
    else
        memop_run(&work->memop, op);
}

CUresult fault_guard(const struct work *work, struct op *op)
{
    sigjmp_buf guard;
    sigjmp_buf *outer = thread.guard;
    uint64_t started_ns = now_ns();
    CUresult failure;

    managed_before(op);
    if (sigsetjmp(guard, 0) == 0) {
        thread.guard = &guard;
        run(work, op);
        thread.guard = outer;
        managed_after(op);
        link_after(op, work, started_ns);
        return CUDA_SUCCESS;
    }
    thread.guard = outer;
    failure = thread.failure;
    thread.failure = CUDA_SUCCESS;
    if (failure != CUDA_SUCCESS)
        return failure;
    fprintf(stderr, "simgpu: illegal address %#lx in %s on device %d\n", thread.fault, work_label(work),
            op->context->device->ordinal);
    return CUDA_ERROR_ILLEGAL_ADDRESS;
}

/* Declares what of the range lies in one object, from an address on. */
static CUresult touch_piece(struct op *op, uintptr_t at, uintptr_t end, uintptr_t *stop)
{
    struct memory *memory = memory_after(at);
    struct op_name name = {.node = op->node};

    if (!memory || memory->start > at) {
        *stop = memory && memory->start < end ? memory->start : end;
        return space_contains(at) || !options.pageable ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS;
    }
    *stop = memory->start + memory->size < end ? memory->start + memory->size : end;
    if (!memory_allows(memory, op->context->device, false))
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    name.name = (struct name){memory, memory->place + (at - memory->start), *stop - at, false};
    return op_touch(op, &name);
}

/* Uses what was declared, once. The link is taken a slice at a time, so that others get at it meanwhile. */
static void use_range(const struct op *op, uintptr_t at, uintptr_t end)
{
    enum {
        SLICE = 2 << 20,
        AHEAD_NS = 1000000
    };
    uint64_t until_ns = 0;
    struct memory *memory;

    sim_lock();
    for (uintptr_t stop; at < end && (memory = memory_after(at)) && memory->start < end; at = stop) {
        struct name name;

        at = at > memory->start ? at : memory->start;
        stop = memory->start + memory->size < end ? memory->start + memory->size : end;
        stop = stop - at > SLICE ? at + SLICE : stop;
        name = (struct name){memory, memory->place + (at - memory->start), stop - at, false};
        managed_use(&name, op->context->device, &until_ns);
        link_use(&name, op->context->device, 0, &until_ns);
        if (until_ns && until_ns > now_ns() + AHEAD_NS) {
            sim_unlock();
            sleep_until(until_ns);
            sim_lock();
        }
    }
    sim_unlock();
    if (until_ns)
        sleep_until(until_ns);
}

void fault_touch_times(const void *ptr, size_t bytes, unsigned passes)
{
    uintptr_t at = (uintptr_t)ptr, end = at + bytes;
    CUresult result = CUDA_SUCCESS;

    if (!thread.guard || !thread.running)
        return;
    sim_lock();
    while (at < end && result == CUDA_SUCCESS) {
        uintptr_t piece = at;

        result = touch_piece(thread.running, piece, end, &at);
        if (result != CUDA_SUCCESS)
            thread.fault = piece;
    }
    sim_unlock();
    if (result != CUDA_SUCCESS)
        fault_again();
    for (unsigned i = 0; i < passes; i++)
        use_range(thread.running, (uintptr_t)ptr, end);
}

void fault_touch(const void *ptr, size_t bytes)
{
    fault_touch_times(ptr, bytes, 1);
}

void fault_take(uint64_t ns)
{
    if (thread.guard && thread.running)
        thread.running->takes_ns += ns;
}
