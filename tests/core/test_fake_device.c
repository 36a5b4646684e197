/* SPDX-License-Identifier: Apache-2.0 */
/* The fake is only worth what it notices: each rule it promises to check is broken here once. */
#include "fake_device.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ARENA_GRANULES = 16
};

struct world {
    struct fake_device *fake;
    struct device *device;
    uint64_t base;
};

static struct world world_of(const struct fake_config *config)
{
    struct world world = {.fake = fake_create(config)};
    world.device = &world.fake->device;
    cr_assert_eq(world.device->reserve(world.device, ARENA_GRANULES * GRANULE_BYTES, &world.base), 0);
    cr_assert_eq(world.base % GRANULE_BYTES, 0);
    return world;
}

/* A device handle, mapped and granted at a granule of the arena. */
static uint64_t mapped(struct world *world, uint64_t granule, uint64_t *out_handle)
{
    uint64_t address = world->base + granule * GRANULE_BYTES;
    cr_assert_eq(world->device->create(world->device, 0, GRANULE_BYTES, out_handle), 0);
    cr_assert_eq(world->device->map(world->device, address, GRANULE_BYTES, *out_handle), 0);
    cr_assert_eq(world->device->grant(world->device, 0, address, GRANULE_BYTES), 0);
    return address;
}

static struct host_memory host_of(struct world *world)
{
    struct host_memory host;
    cr_assert_eq(world->device->host_create(world->device, GRANULE_BYTES, true, &host), 0);
    return host;
}

Test(fake_device, bytes_follow_the_handle_to_another_address)
{
    struct world world = world_of(NULL);
    uint64_t handle, address = mapped(&world, 0, &handle);
    memset((void *)address, 0x5a, GRANULE_BYTES);
    cr_assert_eq(world.device->unmap(world.device, address, GRANULE_BYTES), 0);
    uint64_t other = world.base + 5 * GRANULE_BYTES;
    cr_assert_eq(world.device->map(world.device, other, GRANULE_BYTES, handle), 0);
    cr_assert_not(fake_reachable(world.fake, 0, other, 1));
    cr_assert_eq(world.device->grant(world.device, 0, other, GRANULE_BYTES), 0);
    cr_assert_eq(((const unsigned char *)other)[GRANULE_BYTES - 1], 0x5a);
    cr_assert_eq(world.fake->calls[FAKE_MAP], 2);
    cr_assert_null(fake_violation(world.fake));
    fake_destroy(world.fake);
}

Test(fake_device, eviction_and_restore_keep_the_bytes)
{
    struct world world = world_of(NULL);
    uint64_t handle, address = mapped(&world, 0, &handle);
    struct host_memory host = host_of(&world);
    memset((void *)address, 0x77, GRANULE_BYTES);
    cr_assert_eq(world.device->copy(world.device, 0, host.alias, address, GRANULE_BYTES), 0);
    cr_assert_eq(*(const unsigned char *)host.cpu, 0, "a copy is made when it is waited for");
    cr_assert_eq(world.device->copied(world.device, 0, WAYS), 0);
    cr_assert_eq(world.device->unmap(world.device, address, GRANULE_BYTES), 0);
    cr_assert_eq(world.device->release(world.device, handle), 0);
    cr_assert_eq(world.device->map(world.device, address, GRANULE_BYTES, host.handle), 0);
    cr_assert_eq(world.device->grant(world.device, 0, address, GRANULE_BYTES), 0);
    cr_assert(fake_is_host(world.fake, address));
    cr_assert_eq(*(const unsigned char *)address, 0x77);
    *(unsigned char *)address = 0x78;
    cr_assert_eq(*(const unsigned char *)host.cpu, 0x78,
                 "mapped host memory and its alias are the same bytes");
    cr_assert_eq(world.fake->to_host_bytes, GRANULE_BYTES);
    cr_assert_eq(world.device->unmap(world.device, address, GRANULE_BYTES), 0);
    world.device->host_destroy(world.device, &host);
    cr_assert_eq(world.fake->live_handles + world.fake->live_hosts + world.fake->live_maps, 0);
    cr_assert_eq(world.fake->used_bytes[0] + world.fake->host_used_bytes, 0);
    cr_assert_null(fake_violation(world.fake));
    fake_destroy(world.fake);
}

/* A system call tells of a bad address what an access would die of. */
static bool faults(uint64_t address)
{
    int pipe_ends[2];
    cr_assert_eq(pipe(pipe_ends), 0);
    ssize_t written = write(pipe_ends[1], (const void *)address, 1);
    cr_assert(written == 1 || errno == EFAULT);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return written != 1;
}

Test(fake_device, unmapped_access_faults)
{
    struct world world = world_of(NULL);
    uint64_t handle, address = world.base;
    cr_assert(faults(address));
    cr_assert_eq(world.device->create(world.device, 0, GRANULE_BYTES, &handle), 0);
    cr_assert_eq(world.device->map(world.device, address, GRANULE_BYTES, handle), 0);
    cr_assert(faults(address), "mapped, but not granted");
    cr_assert_eq(world.device->grant(world.device, 0, address, GRANULE_BYTES), 0);
    cr_assert_not(faults(address));
    cr_assert_eq(world.device->unmap(world.device, address, GRANULE_BYTES), 0);
    cr_assert(faults(address));
    fake_destroy(world.fake);
}

Test(fake_device, capacity_is_a_limit_for_each_device)
{
    struct world world = world_of(&(struct fake_config){
        .count = 2, .capacity_bytes = 2 * GRANULE_BYTES, .host_capacity_bytes = GRANULE_BYTES});
    uint64_t first, handle, free_bytes, total_bytes;
    cr_assert_eq(world.device->create(world.device, 0, GRANULE_BYTES, &first), 0);
    cr_assert_eq(world.device->create(world.device, 0, GRANULE_BYTES, &handle), 0);
    cr_assert_eq(world.device->create(world.device, 0, GRANULE_BYTES, &handle), -ENOMEM);
    cr_assert_eq(world.device->create(world.device, 1, 2 * GRANULE_BYTES, &handle), 0);
    cr_assert_eq(world.device->release(world.device, first), 0);
    cr_assert_eq(world.device->memory(world.device, 0, &free_bytes, &total_bytes), 0);
    cr_assert_eq(free_bytes, GRANULE_BYTES);
    cr_assert_eq(total_bytes, 2 * GRANULE_BYTES);
    struct host_memory host, another;
    cr_assert_eq(world.device->host_create(world.device, GRANULE_BYTES, false, &host), 0);
    cr_assert_eq(host.handle, 0);
    cr_assert_eq(world.device->host_create(world.device, GRANULE_BYTES, false, &another), -ENOMEM);
    cr_assert_null(fake_violation(world.fake));
    fake_destroy(world.fake);
}

Test(fake_device, strict_one_has_no_mappable_host_memory)
{
    struct world world = world_of(&(struct fake_config){.strict = true});
    struct host_memory host;
    cr_assert_not(world.device->host_mappable);
    cr_assert_eq(world.device->host_create(world.device, GRANULE_BYTES, true, &host), -ENOTSUP);
    cr_assert_eq(world.device->host_create(world.device, GRANULE_BYTES, false, &host), 0);
    fake_destroy(world.fake);
}

static void expect_violation(struct world *world, const char *text)
{
    const char *violation = fake_violation(world->fake);
    cr_assert_not_null(violation, "expected: %s", text);
    cr_assert_not_null(strstr(violation, text), "%s", violation);
    cr_assert_eq(world->fake->violations, 1);
    fake_destroy(world->fake);
}

Test(fake_device, notices_a_map_over_a_map)
{
    struct world world = world_of(NULL);
    uint64_t handle, other, address = mapped(&world, 0, &handle);
    cr_assert_eq(world.device->create(world.device, 0, GRANULE_BYTES, &other), 0);
    cr_assert_eq(world.device->map(world.device, address, GRANULE_BYTES, other), -EIO);
    expect_violation(&world, "map over");
}

Test(fake_device, notices_a_map_outside_of_the_arena)
{
    struct world world = world_of(NULL);
    uint64_t handle;
    cr_assert_eq(world.device->create(world.device, 0, 2 * GRANULE_BYTES, &handle), 0);
    uint64_t last = world.base + (ARENA_GRANULES - 1) * GRANULE_BYTES;
    cr_assert_eq(world.device->map(world.device, last, 2 * GRANULE_BYTES, handle), -EIO);
    expect_violation(&world, "outside");
}

Test(fake_device, notices_a_map_of_part_of_a_handle)
{
    struct world world = world_of(NULL);
    uint64_t handle;
    cr_assert_eq(world.device->create(world.device, 0, 2 * GRANULE_BYTES, &handle), 0);
    cr_assert_eq(world.device->map(world.device, world.base, GRANULE_BYTES, handle), -EIO);
    expect_violation(&world, "of a handle that has");
}

Test(fake_device, notices_an_unmap_that_matches_no_map)
{
    struct world world = world_of(NULL);
    uint64_t handle, address = mapped(&world, 0, &handle);
    mapped(&world, 1, &handle);
    cr_assert_eq(world.device->unmap(world.device, address, 3 * GRANULE_BYTES), -EIO);
    expect_violation(&world, "not mapped so");
}

Test(fake_device, unmaps_what_lies_side_by_side_in_one_call)
{
    struct world world = world_of(NULL);
    uint64_t first, second, address = mapped(&world, 0, &first);
    mapped(&world, 1, &second);
    cr_assert_eq(world.device->unmap(world.device, address, 2 * GRANULE_BYTES), 0);
    cr_assert_not(fake_reachable(world.fake, 0, address, GRANULE_BYTES));
    cr_assert_not(fake_reachable(world.fake, 0, address + GRANULE_BYTES, GRANULE_BYTES));
    cr_assert_eq(world.device->release(world.device, first), 0);
    cr_assert_eq(world.device->release(world.device, second), 0);
    cr_assert_null(fake_violation(world.fake));
    fake_destroy(world.fake);
}

Test(fake_device, notices_a_release_while_mapped)
{
    struct world world = world_of(NULL);
    uint64_t handle;
    mapped(&world, 0, &handle);
    cr_assert_eq(world.device->release(world.device, handle), -EIO);
    expect_violation(&world, "while it is mapped");
}

Test(fake_device, notices_a_handle_used_after_release)
{
    struct world world = world_of(NULL);
    uint64_t handle;
    cr_assert_eq(world.device->create(world.device, 0, GRANULE_BYTES, &handle), 0);
    cr_assert_eq(world.device->release(world.device, handle), 0);
    cr_assert_eq(world.device->map(world.device, world.base, GRANULE_BYTES, handle), -EIO);
    expect_violation(&world, "not alive");
}

Test(fake_device, notices_a_copy_without_grant)
{
    struct world world = world_of(&(struct fake_config){.count = 2});
    uint64_t handle, address = mapped(&world, 0, &handle);
    struct host_memory host = host_of(&world);
    cr_assert_eq(world.device->copy(world.device, 1, host.alias, address, GRANULE_BYTES), -EIO);
    expect_violation(&world, "cannot reach");
}

Test(fake_device, notices_an_unmap_before_the_copy_was_waited_for)
{
    struct world world = world_of(NULL);
    uint64_t handle, address = mapped(&world, 0, &handle);
    struct host_memory host = host_of(&world);
    cr_assert_eq(world.device->copy(world.device, 0, host.alias, address, GRANULE_BYTES), 0);
    cr_assert_eq(world.device->unmap(world.device, address, GRANULE_BYTES), 0);
    expect_violation(&world, "nobody waited");
}

Test(fake_device, notices_an_unmap_under_a_kernel)
{
    struct world world = world_of(NULL);
    uint64_t handle, address = mapped(&world, 0, &handle);
    fake_launch(world.fake, address + 64, 64, NULL, NULL);
    cr_assert_eq(world.device->unmap(world.device, address, GRANULE_BYTES), 0);
    expect_violation(&world, "under a running kernel");
}

Test(fake_device, notices_a_copy_before_the_kernel_has_written)
{
    struct world world = world_of(NULL);
    uint64_t handle, address = mapped(&world, 0, &handle);
    struct host_memory host = host_of(&world);
    fake_launch(world.fake, address, 64, NULL, NULL);
    cr_assert_eq(world.device->copy(world.device, 0, host.alias, address, GRANULE_BYTES), 0);
    expect_violation(&world, "running kernel uses");
}

Test(fake_device, notices_host_memory_destroyed_while_mapped)
{
    struct world world = world_of(NULL);
    struct host_memory host = host_of(&world);
    cr_assert_eq(world.device->map(world.device, world.base, GRANULE_BYTES, host.handle), 0);
    world.device->host_destroy(world.device, &host);
    expect_violation(&world, "host_destroy");
}

static void fill(void *memory, uint64_t bytes, void *arg)
{
    memset(memory, *(const int *)arg, bytes);
}

Test(fake_device, kernel_runs_when_it_is_drained_and_no_sooner)
{
    struct world world = world_of(NULL);
    uint64_t handle, address = mapped(&world, 0, &handle);
    int value = 9;
    fake_launch(world.fake, address, 64, fill, &value);
    cr_assert_eq(*(const unsigned char *)address, 0);
    cr_assert_eq(fake_kernels(world.fake), 1);
    cr_assert_eq(world.device->drain(world.device, 1, UINT64_MAX), 0);
    cr_assert_eq(*(const unsigned char *)address, 9);
    cr_assert_eq(fake_kernels(world.fake), 0);
    cr_assert_eq(world.device->unmap(world.device, address, GRANULE_BYTES), 0);
    cr_assert_null(fake_violation(world.fake));
    fake_destroy(world.fake);
}

Test(fake_device, drain_that_times_out_takes_until_its_deadline)
{
    struct world world = world_of(NULL);
    uint64_t handle, address = mapped(&world, 0, &handle);
    fake_launch(world.fake, address, 64, NULL, NULL);
    world.fake->drain_error = -ETIMEDOUT;
    uint64_t deadline_ns = fake_now_ns(world.fake) + 500;
    cr_assert_eq(world.device->drain(world.device, 1, deadline_ns), -ETIMEDOUT);
    cr_assert_eq(world.device->now_ns(world.device), deadline_ns);
    cr_assert_eq(fake_kernels(world.fake), 1);
    fake_advance(world.fake, 7);
    cr_assert_eq(world.device->now_ns(world.device), deadline_ns + 7);
    fake_destroy(world.fake);
}

Test(fake_device, fails_the_call_that_the_test_names)
{
    struct world world = world_of(NULL);
    uint64_t handle = 0;
    fake_fail(world.fake, FAKE_CREATE, 2, 2, 0);
    cr_assert_eq(world.device->create(world.device, 0, GRANULE_BYTES, &handle), 0);
    cr_assert_eq(world.device->create(world.device, 0, GRANULE_BYTES, &handle), -ENOMEM);
    cr_assert_eq(world.device->create(world.device, 0, GRANULE_BYTES, &handle), -ENOMEM);
    cr_assert_eq(world.device->create(world.device, 0, GRANULE_BYTES, &handle), 0);
    fake_fail(world.fake, FAKE_MAP, 1, 1, -ENOTSUP);
    cr_assert_eq(world.device->map(world.device, world.base, GRANULE_BYTES, handle), -ENOTSUP);
    cr_assert_eq(world.device->map(world.device, world.base, GRANULE_BYTES, handle), 0);
    cr_assert_null(fake_violation(world.fake));
    fake_destroy(world.fake);
}

static int count_root(const struct root *root, void *arg)
{
    (void)root;
    ++*(unsigned *)arg;
    return 0;
}

Test(fake_device, shows_the_roots_that_the_test_names)
{
    struct world world = world_of(NULL);
    const char *why = NULL;
    unsigned seen = 0;
    world.fake->root[0] = (struct fake_root){.root = {.address = 1, .bytes = 8}};
    world.fake->root[1] = (struct fake_root){.root = {.address = 9, .bytes = 8}, .cpu_writable = true};
    world.fake->root_count = 2;
    cr_assert_eq(world.device->roots(world.device, false, count_root, &seen, &why), 0);
    cr_assert_eq(seen, 2);
    cr_assert_eq(world.device->roots(world.device, true, count_root, &seen, &why), 0);
    cr_assert_eq(seen, 3);
    world.fake->roots_unknown = "an image is compressed";
    cr_assert_eq(world.device->roots(world.device, false, count_root, &seen, &why), -ENOTSUP);
    cr_assert_str_eq(why, "an image is compressed");
    fake_destroy(world.fake);
}

Test(fake_device, contentless_one_keeps_the_same_books)
{
    struct world world = world_of(&(struct fake_config){.contentless = true});
    uint64_t handle, address = mapped(&world, 0, &handle);
    struct host_memory host = host_of(&world);
    cr_assert_null(host.cpu);
    cr_assert_eq(world.device->copy(world.device, 0, host.alias, address, GRANULE_BYTES), 0);
    cr_assert_eq(world.device->copied(world.device, 0, WAYS), 0);
    cr_assert_eq(world.device->unmap(world.device, address, GRANULE_BYTES), 0);
    cr_assert_eq(world.device->release(world.device, handle), 0);
    world.device->host_destroy(world.device, &host);
    world.device->unreserve(world.device, world.base, ARENA_GRANULES * GRANULE_BYTES);
    cr_assert_null(fake_violation(world.fake));
    fake_destroy(world.fake);
}
