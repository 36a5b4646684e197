/* SPDX-License-Identifier: Apache-2.0 */
/* test_relocate.c - blocks behind handles of the program's own lie where it maps them, and move from there as any other. */
#include <criterion/criterion.h>
#include <errno.h>

#include "fake_device.h"
#include "scenario.h"

TestSuite(relocate, .timeout = 60);

static const char mapped_settings[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=200M EBBTIDE_CHECK=1";
static const char strict_settings[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=200M "
                                      "EBBTIDE_DISK=always EBBTIDE_RESIDENCY=strict EBBTIDE_CHECK=1";

/* Memory of a handle, at its home. */
static uint64_t make_handle(uint64_t mib)
{
    const struct wanted wanted = {.bytes = mib * MIB, .is_handle = true};
    uint64_t home;

    cr_assert_eq(core_allocate_wanted(&wanted, &home), 0);
    return home;
}

static uint64_t addresses(uint64_t mib)
{
    uint64_t range;

    cr_assert_eq(core_addresses_take(mib * MIB, 0, &range), 0);
    return range;
}

/* A call that names what lies at an address. */
static int use(const struct model *block, bool writes, bool is_kernel)
{
    struct use use;
    int error;

    use_init(&use, writes);
    if (is_kernel)
        use_word(&use, block->address);
    else
        use_range(&use, block->address, block->bytes);
    error = use_begin(&use);
    if (error)
        return error;
    if (writes)
        model_write(block);
    else
        cr_assert(model_intact(block));
    use_end(&use);
    return 0;
}

static int launch(const struct model *block, bool writes)
{
    return use(block, writes, true);
}

/* A block with bytes in it, mapped `at` in a reservation. */
static struct model make_mapped(uint64_t mib, uint64_t at, uint64_t range, uint64_t *out_home)
{
    struct model block = {.address = at, .bytes = mib * MIB, .seed = at << 8};

    *out_home = make_handle(mib);
    cr_assert_eq(core_relocate(*out_home, at, range), 0);
    cr_assert_eq(launch(&block, true), 0);
    return block;
}

/* It goes home, and all of it is given back. */
static void drop(const struct model *block, uint64_t home)
{
    cr_assert_eq(core_relocate(block->address, home, 0), 0);
    core_free_handle(home);
}

Test(relocate, block_keeps_its_bytes_wherever_it_goes)
{
    struct model block;
    uint64_t range, home;

    start(mapped_settings);
    range = addresses(64);
    block = make_mapped(4, range + 2 * MIB, range, &home);
    cr_assert_eq(core_relocate(block.address, home, 0), 0);
    cr_assert_eq(core_relocate(home, range + 32 * MIB, range), 0);
    block.address = range + 32 * MIB;
    cr_assert_eq(launch(&block, false), 0);
    world_check(&world);
    drop(&block, home);
    core_addresses_give(range, 64 * MIB);
    world_finish(&world);
}

Test(relocate, block_that_has_left_the_device_goes_along)
{
    struct model block;
    uint64_t range, home;

    start(mapped_settings);
    range = addresses(64);
    block = make_mapped(4, range, range, &home);
    cr_assert_eq(send_off(&block, false), 4 * MIB);
    cr_assert_eq(core_relocate(block.address, home, 0), 0);
    cr_assert_eq(core_relocate(home, range + 8 * MIB, range), 0);
    cr_assert_eq(owner_entry(&core.blocks, address_granule(&core.blocks, range + 8 * MIB)) & OWNER_FLAGS,
                 OWNER_AWAY);
    block.address = range + 8 * MIB;
    cr_assert_eq(launch(&block, false), 0);
    world_check(&world);
    drop(&block, home);
    core_addresses_give(range, 64 * MIB);
    world_finish(&world);
}

Test(relocate, block_stays_where_it_is_when_it_cannot_be_mapped_or_unmapped)
{
    static const enum fake_call points[] = {FAKE_MAP, FAKE_GRANT, FAKE_UNMAP};
    struct model block;
    uint64_t range, home;

    start(mapped_settings);
    range = addresses(64);
    block = make_mapped(4, range, range, &home);
    for (unsigned i = 0; i < 3; i++) {
        fake_fail(world.fake, points[i], 1, points[i] == FAKE_MAP ? 1 : 2, 0);
        cr_expect_lt(core_relocate(block.address, home, 0), 0);
        cr_expect_eq(launch(&block, false), 0);
        world_check(&world);
    }
    drop(&block, home);
    core_addresses_give(range, 64 * MIB);
    world_finish(&world);
}

Test(relocate, whoever_uses_one_block_of_a_reservation_uses_all_where_nothing_else_can_be_reached)
{
    struct model block[2];
    uint64_t range, home[2];

    start(strict_settings);
    range = addresses(64);
    block[0] = make_mapped(4, range, range, &home[0]);
    block[1] = make_mapped(4, range + 4 * MIB, range, &home[1]);
    cr_assert_eq(send_off(&block[1], false), 4 * MIB);
    cr_assert(owner_entry(&core.blocks, address_granule(&core.blocks, range)) & OWNER_MATES);
    cr_assert_eq(use(&block[0], false, false), 0);
    cr_assert(owner_entry(&core.blocks, address_granule(&core.blocks, range)) &
              OWNER_MATES); /* for a copy none came */
    cr_assert_eq(launch(&block[0], false), 0);
    cr_assert_eq(owner_entry(&core.blocks, address_granule(&core.blocks, block[1].address)) & OWNER_FLAGS, 0);
    cr_assert(model_intact(&block[1]));
    send_off(&block[1], false);
    drop(&block[1], home[1]);
    cr_assert_eq(owner_entry(&core.blocks, address_granule(&core.blocks, range)) & OWNER_FLAGS, 0);
    world_check(&world);
    drop(&block[0], home[0]);
    core_addresses_give(range, 64 * MIB);
    world_finish(&world);
}

Test(relocate, block_that_is_mapped_twice_stays_on_the_device)
{
    struct model block;
    uint64_t range, home;

    start(mapped_settings);
    range = addresses(64);
    block = make_mapped(4, range, range, &home);
    cr_assert_eq(core_map_alias(block.address, range + 16 * MIB), 0);
    cr_assert_eq(send_off(&block, false), 0);
    cr_assert_eq(core_relocate(block.address, home, 0), 0);
    block.address = home;
    cr_assert_eq(send_off(&block, false), 0);
    cr_assert_eq(core_unmap_alias(home, range + 16 * MIB), 0);
    cr_assert_eq(send_off(&block, false), 4 * MIB);
    core_free_handle(home);
    core_addresses_give(range, 64 * MIB);
    world_check(&world);
    world_finish(&world);
}

Test(relocate, what_is_behind_a_handle_is_not_freed_by_its_address)
{
    struct model block;
    uint64_t range, home;

    start(mapped_settings);
    range = addresses(8);
    block = make_mapped(2, range, range, &home);
    cr_assert_eq(core_free(block.address), -EINVAL);
    cr_assert_eq(core_relocate(range + 4 * MIB, home, 0), -ENOENT);
    drop(&block, home);
    core_addresses_give(range, 8 * MIB);
    world_finish(&world);
}

Test(relocate, what_the_program_has_said_of_a_block_ends_with_its_address)
{
    struct model block;
    uint64_t range, home;

    start(mapped_settings);
    range = addresses(8);
    block = make_mapped(2, range, range, &home);
    name(&block);
    pin(&block, 0);
    cr_assert_eq(core_relocate(block.address, home, 0), 0);
    cr_assert_eq(core_relocate(home, range, range), 0);
    cr_assert_eq(object_unregister(block.address), -ENOENT);
    cr_assert_eq(launch(&block, false), 0);
    world_check(&world);
    drop(&block, home);
    core_addresses_give(range, 8 * MIB);
    world_finish(&world);
}
