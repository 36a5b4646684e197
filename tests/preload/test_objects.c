/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on the simulated driver: objects that the program fills again, and pins beside work that goes on. */
#include "objects.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

TestSuite(objects, .timeout = 60);

/* ---- EBB_RELOADABLE
 * ----------------------------------------------------------------------------------------------- */

static struct {
    int fails, inner[4];
    unsigned parts;
} reloaded;

static int reload(void *at, size_t offset, void *memory, size_t bytes, void *arg)
{
    const struct object *object = arg;

    cr_expect_eq(at, ptr(object));
    cr_expect_leq(offset + bytes, object->bytes);
    reloaded.parts++;
    reloaded.inner[0] = ebb_pin(at, EBB_RO, NULL);
    reloaded.inner[1] = ebb_reserve(MIB, 0, 0, &(ebb_reservation){0}, NULL);
    reloaded.inner[2] = ebb_touch(at);
    reloaded.inner[3] = (int)ebb_evict(NULL, SIZE_MAX, EBB_TIER_HOST);
    for (size_t i = 0; i < bytes / sizeof(float); i++)
        ((float *)memory)[i] = object->value;
    return reloaded.fails;
}

Test(objects, reloadable_object_is_dropped_and_filled_again_by_the_program)
{
    struct ebb_stats before;
    struct object block;

    begin(100);
    before = stats();
    block = make(30, 7);
    cr_assert_eq(ebb_register(ptr(&block), block.bytes, EBB_RELOADABLE, "table"), 0);
    cr_assert_eq(ebb_set_reload_callback(ptr(&block), reload, &block), 0);
    cr_expect_eq(ebb_evict(ptr(&block), 0, EBB_TIER_HOST), 30 * (long)MIB);
    cr_expect_eq(ask(&block).tier, EBB_TIER_DISK);
    cr_expect_eq(ebb_set_reload_callback(ptr(&block), NULL, NULL), -EBUSY);

    reloaded.fails = -1;
    cr_expect_eq(ebb_pin(ptr(&block), EBB_RO, NULL), -EIO);
    cr_expect_eq(cuMemsetD32(block.at, bits_of(7), 1), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(ask(&block).pins, 0);
    reloaded.fails = 0;
    reloaded.parts = 0;
    pin(&block, EBB_RO);
    cr_expect_geq(reloaded.parts, 2, "a block of several chunks comes in parts");
    for (unsigned i = 0; i < 4; i++)
        cr_expect_eq(reloaded.inner[i], -EDEADLK);
    unpin(&block, EBB_CLEAN);
    cr_expect_eq(ebb_evict(ptr(&block), 0, EBB_TIER_DISK), 30 * (long)MIB);
    cr_expect(all_are(block.at, block.bytes / 4, 7), "a copy from it finds it filled");
    cr_expect_eq(stats().saves, before.saves);
    cr_expect_eq(stats().to_host_bytes, before.to_host_bytes);
    end(&block);
}

Test(objects, reload_callback_is_only_for_what_was_registered_so)
{
    struct object block;
    char *host = aligned_alloc(1 << 16, 1 << 20);

    begin(100);
    block = make_named(8, 1);
    cr_expect_eq(ebb_set_reload_callback(NULL, reload, NULL), -EINVAL);
    cr_expect_eq(ebb_set_reload_callback(ptr(&block), reload, NULL), -EINVAL);
    cr_expect_eq(ebb_set_reload_callback(host, reload, NULL), -ENOENT);
    cr_expect_eq(ebb_register(host, 1 << 20, EBB_RELOADABLE, NULL), -ENOTSUP);
    free(host);
    end(&block);
}

/* ---- pins by stream ------------------------------------------------------------------------------------------- */

static _Atomic bool may_go_on;

static void CUDA_CB wait_for_it(void *data)
{
    struct timespec pause = {.tv_nsec = 1000000};

    (void)data;
    while (!may_go_on)
        nanosleep(&pause, NULL);
}

Test(objects, pin_waits_for_no_work_of_the_program)
{
    struct object here, away;
    CUstream stream;

    begin(100);
    here = make_named(30, 1);
    away = make_named(30, 2);
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    cr_assert_eq(ebb_evict(ptr(&away), 0, EBB_TIER_HOST), 30 * (long)MIB);
    OK(cuLaunchHostFunc(stream, wait_for_it, NULL));
    cr_expect_eq(ebb_pin(ptr(&here), EBB_RW, stream), 0);
    cr_expect_eq(ebb_pin(ptr(&away), EBB_RO, stream), 0, "it is brought back beside what goes on");
    OK(world_add(&world, here.at, away.at, here.bytes / 4, stream));
    cr_expect_eq(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    may_go_on = true;
    OK(cuStreamSynchronize(stream));
    unpin(&here, EBB_DIRTY);
    unpin(&away, EBB_CLEAN);
    here.value = 3;
    end(&here);
    end(&away);
    OK(cuStreamDestroy(stream));
}

/* ---- host memory
 * -------------------------------------------------------------------------------------------------- */

static struct ebb_block_info ask_host(void *at)
{
    struct ebb_block_info info = {.struct_bytes = sizeof info};

    cr_assert_eq(ebb_query(at, &info), 0);
    return info;
}

static bool holds(const char *at, size_t mib, char value)
{
    for (size_t i = 0; i < mib * MIB; i += 4096)
        if (at[i] != value)
            return false;
    return true;
}

/* C of the host is 100 and a little: op max 70, buf max 70. */
Test(objects, host_memory_is_shared_by_operations_and_buffers)
{
    static const size_t mib[3] = {40, 24, 20};
    FILE *errors = listen_to_errors();
    struct ebb_stats peak = {.struct_bytes = sizeof peak};
    struct object block;
    char *at[3];
    long left;

    begin(100);
    for (unsigned i = 0; i < 3; i++) {
        at[i] = mmap(NULL, mib[i] * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(at[i], MAP_FAILED);
        memset(at[i], (int)i + 1, mib[i] * MIB);
    }
    cr_assert_eq(ebb_register(at[0], 40 * MIB, 0, "first"), 0);
    left = ebb_evict(at[0], 0, EBB_TIER_DISK);
    if (left == -ENOTSUP)
        cr_skip("host memory cannot be moved here");
    cr_assert_eq(left, 40 * (long)MIB);
    cr_assert_eq(ebb_register(at[1], 24 * MIB, 0, "second"), 0);
    cr_assert_eq(ebb_register(at[2], 20 * MIB, 0, "third"), 0);
    cr_expect_eq(stats().tier[EBB_TIER_HOST].buffers_bytes, 44 * MIB);
    block = make_named(60, 7);
    cr_assert_eq(ebb_evict(ptr(&block), 0, EBB_TIER_HOST), 60 * (long)MIB);
    cr_expect_leq(stats().tier[EBB_TIER_HOST].buffers_bytes, 74 * MIB, "104 of 70: others leave");
    cr_expect_geq(stats().tier[EBB_TIER_HOST].buffers_bytes, 38 * MIB);

    for (unsigned i = 1; i < 3; i++)
        cr_assert_geq(ebb_evict(at[i], 0, EBB_TIER_DISK), 0);
    pin(&block, EBB_RW);
    unpin(&block, EBB_DIRTY);
    cr_assert_eq(ebb_evict(ptr(&block), 0, EBB_TIER_HOST), 60 * (long)MIB);
    cr_expect_eq(stats().tier[EBB_TIER_HOST].buffers_bytes, 60 * MIB);
    cr_assert_eq(ebb_push_peak(), 0);
    cr_expect_eq(ebb_pin(at[0], 0, NULL), 0);
    cr_expect_eq(ask_host(at[0]).tier, EBB_TIER_HOST);
    cr_expect_eq(ebb_pin(at[1], 0, NULL), 0);
    cr_expect_eq(stats().tier[EBB_TIER_HOST].operations_bytes, 64 * MIB);
    cr_expect_eq(stats().tier[EBB_TIER_HOST].buffers_bytes, 0, "124 of 100: the block leaves for the second");
    cr_assert_eq(ebb_pop_peak(&peak), 0);
    cr_expect_leq(peak.tier[EBB_TIER_HOST].peak_bytes, peak.tier[EBB_TIER_HOST].budget_bytes,
                  "and before it comes");
    cr_expect_eq(ebb_pin(at[2], 0, NULL), -ENOSPC, "84 of 70");
    cr_expect_eq(stats().tier[EBB_TIER_HOST].operations_bytes, 64 * MIB);
    cr_expect_eq(ask_host(at[2]).pins, 0);
    cr_expect_eq(cuMemHostAlloc(&(void *){NULL}, 60 * MIB, 0), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(lines_with(errors, "operations: 64 MiB pinned, buffers: "), 1);
    cr_expect_eq(ebb_unpin(at[0], 0), 0);
    cr_expect_eq(ebb_pin(at[2], 0, NULL), 0);
    cr_expect_eq(ebb_unpin(at[1], 0), 0);
    cr_expect_eq(ebb_unpin(at[2], 0), 0);
    cr_expect_eq(stats().tier[EBB_TIER_HOST].operations_bytes, 0);
    cr_expect_leq(stats().tier[EBB_TIER_HOST].buffers_bytes, 74 * MIB);
    for (unsigned i = 0; i < 3; i++)
        cr_expect(holds(at[i], mib[i], (char)(i + 1)), "%u", i);
    end(&block);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(ebb_unregister(at[i]), 0);
}

/* The link is slow: what is submitted right after the pin would find half a block if it did not wait for it. */
Test(objects, pin_behind_a_stream_is_in_place_for_its_work_and_for_others)
{
    struct object block, other;
    CUstream stream[2];

    begin(100);
    block = make_named(24, 0);
    other = make_named(24, 1);
    for (unsigned i = 0; i < 2; i++)
        OK(cuStreamCreate(&stream[i], CU_STREAM_NON_BLOCKING));
    for (unsigned i = 0; i < 8; i++) {
        cr_assert_eq(ebb_evict(ptr(&block), 0, EBB_TIER_HOST), 24 * (long)MIB);
        cr_assert_eq(ebb_evict(ptr(&other), 0, EBB_TIER_HOST), 24 * (long)MIB);
        cr_expect_eq(ebb_pin(ptr(&block), EBB_RW, stream[0]), 0);
        cr_expect_eq(ebb_pin(ptr(&other), EBB_RO, stream[0]), 0);
        OK(world_add(&world, block.at, other.at, block.bytes / 4, stream[i % 2]));
        OK(cuStreamSynchronize(stream[i % 2]));
        block.value++;
        unpin(&block, EBB_DIRTY);
        unpin(&other, EBB_CLEAN);
    }
    cr_expect_eq(ask(&other).saves, 1, "nobody wrote to it");
    cr_expect(all_are(block.at, block.bytes / 4, 8));
    cr_assert_eq(ebb_evict(ptr(&block), 0, EBB_TIER_HOST), 24 * (long)MIB);
    cr_expect_eq(ebb_pin(ptr(&block), EBB_RW, (void *)(uintptr_t)0xbad0), 0, "no stream: it comes as ever");
    cr_expect_eq(ask(&block).tier, EBB_TIER_DEVICE);
    unpin(&block, EBB_DIRTY);
    for (unsigned i = 0; i < 2; i++)
        OK(cuStreamDestroy(stream[i]));
    end(&block);
    end(&other);
}

/* Managed memory that was sent to the host never goes on to disk. */
Test(objects, host_memory_is_not_pinned_over_what_cannot_leave)
{
    struct ebb_stats peak = {.struct_bytes = sizeof peak};
    const char *allocator = getenv("EBBTIDE_ALLOCATOR");
    struct object block;
    char *at[2];

    if (!allocator || strcmp(allocator, "managed") != 0)
        cr_skip("blocks can leave the host here");
    begin(100);
    for (unsigned i = 0; i < 2; i++) {
        at[i] = mmap(NULL, 30 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(at[i], MAP_FAILED);
        memset(at[i], (int)i + 1, 30 * MIB);
        cr_assert_eq(ebb_register(at[i], 30 * MIB, 0, "range"), 0);
        long left = ebb_evict(at[i], 0, EBB_TIER_DISK);
        if (left == -ENOTSUP)
            cr_skip("host memory cannot be moved here");
        cr_assert_eq(left, 30 * (long)MIB);
    }
    block = make_named(60, 7);
    cr_assert_eq(ebb_evict(ptr(&block), 0, EBB_TIER_HOST), 60 * (long)MIB);
    cr_assert_eq(ebb_push_peak(), 0);
    cr_expect_eq(ebb_pin(at[0], 0, NULL), 0, "90 of 100");
    cr_expect_eq(ebb_pin(at[1], 0, NULL), -ENOSPC,
                 "120 of 100, although 60 of operations are no more than 70");
    cr_expect_eq(ask_host(at[1]).pins, 0);
    cr_expect_eq(stats().tier[EBB_TIER_HOST].operations_bytes, 30 * MIB);
    cr_assert_eq(ebb_pop_peak(&peak), 0);
    cr_expect_leq(peak.tier[EBB_TIER_HOST].peak_bytes, peak.tier[EBB_TIER_HOST].budget_bytes);
    cr_expect_eq(ebb_unpin(at[0], 0), 0);
    cr_expect_eq(ebb_pin(at[1], 0, NULL), 0, "the first leaves for it, piece for piece");
    cr_expect_eq(ebb_unpin(at[1], 0), 0);
    for (unsigned i = 0; i < 2; i++) {
        cr_expect(holds(at[i], 30, (char)(i + 1)), "%u", i);
        cr_expect_eq(ebb_unregister(at[i]), 0);
    }
    end(&block);
}

/* ---- host memory that the driver has, too
 * -------------------------------------------------------------------------- */

/* MiB of the host tier more than `before_bytes`, to the nearest. */
static size_t more(size_t before_bytes)
{
    size_t used_bytes = stats().tier[EBB_TIER_HOST].used_bytes;

    return used_bytes < before_bytes ? 0 : (used_bytes - before_bytes + MIB / 2) / MIB;
}

Test(objects, host_memory_is_charged_once_whether_the_driver_or_the_program_registers_it_first)
{
    /* MiB of one mapping: what the program registers, what the driver does, and what both have together. */
    static const struct {
        size_t ours, our_size, theirs, their_size, all;
    } cases[] = {{0, 8, 0, 8, 8}, {0, 8, 1, 4, 8}, {2, 2, 1, 6, 6}, {0, 4, 2, 4, 6}, {4, 4, 2, 4, 6}};
    char *memory = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    begin(100);
    memset(memory, 1, 8 * MIB);
    /* Twice: the heap, which is charged for lots, has by the second time what these calls take of it. */
    for (unsigned n = 0, count = 2 * sizeof cases / sizeof *cases; n < 2 * count; n++) {
        unsigned i = n % count;
        bool looks = n >= count;
        char *ours = memory + cases[i / 2].ours * MIB, *theirs = memory + cases[i / 2].theirs * MIB;
        size_t before = stats().tier[EBB_TIER_HOST].used_bytes;

        if (i % 2)
            OK(cuMemHostRegister(theirs, cases[i / 2].their_size * MIB, 0));
        cr_assert_eq(ebb_register(ours, cases[i / 2].our_size * MIB, 0, "host"), 0);
        if (i % 2 == 0)
            OK(cuMemHostRegister(theirs, cases[i / 2].their_size * MIB, 0));
        cr_expect(!looks || more(before) == cases[i / 2].all, "%zu in case %u", more(before), i);
        cr_expect_eq(ebb_unregister(ours), -EBUSY);
        OK(cuMemHostUnregister(theirs));
        cr_expect(!looks || more(before) == cases[i / 2].our_size, "%zu in case %u", more(before), i);
        cr_expect_eq(ebb_unregister(ours), 0);
        cr_expect(!looks || more(before) == 0, "%zu in case %u", more(before), i);
    }
    munmap(memory, 8 * MIB);
}

/* ---- host memory that a call names --------------------------------------------------------------------------------- */

#define PIECE_BYTES ((size_t)64 << 10) /* comes back at once */

/* 4 MiB that lie on disk. NULL: the kernel's faults are not handed to this user. */
static char *memory_away(void)
{
    char *memory = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(memory, MAP_FAILED);
    memset(memory, 'n', 4 * MIB - 1);
    cr_assert_eq(ebb_register(memory, 4 * MIB, 0, "names"), 0);
    return ebb_evict(memory, 0, EBB_TIER_DISK) > 0 ? memory : NULL;
}

/* Whoever brings memory back needs what a call may have locked. */
Test(objects, what_a_call_reads_may_be_away, .timeout = 30)
{
    struct object block;
    char *memory;

    begin(100);
    block = make(8, 1);
    memory = memory_away();
    if (!memory)
        cr_skip("faults of the kernel are not handed to this user");
    cr_expect_eq(ebb_register(ptr(&block), block.bytes, 0, memory + 4 * MIB - 16), 0);
    cr_expect_str_eq(ask(&block).name, "nnnnnnnnnnnnnnn");
    cr_expect_eq(ebb_register(memory + PIECE_BYTES, 8, 0, memory), -EINVAL);
    end(&block);
}

Test(objects, what_a_call_writes_may_be_away, .timeout = 30)
{
    struct ebb_stats *figures;
    ebb_reservation *reservation;
    char *memory;

    begin(100);
    memory = memory_away();
    if (!memory)
        cr_skip("faults of the kernel are not handed to this user");
    /* The size is in a piece that is there, what is written in the next. */
    figures = (struct ebb_stats *)(void *)(memory + PIECE_BYTES - 16);
    figures->struct_bytes = sizeof *figures;
    cr_expect_eq(ebb_get_stats(figures), 0);
    figures = (struct ebb_stats *)(void *)(memory + 5 * PIECE_BYTES - 16);
    figures->struct_bytes = sizeof *figures;
    cr_assert_eq(ebb_push_peak(), 0);
    cr_expect_eq(ebb_pop_peak(figures), 0);
    reservation = (ebb_reservation *)(void *)(memory + 9 * PIECE_BYTES);
    cr_expect_eq(ebb_reserve(2 * MIB, 0, 0, reservation, NULL), 0);
    cr_expect_eq(ebb_reserve_release(*reservation, SIZE_MAX), 0);
    cr_expect_eq(ebb_unregister(memory), 0);
}

/* ---- what a refusal says ------------------------------------------------------------------------------------------- */

Test(objects, a_refusal_says_how_much_was_asked_for_and_what_is_there)
{
    /* What other processes may import is the driver's own. */
    const CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                       .handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                                       .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    FILE *errors = listen_to_errors();
    CUmemoryPool pool;
    CUdeviceptr at;
    CUresult result;

    begin(100);
    OK(cuMemPoolCreate(&pool, &properties));
    cr_expect_eq(cuMemAlloc(&at, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(lines_with(errors, "unlimited"), 0);
    do
        result = cuMemAllocFromPoolAsync(&at, 8 * MIB, pool, NULL);
    while (result == CUDA_SUCCESS);
    cr_expect_eq(result, CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(lines_with(errors, "largest: raise"), 0);
    cr_expect_geq(lines_with(errors, "MiB in pools (out of pools for other processes); raise with a larger "
                                     "EBBTIDE_DEVICE_BUDGET\n"),
                  1);
    fclose(errors);
}
