/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_storm.c - random programs over the whole core against the plainest model there is: an array per block.
 *
 * The budgets are far too small for what is alive, so every operation moves something. After each step the bytes that
 * a kernel would see are compared, the budgets are compared with what the device gave, and no rule of it is broken.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "fake_device.h"
#include "options.h"
#include "state.h"

enum {
    BLOCKS = 40
};

struct model {
    uint64_t address, bytes;
    uint64_t seed; /* of the bytes that must be in it */
};

struct world {
    struct options options;
    struct fake_device *fake;
    struct model model[BLOCKS];
    uint64_t random;
};

static uint64_t draw(struct world *world, uint64_t below)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u;
    return (world->random >> 33) % below;
}

static void world_start(struct world *world, const char *const *settings, const struct fake_config *config)
{
    memset(world, 0, sizeof(*world));
    options_init(&world->options);
    cr_assert_eq(options_set(&world->options, "EBBTIDE_PERIOD_MS", "0"), 0);
    for (; *settings; settings += 2)
        cr_assert_eq(options_set(&world->options, settings[0], settings[1]), 0, "%s", settings[0]);
    world->fake = fake_create(config);
    cr_assert_eq(core_start(&world->options, &world->fake->device), 0);
    world->random = 1;
}

static void world_finish(struct world *world)
{
    core_finish();
    cr_assert_null(fake_violation(world->fake), "%s", fake_violation(world->fake));
    cr_expect_eq(core.devices[0].budget.used_bytes, 0);
    cr_expect_eq(core.devices[0].budget.idle_bytes, 0);
    cr_expect_eq(core.host_budget.used_bytes, 0);
    cr_expect_eq(world->fake->live_handles, 0);
    cr_expect_eq(world->fake->live_hosts, 0);
    cr_expect_eq(world->fake->live_maps, 0);
    fake_destroy(world->fake);
}

/* A few words spread over the block stand for its bytes. */
static void write_pattern(const struct model *block)
{
    for (uint64_t at = 0; at < block->bytes; at += 64 << 10)
        *(uint64_t *)(uintptr_t)(block->address + at) = (block->seed + at) | 1u << 31;
}

static void check_pattern(const struct model *block)
{
    for (uint64_t at = 0; at < block->bytes; at += 64 << 10)
        cr_assert_eq(*(uint64_t *)(uintptr_t)(block->address + at), (block->seed + at) | 1u << 31,
                     "at %llu of %llu", (unsigned long long)at, (unsigned long long)block->bytes);
}

/* A launch that reads up to three blocks and writes the first. */
static void step_use(struct world *world)
{
    struct model *used[3];
    struct use use;
    unsigned count = 0;
    int r;

    use_init(&use, true);
    for (unsigned i = 0; i < 3; i++) {
        struct model *block = &world->model[draw(world, BLOCKS)];

        if (!block->address)
            continue;
        use_word(&use, block->address + draw(world, block->bytes));
        used[count++] = block;
    }
    r = use_begin(&use);
    cr_assert_eq(r, 0);
    for (unsigned i = 0; i < count; i++)
        check_pattern(used[i]);
    if (count) {
        used[0]->seed = draw(world, 1u << 30) << 32;
        write_pattern(used[0]);
    }
    use_end(&use);
}

static void step_allocate(struct world *world, struct model *block)
{
    uint64_t bytes = (1 + draw(world, 6)) * GRANULE_BYTES - draw(world, 3) * 4096;

    if (core_allocate(0, bytes, 0, NULL, true, &block->address) < 0) {
        block->address = 0;
        return;
    }
    block->bytes = bytes;
    block->seed = draw(world, 1u << 30) << 32;

    struct use use;

    use_init(&use, true);
    use_word(&use, block->address);
    cr_assert_eq(use_begin(&use), 0);
    write_pattern(block);
    use_end(&use);
}

static void step_free(struct model *block)
{
    cr_assert_eq(core_free(block->address), 0);
    block->address = 0;
}

static void check_books(const struct world *world)
{
    const struct budget *device = &core.devices[0].budget, *host = &core.host_budget;

    cr_assert_leq(world->fake->used_bytes[0], core.devices[0].configured_bytes);
    cr_assert_eq(world->fake->used_bytes[0], device->used_bytes + device->idle_bytes);
    cr_assert_eq(world->fake->host_used_bytes, host->used_bytes + host->idle_bytes);
    cr_assert_leq(host->peak_bytes, host->limit_bytes);
    cr_assert_null(fake_violation(world->fake), "%s", fake_violation(world->fake));
}

static void storm(struct world *world, unsigned steps)
{
    steps *= getenv("EBBTIDE_TEST_LONG") ? 20 : 1;
    for (unsigned i = 0; i < steps; i++) {
        struct model *block = &world->model[draw(world, BLOCKS)];
        uint64_t what = draw(world, 10);

        if (what == 0 && block->address)
            step_free(block);
        else if (what < 3 && !block->address)
            step_allocate(world, block);
        else
            step_use(world);
        check_books(world);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        if (world->model[i].address)
            step_free(&world->model[i]);
}

Test(storm, mapped_host_memory_keeps_every_byte)
{
    static const char *const settings[] = {
        "EBBTIDE_DEVICE_BUDGET", "48M", "EBBTIDE_HOST_BUDGET", "400M", "EBBTIDE_DISK", "off", 0};
    static struct world world;

    world_start(&world, settings, NULL);
    storm(&world, 600);
    cr_expect_gt(core.counters.evictions, 100);
    world_finish(&world);
}

Test(storm, both_tiers_nearly_full_still_swap)
{
    static const char *const settings[] = {
        "EBBTIDE_DEVICE_BUDGET", "48M", "EBBTIDE_HOST_BUDGET", "64M", "EBBTIDE_DISK", "off", 0};
    static struct world world;

    world_start(&world, settings, NULL);
    storm(&world, 600);
    cr_expect_gt(core.counters.evictions, 100);
    cr_expect_gt(core.devices[0].budget.refused, 0);
    world_finish(&world);
}

Test(storm, disk_after_a_search_keeps_every_byte)
{
    static const char *const settings[] = {"EBBTIDE_DEVICE_BUDGET",
                                           "48M",
                                           "EBBTIDE_HOST_BUDGET",
                                           "48M",
                                           "EBBTIDE_DISK",
                                           "auto",
                                           "EBBTIDE_VERIFY",
                                           "1",
                                           0};
    static struct world world;

    world_start(&world, settings, NULL);
    storm(&world, 60);
    cr_expect_gt(core.counters.moves[MOVE_HOST_TO_DISK].count, 10);
    cr_expect_eq(core.devices[0].budget.refused, 0);
    world_finish(&world);
}

Test(storm, strict_residency_keeps_every_byte)
{
    static const char *const settings[] = {"EBBTIDE_DEVICE_BUDGET",
                                           "48M",
                                           "EBBTIDE_HOST_BUDGET",
                                           "64M",
                                           "EBBTIDE_DISK",
                                           "auto",
                                           "EBBTIDE_RESIDENCY",
                                           "strict",
                                           0};
    static const struct fake_config config = {.strict = true};
    static struct world world;

    world_start(&world, settings, &config);
    storm(&world, 60);
    cr_expect_gt(core.counters.moves[MOVE_HOST_TO_DISK].count, 10);
    cr_expect_eq(core.devices[0].budget.refused, 0);
    world_finish(&world);
}

Test(storm, always_needs_no_search)
{
    static const char *const settings[] = {
        "EBBTIDE_DEVICE_BUDGET", "48M", "EBBTIDE_HOST_BUDGET", "48M", "EBBTIDE_DISK", "always", 0};
    static struct world world;

    world_start(&world, settings, NULL);
    storm(&world, 60);
    cr_expect_eq(core.counters.searches, 0);
    cr_expect_gt(core.counters.moves[MOVE_HOST_TO_DISK].count, 10);
    world_finish(&world);
}
