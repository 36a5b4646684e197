/* SPDX-License-Identifier: Apache-2.0 */
/* test_check.c - the books looked over: each kind of count that is put out of joint is told. */
#include "engine/check.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/mover.h"
#include "scenario.h"

static uint64_t start_with(const char *wanted)
{
    uint64_t address;

    start(wanted);
    cr_assert_eq(core_allocate(0, 8 * MIB, 0, NULL, true, &address), 0);
    return address;
}

static const char settings[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G EBBTIDE_PERIOD_MS=0";

static void expect_told(const char *word)
{
    const char *broken = core_check();

    cr_expect(broken && strstr(broken, word), "'%s' does not tell of '%s'", broken ? broken : "", word);
}

Test(check, what_does_not_hold_is_told)
{
    uint64_t address = start_with(settings);
    uint32_t first = address_granule(&core.blocks, address);
    struct chunk *chunk = &core.blocks.chunk[first], was = *chunk;

    cr_expect_null(core_check());
    core.devices[0].away_bytes++;
    expect_told("away");
    core.devices[0].away_bytes--;
    core.devices[0].budget.class_bytes[CLASS_BLOCK] -= 2 * MIB;
    expect_told("charged");
    core.devices[0].budget.class_bytes[CLASS_BLOCK] += 2 * MIB;
    core.devices[0].shares.bytes[SHARE_BUFFER]++;
    expect_told("share");
    core.devices[0].shares.bytes[SHARE_BUFFER]--;
    core.blocks.owner[first] |= OWNER_AWAY;
    expect_told("owner entry");
    core.blocks.owner[first] &= ~OWNER_AWAY;
    core.blocks.alive++;
    expect_told("alive");
    core.blocks.alive--;
    core.attention++;
    expect_told("chunks away unproven");
    core.attention--;
    chunk->handle = 0;
    expect_told("handle");
    *chunk = was;
    chunk->mapped = true;
    expect_told("mapped");
    *chunk = was;
    cr_expect_null(core_check());
    cr_assert_eq(core_free(address), 0);
    world_finish(&world);
}

Test(check, blocks_that_left_are_looked_over_too)
{
    uint64_t address = start_with(settings);
    uint32_t first = address_granule(&core.blocks, address);
    struct slab *slab;

    mover_take();
    cr_assert_gt(mover_send(first, false), 0);
    cr_expect_null(core_check());
    slab = core.blocks.chunk[first].slab;
    core.blocks.chunk[first].slab = NULL;
    expect_told("slab");
    core.blocks.chunk[first].slab = slab;
    mover_give();
    cr_assert_eq(core_free(address), 0);
    world_finish(&world);
}

static const char *broken_at_release;

static void look_at_release(IGNORED struct fake_device *fake, enum fake_call call, IGNORED void *arg)
{
    const char *broken = call == FAKE_RELEASE || call == FAKE_HOST_DESTROY ? core_check() : NULL;

    broken_at_release = broken_at_release ? broken_at_release : broken;
}

Test(check, what_is_on_its_way_to_the_driver_is_in_the_budget_until_it_has_it)
{
    cr_assert_eq(core_free(start_with(settings)), 0);
    cr_assert_eq(recycler_add(&core.slabs, 2 * MIB), 0);
    cr_assert_eq(recycler_add(&core.devices[0].handles, 2 * MIB), 0);
    world.fake->before = look_at_release;
    cr_expect_eq(recycler_trim(&core.slabs, UINT64_MAX), 2 * MIB);
    cr_expect_eq(recycler_trim(&core.devices[0].handles, UINT64_MAX), 2 * MIB);
    cr_expect_null(broken_at_release, "%s", broken_at_release);
    cr_expect_null(core_check());
    world.fake->before = NULL;
    world_finish(&world);
}

/* Whether a move is followed by an error in the log. */
static bool move_tells(const char *check)
{
    char settings_of[120];

    snprintf(settings_of, sizeof(settings_of), "%s EBBTIDE_CHECK=%s", settings, check);
    uint64_t address = start_with(settings_of);
    char path[] = "/tmp/ebbtide-test-check-XXXXXX", text[400] = "";
    int file = mkstemp(path);

    cr_assert_geq(file, 0);
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    mover_take();
    mover_give();
    cr_expect_eq(read(file, text, sizeof(text)), 0, "there is nothing to tell yet");
    core.devices[0].away_bytes++;
    mover_take();
    mover_give();
    core.devices[0].away_bytes--;
    cr_assert_geq(read(file, text, sizeof(text) - 1), 0);
    log_finish();
    close(file);
    unlink(path);
    cr_assert_eq(core_free(address), 0);
    world_finish(&world);
    return strstr(text, "check: away from device 0: 1 told, 0 found");
}

Test(check, a_move_tells_it_where_the_option_asks)
{
    cr_expect(move_tells("1"));
}

Test(check, a_move_says_nothing_otherwise)
{
    cr_expect_not(move_tells("0"));
}
