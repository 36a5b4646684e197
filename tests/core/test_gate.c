/* SPDX-License-Identifier: Apache-2.0 */
/* test_gate.c - user sections that nest, that never end, and a kernel that takes its barrier back. */
#include "engine/gate.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/drain.h"
#include "engine/mover.h"
#include "ledger/busy.h"
#include "scenario.h"

TestSuite(gate, .timeout = 60);

static const char settings[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=200M EBBTIDE_DRAIN_MS=2000";

static uint64_t at_once(void *arg)
{
    (void)arg;
    return 1;
}

/* Can an owner close the gate without waiting? It is open afterwards. */
static bool closes(void)
{
    int r = gate_close(GATE_ALL, at_once, NULL, 1);

    if (!r)
        gate_open();
    return !r;
}

static void begin(struct use *use, const struct model *block)
{
    use_init(use, true);
    use_word(use, block->address);
    cr_assert_eq(use_begin(use), 0);
}

/* Off the device, its address mapped or not. */
static void send(const struct model *block, bool registered)
{
    if (registered)
        name(block);
    cr_assert_gt(send_off(block, false), 0);
}

static uint64_t pins(void)
{
    uint64_t all;

    lock_acquire(&core.lock);
    all = core_launch_pins() + atomic_load(&core.pins_all);
    lock_release(&core.lock);
    return all;
}

/* ---- the barrier ------------------------------------------------------------------------------------------ */

static void refuse_membarrier(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};

    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
        cr_skip_test("no seccomp here");
}

static volatile unsigned long counter;
static _Atomic bool over;

static void *count_inside(void *arg)
{
    unsigned long *mine = arg;

    for (; !atomic_load(&over); ++*mine) {
        bool nested;
        struct gate_slot *slot = gate_enter(&slot, NULL, &nested);

        counter++;
        gate_leave(slot);
    }
    return NULL;
}

Test(gate, excludes_when_a_sandbox_takes_the_barrier_away)
{
    unsigned long inside = 0, alone = 0;
    pthread_t thread;

    gate_init();
    if (atomic_load(&gate.fenced))
        cr_skip_test("no membarrier here");
    cr_assert_eq(pthread_create(&thread, NULL, count_inside, &inside), 0);
    for (unsigned i = 0; i < 3000; i++) {
        cr_assert_eq(gate_close(GATE_ALL, at_once, NULL, UINT64_MAX), 0);
        counter++;
        alone++;
        gate_open();
        if (i == 100)
            refuse_membarrier();
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    cr_expect(atomic_load(&gate.fenced), "each close asks for the barrier, and hears that it is refused");
    cr_expect_eq(counter, inside + alone);
}

/* ---- slots ------------------------------------------------------------------------------------------------ */

static void *write_thrice(void *arg)
{
    for (unsigned i = 0; i < 3; i++) {
        bool nested;
        struct gate_slot *slot = gate_enter(&slot, NULL, &nested);

        gate_count(slot, true);
        gate_leave(slot);
    }
    *(struct gate_slot **)arg = gate_slot_mine;
    return NULL;
}

Test(gate, writes_of_a_thread_that_has_ended_count_for_ever)
{
    struct gate_slot *slot[3]; /* the first is of a page that is made for it */
    pthread_t thread;

    gate_init();
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(pthread_create(&thread, NULL, write_thrice, &slot[i]), 0);
        pthread_join(thread, NULL);
        cr_expect_eq(gate_writes(), 3 * (i + 1));
    }
    cr_expect_eq(slot[1], slot[2], "the slot was used again");
}

/* ---- sections that never end ------------------------------------------------------------------------------ */

static void *end_inside(void *arg)
{
    struct use use;

    begin(&use, arg);
    pthread_exit(NULL);
}

/* Frames that a cancelled thread leaves are poisoned for what the address sanitizer does at its end: this one has none. */
__attribute__((no_sanitize("address"))) static void *cancelled_inside(void *arg)
{
    struct use use;

    begin(&use, arg);
    while (arg)
        pause();
    return NULL;
}

static void end_thread(void *(*run)(void *arg), struct model *block, bool cancel)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, run, block), 0);
    if (cancel)
        pthread_cancel(thread);
    pthread_join(thread, NULL);
}

Test(gate, thread_that_ends_inside_is_in_nobodys_way)
{
    struct model block[4];

    start(settings);
    for (unsigned i = 0; i < 3; i++)
        block[i] = make(12);
    end_thread(end_inside, &block[0], false);
    cr_expect(closes());
    end_thread(cancelled_inside, &block[1], true);
    cr_expect(closes());
    block[3] = make(12);
    cr_expect_gt(core.counters.evictions, 0);
    for (unsigned i = 0; i < 4; i++)
        program_free(&block[i]);
    world_finish(&world);
}

Test(gate, thread_that_ends_inside_lets_go_of_what_its_launch_pinned)
{
    struct model block;

    start(settings);
    block = make(8);
    send(&block, false);
    end_thread(end_inside, &block, false);
    cr_expect_eq(pins(), 0);
    cr_expect(closes());
    send(&block, false);
    program_free(&block);
    world_finish(&world);
}

static jmp_buf back;

static __attribute__((noinline)) void jump_out(struct model *block)
{
    struct use use;

    begin(&use, block);
    longjmp(back, 1);
}

Test(gate, section_that_was_left_by_a_jump_ends_with_the_next_one)
{
    static struct model block;
    struct use use;

    start(settings);
    block = make(8);
    send(&block, false);
    if (!setjmp(back))
        jump_out(&block);
    cr_expect_not(closes());
    begin(&use, &block);
    use_end(&use);
    cr_expect_eq(pins(), 0);
    cr_expect(closes());
    program_free(&block);
    world_finish(&world);
}

/* ---- sections within sections ----------------------------------------------------------------------------- */

static struct model *named;
static _Atomic int answer;
static _Atomic bool was_closed;

static __attribute__((noinline)) void call_within(int number)
{
    struct use use;
    int r;

    (void)number;
    use_init(&use, true);
    use_word(&use, named->address);
    r = use_begin(&use);
    if (!r)
        use_end(&use);
    atomic_store(&answer, r);
    atomic_store(&was_closed, closes());
}

static void handle(int how_flags)
{
    struct sigaction action = {.sa_handler = call_within, .sa_flags = how_flags};

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

static __attribute__((noinline)) void nest(const char *what)
{
    struct use use;

    atomic_store(&was_closed, true);
    begin(&use, named);
    raise(SIGUSR1);
    cr_expect_eq(atomic_load(&answer), 0, "%s", what);
    cr_expect_not(atomic_load(&was_closed), "%s", what);
    use_end(&use);
    cr_expect(closes(), "%s", what);
}

Test(gate, call_in_a_signal_handler_leaves_the_section_that_it_interrupted)
{
    char above[64 << 10]; /* of the frame of the section that is interrupted */
    stack_t stack = {.ss_sp = above, .ss_size = sizeof(above)};
    struct model block;

    start(settings);
    block = make(8);
    named = &block;
    cr_assert_eq(sigaltstack(&stack, NULL), 0);
    handle(0);
    nest("the same stack");
    handle(SA_ONSTACK);
    nest("another stack");
    program_free(&block);
    world_finish(&world);
}

Test(gate, call_within_another_reaches_what_is_mapped_and_waits_for_nothing)
{
    struct model outer, mapped, unmapped;
    struct use use;

    start(settings);
    outer = make(2);
    mapped = make(4);
    unmapped = make(4);
    send(&mapped, false);
    send(&unmapped, true);
    begin(&use, &outer);
    named = &mapped;
    call_within(0);
    cr_expect_eq(answer, 0);
    named = &unmapped;
    call_within(0);
    cr_expect_eq(answer, -ENOMEM);
    use_end(&use);
    cr_expect(closes());
    cr_expect(intact(&mapped));
    cr_expect(intact(&unmapped));
    program_free(&outer);
    program_free(&mapped);
    program_free(&unmapped);
    world_finish(&world);
}

Test(gate, allocation_within_a_call_takes_what_needs_nobody)
{
    struct model block[3], more;
    struct use use;
    uint64_t since;

    start(settings);
    for (unsigned i = 0; i < 3; i++)
        block[i] = make(12);
    begin(&use, &block[0]);
    since = fake_now_ns(world.fake);
    cr_expect_eq(core_allocate(0, 12 * MIB, 0, NULL, true, &more.address), 0);
    cr_expect_eq(fake_now_ns(world.fake), since);
    cr_expect_eq(core.counters.evictions, 0);
    use_end(&use);
    program_free(&more);
    for (unsigned i = 0; i < 3; i++)
        program_free(&block[i]);
    world_finish(&world);
}

/* ---- a section that takes for ever ------------------------------------------------------------------------ */

static _Atomic bool may_leave, is_inside;

static void *stay_inside(void *arg)
{
    struct use use;

    begin(&use, arg);
    atomic_store(&is_inside, true);
    while (!atomic_load(&may_leave))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    use_end(&use);
    return NULL;
}

/* A tenth of a second goes by each time that somebody looks. */
static uint64_t creeping_clock(struct device *device)
{
    (void)device;
    fake_advance(world.fake, 100000000);
    return fake_now_ns(world.fake);
}

static uint64_t closing_ms(int expected)
{
    uint64_t since_ns = fake_now_ns(world.fake);

    cr_expect_eq(drain_close(DRAIN_ALL, 2000), expected);
    return (fake_now_ns(world.fake) - since_ns) / 1000000;
}

Test(gate, who_stays_inside_is_waited_for_once)
{
    struct model block;
    pthread_t stayer;

    start(settings);
    block = make(8);
    cr_assert_eq(pthread_create(&stayer, NULL, stay_inside, &block), 0);
    while (!atomic_load(&is_inside))
        sched_yield();
    mover_take();
    world.fake->device.now_ns = creeping_clock;
    cr_expect_geq(closing_ms(-ETIMEDOUT), 2000);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_lt(closing_ms(-ETIMEDOUT), 1000);
    atomic_store(&may_leave, true);
    pthread_join(stayer, NULL);
    closing_ms(0);
    gate_open();
    mover_give();
    program_free(&block);
    world_finish(&world);
}
