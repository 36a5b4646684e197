/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "invariants.h"
#include "ledger/state.h"

static void set_options(struct options *options, const char *settings)
{
    char text[512], *rest = text;

    cr_assert_lt(strlen(settings), sizeof(text));
    strcpy(text, settings);
    for (char *name; (name = strtok_r(rest, " ", &rest));) {
        char *value = strchr(name, '=');

        cr_assert_not_null(value, "%s", name);
        *value++ = '\0';
        cr_assert_eq(options_set(options, name, value), 0, "%s", name);
    }
}

void world_start(struct world *world, const char *settings, const struct fake_config *config)
{
    memset(world, 0, sizeof(*world));
    options_init(&world->options);
    set_options(&world->options, "EBBTIDE_PERIOD_MS=0 EBBTIDE_LIVE=off");
    set_options(&world->options, settings);
    world->fake = fake_create(config);
    cr_assert_eq(core_start(&world->options, &world->fake->device), 0);
}

void world_finish(struct world *world)
{
    world_check(world);
    core_finish();
    cr_assert_null(fake_violation(world->fake), "%s", fake_violation(world->fake));
    for (unsigned i = 0; i < world->fake->device.count; i++) {
        cr_expect_eq(core.devices[i].budget.used_bytes, 0);
        cr_expect_eq(core.devices[i].budget.idle_bytes, 0);
        cr_expect_eq(core.devices[i].away_bytes, 0);
    }
    cr_expect_eq(core.attention & ATTENTION_UNPROVEN, 0);
    cr_expect_eq(core.host_budget.used_bytes, 0);
    cr_expect_eq(core.host_budget.idle_bytes, 0);
    cr_expect_eq(core.disk.used_bytes, 0);
    cr_expect_eq(core.blocks.alive, 0);
    cr_expect_eq(world->fake->live_handles, 0);
    cr_expect_eq(world->fake->live_hosts, 0);
    cr_expect_eq(world->fake->live_maps, 0);
    cr_expect_eq(world->fake->placed_bytes, 0);
    fake_destroy(world->fake);
}

void world_check(const struct world *world)
{
    char broken[INVARIANT_TEXT_BYTES];

    cr_assert_null(fake_violation(world->fake), "%s", fake_violation(world->fake));
    cr_assert(invariants_hold(world->fake, broken), "%s", broken);
}

unsigned world_steps(unsigned count)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    count = (count + 1) / 2;
#endif
    return getenv("EBBTIDE_TEST_LONG") ? 50 * count : count;
}

bool world_grows(const _Atomic uint64_t *counter, uint64_t than)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < 10000 && atomic_load(counter) <= than; i++)
        nanosleep(&pause, NULL);
    return atomic_load(counter) > than;
}

/* ---- bytes ------------------------------------------------------------------------------------------------- */

enum {
    STRIDE = 64 << 10
};

/* Never a pointer into anything: the upper half has its top bit set. */
static uint64_t word_at(const struct model *block, uint64_t at)
{
    return (block->seed + at) | 1u << 31 | UINT64_C(1) << 63;
}

void model_write(const struct model *block)
{
    for (uint64_t at = 0; at + 8 <= block->bytes; at += STRIDE)
        *(volatile uint64_t *)(uintptr_t)(block->address + at) = word_at(block, at);
}

void model_fill(const struct model *block, uint64_t offset, void *memory, uint64_t bytes)
{
    for (uint64_t at = 0; at + 8 <= bytes && offset + at + 8 <= block->bytes; at += STRIDE)
        *(uint64_t *)((char *)memory + at) = word_at(block, offset + at);
}

bool model_intact(const struct model *block)
{
    for (uint64_t at = 0; at + 8 <= block->bytes; at += STRIDE)
        if (*(const volatile uint64_t *)(uintptr_t)(block->address + at) != word_at(block, at))
            return false;
    return true;
}

int model_launch(const struct model *block)
{
    struct use use;
    int r;

    use_init(&use, false);
    use_word(&use, block->address);
    r = use_begin(&use);
    if (r < 0)
        return r;
    cr_expect(model_intact(block));
    use_end(&use);
    return 0;
}

/* ---- programs ---------------------------------------------------------------------------------------------- */

void program_init(struct program *program, struct world *world, unsigned count, uint64_t seed)
{
    cr_assert_leq(count, PROGRAM_BLOCKS);
    *program = (struct program){.world = world, .count = count, .random = seed, .step_most = 6};
}

uint64_t program_draw(struct program *program, uint64_t below)
{
    program->random = program->random * 6364136223846793005u + 1442695040888963407u;
    return (program->random >> 33) % below;
}

static uint64_t draw_seed(struct program *program)
{
    return program_draw(program, 1u << 30) << 32;
}

/* The device goes on after the call has returned: until somebody waits for it, the blocks are in use. */
static void leave_kernels(struct program *program, struct model *const *used, unsigned count)
{
    struct fake_device *fake = program->world->fake;

    for (unsigned i = 0; i < count; i++)
        fake_launch(fake, used[i]->address, used[i]->bytes, NULL, NULL);
    if (fake_kernels(fake) > 100)
        fake_finish_kernels(fake);
}

int program_launch(struct program *program, struct model *const *used, unsigned count, bool write)
{
    struct use use;
    int r;

    use_init(&use, true);
    if (program->with_all && program_draw(program, 8) == 0)
        use.all = (uint8_t)(1 + program_draw(program, USE_MORE | USE_UNSEEN));
    for (unsigned i = 0; i < count; i++)
        use_word(&use, used[i]->address + program_draw(program, used[i]->bytes));
    r = use_begin(&use);
    program->launches++;
    if (r < 0) {
        program->launches_refused++;
        cr_assert(use.all || program->may_refuse || program->with_faults, "a launch was refused (%d)", r);
        return r;
    }
    for (unsigned i = 0; i < count; i++)
        cr_assert(model_intact(used[i]), "bytes were lost at %llx", (unsigned long long)used[i]->address);
    if (write && count) {
        used[0]->seed = draw_seed(program);
        model_write(used[0]);
    }
    leave_kernels(program, used, count);
    use_end(&use);
    return 0;
}

/* A launch of up to three of its own blocks and one that it shares with others. */
static void step_launch(struct program *program)
{
    struct model *used[4], shared;
    unsigned count = 0;

    for (unsigned i = 0; i < 3; i++) {
        struct model *block = &program->model[program_draw(program, program->count)];

        if (block->address)
            used[count++] = block;
    }
    if (program->shared_count) {
        shared = program->shared[program_draw(program, program->shared_count)];
        used[count++] = &shared;
    }
    program_launch(program, used, count, count && used[0] != &shared);
}

bool program_allocate(struct program *program, struct model *block, uint64_t bytes)
{
    struct model made = {.bytes = bytes};
    int r = core_allocate(0, bytes, 0, NULL, true, &made.address);

    program->allocations++;
    if (r < 0) {
        program->allocations_refused++;
        cr_assert_eq(r, -ENOMEM);
        return false;
    }
    made.seed = draw_seed(program);

    struct use use;

    use_init(&use, true);
    use_word(&use, made.address);
    r = use_begin(&use);
    if (r < 0) { /* nothing is in it yet: as good as refused */
        cr_assert(program->may_refuse || program->with_faults);
        cr_assert_eq(core_free(made.address), 0);
        program->allocations_refused++;
        return false;
    }
    model_write(&made);
    use_end(&use);
    *block = made;
    return true;
}

void program_free(struct model *block)
{
    cr_assert_eq(core_free(block->address), 0);
    block->address = 0;
}

void program_free_all(struct program *program)
{
    for (unsigned i = 0; i < program->count; i++)
        if (program->model[i].address)
            program_free(&program->model[i]);
}

/* Sizes of small allocations are spread over the classes, and no multiples of anything. */
static uint64_t draw_bytes(struct program *program)
{
    if (program->with_small && program_draw(program, 4))
        return 1 + program_draw(program, program_draw(program, 2) ? CELL_LARGEST_BYTES : 64 << 10);
    return (1 + program_draw(program, program->step_most)) * GRANULE_BYTES - program_draw(program, 3) * 4096;
}

void program_step(struct program *program)
{
    struct model *block = &program->model[program_draw(program, program->count)];
    uint64_t what = program_draw(program, 10);

    if (what == 0 && block->address)
        program_free(block);
    else if (what < 3 && !block->address)
        program_allocate(program, block, draw_bytes(program));
    else
        step_launch(program);
}

void program_check_all(struct program *program)
{
    for (unsigned i = 0; i < program->count; i++) {
        struct model *used[] = {&program->model[i]};

        if (used[0]->address)
            program_launch(program, used, 1, false);
    }
}
