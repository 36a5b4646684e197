/* SPDX-License-Identifier: Apache-2.0 */
/* gate.c - see gate.h. */
#include "engine/gate.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/pages.h"
#include "ledger/state.h"

struct gate gate;
THREAD_LOCAL struct gate_slot *gate_slot_mine;

static pthread_key_t slot_key;
static const struct lock_tag owner = LOCK_TAG(LOCK_GATE);
static pthread_once_t slot_key_once = PTHREAD_ONCE_INIT;
static bool slot_key_made;

/* The slot's sections have no end of their own any more. */
static void slot_abandon(struct gate_slot *slot)
{
    slot->nested = 0;
    atomic_store(&slot->inside, 0);
    if (atomic_load(&gate.closed))
        gate_wake_owner();
    if (gate.abandon)
        gate.abandon(slot);
}

/* The thread ends, be it in the middle of a section. */
static void slot_drop(void *arg)
{
    struct gate_slot *slot = arg;

    slot_abandon(slot);
    gate_slot_mine = NULL;
    atomic_store_explicit(&slot->taken, 0, memory_order_release);
}

static void slot_key_make(void)
{
    slot_key_made = !pthread_key_create(&slot_key, slot_drop);
}

static int futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
    return (int)syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, 0, 0);
}

void gate_init(void)
{
    atomic_store(&gate.fenced, syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0);
}

void gate_forked(void)
{
    for (struct gate_slot *slot = atomic_load(&gate.slots); slot; slot = slot->next) {
        atomic_store(&slot->inside, 0);
        if (slot != gate_slot_mine)
            atomic_store(&slot->taken, 0);
    }
    atomic_store(&gate.closed, 0);
    gate_init();
}

static struct gate_slot *slot_reuse(void)
{
    for (struct gate_slot *slot = atomic_load(&gate.slots); slot; slot = slot->next) {
        uint32_t free = 0;

        if (atomic_compare_exchange_strong(&slot->taken, &free, 1))
            return slot;
    }
    return NULL;
}

/* A page at a time: slots are for ever, and a thread that exits leaves its own to the next. */
static struct gate_slot *slot_create(void)
{
    size_t bytes = 4096;
    struct gate_slot *page = pages_take(bytes);

    if (!page)
        return NULL;
    page[0].taken = 1;
    for (size_t i = 0; i < bytes / sizeof(*page); i++) {
        struct gate_slot *head = atomic_load(&gate.slots);

        do
            page[i].next = head;
        while (!atomic_compare_exchange_weak(&gate.slots, &head, &page[i]));
    }
    return &page[0];
}

struct gate_slot *gate_join(void)
{
    struct gate_slot *slot = slot_reuse();

    if (!slot && !(slot = slot_create()))
        return NULL;
    pthread_once(&slot_key_once, slot_key_make);
    if (slot_key_made)
        pthread_setspecific(slot_key, slot);
    gate_slot_mine = slot;
    return slot;
}

/* Inside already: of a handler or a callback, whose frame lies below or on a stack of its own? Else the frame of the
 * section is gone: no end of it will come. */
static bool is_within(const struct gate_slot *slot, const void *frame)
{
    uintptr_t inside = atomic_load_explicit(&slot->inside, memory_order_relaxed);
    stack_t stack;

    if ((uintptr_t)frame == inside)
        return false;
    return (uintptr_t)frame < inside || (sigaltstack(NULL, &stack) == 0 && stack.ss_flags & SS_ONSTACK);
}

/* Has the section nothing to do with what the gate is closed for? */
static bool is_apart(const void *frame, gate_devices_fn devices)
{
    uint32_t closed_for = atomic_load(&gate.devices);

    return devices && closed_for != GATE_ALL && !(devices(frame) & closed_for);
}

/* Begin a section in spite of this closing, whose owner does not wait for it. The owner of the next one does: what the
 * slot says is of this one, and is there before the slot is inside. False: it may not pass, or the gate is not closed like
 * that any more. */
static bool pass(struct gate_slot *slot, uint32_t closing, const void *frame, gate_devices_fn devices)
{
    if (!is_apart(frame, devices))
        return false;
    atomic_store(&slot->passes, closing);
    atomic_store(&slot->inside, (uintptr_t)frame);
    if (atomic_load(&gate.closed) == closing)
        return true;
    atomic_store(&slot->inside, 0);
    gate_wake_owner();
    return false;
}

/* A section that passes the closed gate keeps nothing in place: one within it may have to wait. */
static void wait_within(const struct gate_slot *slot, const void *frame, gate_devices_fn devices)
{
    uint32_t closing = atomic_load(&slot->passes);

    while (closing && atomic_load(&gate.closed) == closing && !is_apart(frame, devices))
        futex(&gate.closed, FUTEX_WAIT, closing, 0);
}

struct gate_slot *gate_enter(const void *frame, gate_devices_fn devices, bool *out_nested)
{
    struct gate_slot *slot = gate_slot_mine;

    *out_nested = gate_inside() && is_within(slot, frame);
    if (*out_nested) {
        wait_within(slot, frame, devices); /* from now on nothing moves while the outer one lasts */
        slot->nested++;
        return slot;
    }
    if (gate_inside()) /* what gate_try began, or what was left behind */
        slot_abandon(slot);
    if (!slot && !gate_join())
        return NULL;
    while (!(slot = gate_try(frame))) {
        uint32_t closing;

        atomic_store_explicit(&gate_slot_mine->inside, 0, memory_order_release);
        gate_wake_owner();
        while ((closing = atomic_load(&gate.closed))) {
            if (pass(gate_slot_mine, closing, frame, devices))
                return gate_slot_mine;
            futex(&gate.closed, FUTEX_WAIT, closing, 0);
        }
    }
    return slot;
}

void gate_wake_owner(void)
{
    atomic_fetch_add(&gate.left, 1);
    futex(&gate.left, FUTEX_WAKE, 1, 0);
}

/* Who passes this closing does not count; 0: everybody does. */
static bool someone_inside(uint32_t closing)
{
    for (struct gate_slot *slot = atomic_load(&gate.slots); slot; slot = slot->next)
        if (atomic_load(&slot->inside) && !(closing && atomic_load(&slot->passes) == closing))
            return true;
    return false;
}

/* No two closings that a section could last through have one number, and none has 0. */
static uint32_t next_closing(void)
{
    gate.closings += gate.closings == UINT32_MAX ? 2 : 1;
    return gate.closings;
}

/*
 * No barrier any more: a sandbox has taken it away. From now on users fence. Who was past the question whether to do so
 * when it was answered has its store on the way, and a processor writes its stores out within microseconds; who was
 * interrupted there has them written out by the interruption. So the first time is waited for.
 */
static void fence_from_now_on(void)
{
    struct timespec until;

    atomic_store(&gate.fenced, true);
    until = core_until(10 * 1000 * 1000);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
    log_line(LOG_INFO, "membarrier(2) is not allowed any more: each launch costs a fence from now on");
}

int gate_close(uint32_t devices, uint64_t (*now_ns)(void *arg), void *arg, uint64_t deadline_ns)
{
    uint32_t closing = next_closing();

    lock_order(&owner);
    lock_hold(&owner);
#ifdef EBB_WITHOUT_GATE /* a negative control: users pass, the owner waits for nobody */
    (void)closing, (void)devices, (void)now_ns, (void)arg, (void)deadline_ns;
    return 0;
#endif
    atomic_store(&gate.devices, devices);
    atomic_store(&gate.closed, closing);
    if (!atomic_load(&gate.fenced) && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
        fence_from_now_on();
    for (;;) {
        uint32_t left = atomic_load(&gate.left);
        struct timespec slice = {.tv_nsec = 10 * 1000 * 1000};
        uint64_t now;

        if (!someone_inside(closing))
            return 0;
        now = now_ns(arg);
        if (now >= deadline_ns) {
            gate_open();
            return -ETIMEDOUT;
        }
        if (deadline_ns - now < (uint64_t)slice.tv_nsec)
            slice.tv_nsec = (long)(deadline_ns - now);
        futex(&gate.left, FUTEX_WAIT, left, &slice);
    }
}

void gate_open(void)
{
    lock_let_go(&owner);
    atomic_store(&gate.closed, 0);
    futex(&gate.closed, FUTEX_WAKE, INT_MAX, 0);
}

uint64_t gate_writes(void)
{
    uint64_t writes = 0;

    for (struct gate_slot *slot = atomic_load(&gate.slots); slot; slot = slot->next)
        writes += atomic_load_explicit(&slot->writes, memory_order_acquire);
    return writes;
}

bool gate_calls(uint64_t *out)
{
    uint64_t calls = 0;

    for (struct gate_slot *slot = atomic_load(&gate.slots); slot; slot = slot->next)
        calls += atomic_load_explicit(&slot->writes, memory_order_acquire) +
                 atomic_load_explicit(&slot->reads, memory_order_acquire);
    *out = calls;
    return !someone_inside(0); /* asked after: what was counted was counted inside */
}
