/* SPDX-License-Identifier: Apache-2.0 */
/* test_gate_devices.c - a gate that is closed for some devices: who passes it, who waits, and whom the owner waits for. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "asleep.h"
#include "engine/drain.h"
#include "engine/gate.h"
#include "engine/mover.h"
#include "ledger/state.h"
#include "moment.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(gate_devices, .timeout = 60);

static struct world world;
static struct model of[2]; /* a block of each device */

static struct model make_on(unsigned ordinal, uint64_t bytes)
{
    static uint64_t seed;
    struct model block = {.bytes = bytes, .seed = ++seed << 40};
    struct use use;

    cr_assert_eq(core_allocate(ordinal, bytes, 0, NULL, true, &block.address), 0);
    use_init(&use, true);
    use_word(&use, block.address);
    cr_assert_eq(use_begin(&use), 0);
    model_write(&block);
    use_end(&use);
    return block;
}

static void start(void)
{
    const struct fake_config two = {.count = 2};

    world_start(&world, "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=400M EBBTIDE_DRAIN_MS=2000", &two);
    for (unsigned i = 0; i < 2; i++)
        of[i] = make_on(i, 8 * MIB);
}

static void finish(void)
{
    for (unsigned i = 0; i < 2; i++) {
        cr_expect_eq(model_launch(&of[i]), 0);
        program_free(&of[i]);
    }
    world_finish(&world);
}

static uint64_t at_once(void *arg)
{
    (void)arg;
    return 1;
}

static void close_for(uint32_t devices)
{
    cr_assert_eq(gate_close(devices, at_once, NULL, UINT64_MAX), 0);
}

/* Can an owner close the gate for these without waiting? It is open afterwards. */
static bool closes(uint32_t devices)
{
    int error = gate_close(devices, at_once, NULL, 1);

    if (!error)
        gate_open();
    return !error;
}

/* ---- a thread that makes a call, and stays in it ----------------------------------------------------------- */

struct caller {
    struct use use;
    struct use *within;   /* of a call within the call */
    void (*enters)(void); /* instead of both */
    _Atomic int id;
    _Atomic uint32_t closed; /* the gate, when it had come in */
    _Atomic bool is_inside, may_leave, has_left;
    pthread_t thread;
};

static void begin(struct use *use)
{
    cr_assert_eq(use_begin(use), 0);
}

/* In a frame below, as a callback's. */
static __attribute__((noinline)) void call_within(struct caller *caller)
{
    struct use use = *caller->within;

    begin(&use);
    atomic_store(&caller->closed, atomic_load(&gate.closed));
    use_end(&use);
}

static void stay(struct caller *caller)
{
    atomic_store(&caller->is_inside, true);
    while (!atomic_load(&caller->may_leave))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void *call(void *arg)
{
    struct caller *caller = arg;

    atomic_store(&caller->id, gettid());
    if (caller->enters)
        caller->enters();
    else
        begin(&caller->use);
    atomic_store(&caller->closed, atomic_load(&gate.closed));
    if (caller->within)
        call_within(caller);
    stay(caller);
    if (!caller->enters)
        use_end(&caller->use);
    atomic_store(&caller->has_left, true);
    return NULL;
}

static void come(struct caller *caller)
{
    cr_assert_eq(pthread_create(&caller->thread, NULL, call, caller), 0);
}

static void come_inside(struct caller *caller)
{
    come(caller);
    while (!atomic_load(&caller->is_inside))
        sched_yield();
}

static void leave(struct caller *caller)
{
    atomic_store(&caller->may_leave, true);
    pthread_join(caller->thread, NULL);
}

/* It has come as far as it can, and that is not inside. */
static bool waits(struct caller *caller)
{
    unsigned seen = 0;

    while (!atomic_load(&caller->is_inside) && seen < 1000)
        seen = asleep(atomic_load(&caller->id)) ? seen + 1 : 0;
    return !atomic_load(&caller->is_inside);
}

/* A kernel's launch in a stream of one device, with a block of another, maybe. */
static struct caller launch(unsigned ordinal, unsigned owner)
{
    struct caller caller = {0};

    use_init(&caller.use, true);
    caller.use.kernel = true;
    caller.use.stream = &world.fake->stream[ordinal];
    use_word(&caller.use, of[owner].address);
    return caller;
}

/* ---- who passes --------------------------------------------------------------------------------------------- */

Test(gate_devices, launch_on_a_device_that_it_is_open_for_goes_on)
{
    struct caller other;

    start();
    other = launch(1, 1);
    close_for(1);
    come_inside(&other);
    cr_expect_neq(atomic_load(&other.closed), 0);
    leave(&other);
    gate_open();
    finish();
}

static struct caller launch_there(void)
{
    return launch(0, 0);
}

static struct caller launch_with_a_block_from_there(void)
{
    return launch(1, 0);
}

static struct caller launch_nobody_knows_where(void)
{
    static char stream;
    struct caller caller = launch(1, 1);

    caller.use.stream = &stream;
    return caller;
}

static struct caller launch_in_the_default_stream_there(void)
{
    struct caller caller = launch(1, 1);

    caller.use.stream = NULL; /* the fake one's is of device 0 */
    return caller;
}

static struct caller launch_nobody_can_read(void)
{
    struct caller caller = launch(1, 1);

    caller.use.all = USE_UNSEEN;
    return caller;
}

static struct caller launch_of_more_than_the_list_holds(void)
{
    struct caller caller = launch(1, 1);

    caller.use.all = USE_MORE;
    return caller;
}

static struct caller graph(void)
{
    static uint32_t granule;
    struct caller caller = launch(1, 1);

    granule = caller.use.granule[0];
    caller.use.more = &granule;
    caller.use.more_count = 1;
    return caller;
}

static struct caller copy(void)
{
    struct caller caller = launch(1, 1);

    caller.use.kernel = false;
    return caller;
}

static void begin_capture(void)
{
    core_capture_begin();
    core_capture_end();
}

static struct caller capture(void)
{
    return (struct caller){.enters = begin_capture};
}

Test(gate_devices, whatever_may_have_to_do_with_the_closed_device_waits)
{
    struct {
        const char *what;
        struct caller (*make)(void);
    } calls[] = {{"a launch there", launch_there},
                 {"a launch elsewhere with a block from there", launch_with_a_block_from_there},
                 {"a launch nobody knows where", launch_nobody_knows_where},
                 {"a launch in the default stream there", launch_in_the_default_stream_there},
                 {"a launch nobody can read", launch_nobody_can_read},
                 {"a launch of more than the list holds", launch_of_more_than_the_list_holds},
                 {"a graph elsewhere", graph},
                 {"a copy elsewhere", copy},
                 {"a capture", capture}};

    start();
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct caller caller = calls[i].make();

        close_for(1);
        come(&caller);
        cr_expect(waits(&caller), "%s", calls[i].what);
        gate_open();
        leave(&caller);
        cr_expect_eq(atomic_load(&caller.closed), 0, "%s", calls[i].what);
    }
    finish();
}

Test(gate_devices, nobody_passes_a_gate_that_is_closed_for_all)
{
    struct caller other;

    start();
    other = launch(1, 1);
    close_for(GATE_ALL);
    come(&other);
    cr_expect(waits(&other));
    gate_open();
    leave(&other);
    finish();
}

/* ---- whom the owner waits for ------------------------------------------------------------------------------- */

static void *close_and_open(void *devices)
{
    close_for(*(uint32_t *)devices);
    gate_open();
    return NULL;
}

Test(gate_devices, who_passes_is_not_waited_for_by_this_owner_and_is_by_the_next)
{
    struct caller before, other;
    uint32_t first = 1;
    pthread_t owner;

    start();
    before = launch(0, 0);
    other = launch(1, 1);
    come_inside(&before);
    pthread_create(&owner, NULL, close_and_open, &first);
    while (!atomic_load(&gate.closed))
        sched_yield();
    come_inside(&other);
    cr_expect_neq(atomic_load(&other.closed), 0, "the owner was waiting");
    leave(&before);
    pthread_join(owner, NULL);
    cr_expect_not(atomic_load(&other.has_left));
    cr_expect_not(closes(2), "it is of the device that is closed now");
    cr_expect_not(closes(1), "it is past a closing that was another one");
    leave(&other);
    cr_expect(closes(2));
    finish();
}

static void *launch_again(void *arg)
{
    struct caller *caller = arg;
    struct use use = caller->use;

    begin(&use);
    use_end(&use);
    atomic_store(&caller->is_inside, true);
    while (atomic_load(&gate.closed))
        sched_yield();
    atomic_store(&caller->is_inside, false);
    return call(caller);
}

Test(gate_devices, who_has_passed_a_closing_is_inside_once_that_is_over)
{
    struct caller other;
    uint64_t calls;

    start();
    other = launch(1, 1);
    close_for(1);
    pthread_create(&other.thread, NULL, launch_again, &other);
    while (!atomic_load(&other.is_inside))
        sched_yield();
    gate_open();
    while (!atomic_load(&other.id) || !atomic_load(&other.is_inside))
        sched_yield();
    cr_expect_not(gate_calls(&calls), "its call may still be on the way to the device");
    cr_expect_not(closes(1));
    leave(&other);
    cr_expect(gate_calls(&calls));
    finish();
}

Test(gate_devices, thread_that_ends_past_the_gate_is_in_nobodys_way)
{
    struct caller other;

    start();
    other = launch(1, 1);
    close_for(1);
    come_inside(&other);
    pthread_cancel(other.thread);
    pthread_join(other.thread, NULL);
    gate_open();
    cr_expect(closes(GATE_ALL));
    finish();
}

/* ---- sections within sections ------------------------------------------------------------------------------- */

Test(gate_devices, call_within_one_that_has_passed_waits_if_it_may_not_pass_itself)
{
    struct caller outer, inner;

    start();
    outer = launch(1, 1);
    inner = launch(0, 0);
    outer.within = &inner.use;
    close_for(1);
    come(&outer);
    cr_expect(waits(&outer));
    gate_open();
    leave(&outer);
    cr_expect_eq(atomic_load(&outer.closed), 0);
    finish();
}

Test(gate_devices, call_within_one_that_has_passed_passes_if_it_may)
{
    struct caller outer, inner;

    start();
    outer = launch(1, 1);
    inner = launch(1, 1);
    outer.within = &inner.use;
    close_for(1);
    come_inside(&outer);
    cr_expect_neq(atomic_load(&outer.closed), 0);
    leave(&outer);
    gate_open();
    finish();
}

/* ---- which devices it is closed for ------------------------------------------------------------------------- */

static void expect_stopped(unsigned ordinal, bool expected, const char *what)
{
    struct caller caller = launch(ordinal, ordinal);

    mover_take();
    cr_assert_eq(drain_close(0, DRAIN_NEED), 0);
    come(&caller);
    cr_expect_eq(waits(&caller), expected, "%s", what);
    if (!expected)
        leave(&caller);
    gate_open();
    if (expected)
        leave(&caller);
    mover_give();
}

Test(gate_devices, who_may_use_the_memory_that_moves_is_stopped_and_nobody_else)
{
    start();
    expect_stopped(0, true, "its own device");
    expect_stopped(1, false, "a device that never had to do with it");
    world.fake->copiers[0] = 2;
    expect_stopped(1, true, "a device that was given copies of it");
    world.fake->copiers[0] = 0;
    world.fake->peers[0] = 2;
    expect_stopped(1, true, "a device that reaches it");
    finish();
}

static void *move_of_device_0(void *stopped)
{
    mover_take();
    cr_assert_eq(drain_close(0, DRAIN_NEED), 0);
    *(uint32_t *)stopped = atomic_load(&gate.devices);
    gate_open();
    mover_give();
    return NULL;
}

/* A peer is let in inside of a section: the owner finds it when that has ended. */
Test(gate_devices, device_that_was_let_in_just_before_the_gate_was_closed_is_stopped)
{
    struct caller letting_in;
    uint32_t stopped = 0;
    pthread_t owner;

    start();
    letting_in = copy();
    come_inside(&letting_in);
    pthread_create(&owner, NULL, move_of_device_0, &stopped);
    while (!atomic_load(&gate.closed))
        sched_yield();
    world.fake->peers[0] = 2;
    leave(&letting_in);
    pthread_join(owner, NULL);
    cr_expect_eq(stopped, 3);
    finish();
}

static _Atomic uint32_t closed_at_launch;

static void *launch_in_the_middle(void *unused)
{
    struct caller other = launch(1, 1);

    (void)unused;
    begin(&other.use);
    atomic_store(&closed_at_launch, atomic_load(&gate.closed));
    cr_expect(model_intact(&of[1]));
    use_end(&other.use);
    return NULL;
}

Test(gate_devices, launches_go_on_while_memory_of_another_device_is_on_its_way)
{
    struct model more[4];

    start();
    moment_meet(world.fake, FAKE_COPY, 1, launch_in_the_middle, NULL);
    for (unsigned i = 0; i < 4; i++)
        more[i] = make_on(0, 12 * MIB);
    moment_part();
    cr_expect_gt(core.counters.evictions, 0);
    cr_expect_neq(atomic_load(&closed_at_launch), 0, "between two copies of the move");
    for (unsigned i = 0; i < 4; i++) {
        cr_expect_eq(model_launch(&more[i]), 0);
        program_free(&more[i]);
    }
    finish();
}

/* ---- an owner who changes ----------------------------------------------------------------------------------- */

static _Atomic bool is_asked, may_answer;

/* Device 1, after some thought. */
static uint32_t slowly(const void *frame)
{
    (void)frame;
    atomic_store(&is_asked, true);
    while (!atomic_load(&may_answer))
        sched_yield();
    return 2;
}

static void enter_slowly(void)
{
    bool nested = false;
    struct gate_slot *slot = gate_enter(&nested, slowly, &nested);

    gate_leave(slot);
}

Test(gate_devices, who_was_about_to_pass_one_closing_does_not_pass_the_next)
{
    struct caller other = {.enters = enter_slowly};

    start();
    close_for(1);
    come(&other);
    while (!atomic_load(&is_asked))
        sched_yield();
    gate_open();
    close_for(2);
    atomic_store(&may_answer, true);
    cr_expect(waits(&other));
    gate_open();
    leave(&other);
    finish();
}

/* ---- all at once -------------------------------------------------------------------------------------------- */

static struct {
    volatile unsigned long of[2]; /* under the gate alone */
    _Atomic bool over;
} counts;

struct counter {
    unsigned ordinal;
    unsigned long mine;
};

static uint32_t only(const void *frame)
{
    return UINT32_C(1) << ((const struct counter *)frame)->ordinal;
}

static void *count_inside(void *arg)
{
    struct counter here = *(struct counter *)arg; /* on the stack: a frame, too */

    for (; !atomic_load(&counts.over); here.mine++) {
        bool nested;
        struct gate_slot *slot = gate_enter(&here, only, &nested);

        counts.of[here.ordinal]++;
        gate_leave(slot);
    }
    *(struct counter *)arg = here;
    return NULL;
}

Test(gate_devices, each_closing_excludes_those_that_it_is_for)
{
    struct counter counter[2] = {{.ordinal = 0}, {.ordinal = 1}};
    unsigned long alone[2] = {0};
    pthread_t thread[2];

    gate_init();
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, count_inside, &counter[i]), 0);
    for (unsigned i = 0; i < world_steps(6000); i++) {
        uint32_t devices = 1 + i % 3;

        close_for(devices);
        for (unsigned d = 0; d < 2; d++)
            if (devices >> d & 1) {
                counts.of[d]++;
                alone[d]++;
            }
        gate_open();
    }
    atomic_store(&counts.over, true);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        cr_expect_eq(counts.of[i], counter[i].mine + alone[i]);
    }
}
