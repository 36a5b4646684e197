/* SPDX-License-Identifier: Apache-2.0 */
/* host_world.c - see host_world.h. */
#include "host_world.h"

#include <criterion/criterion.h>
#include <sys/mman.h>
#include <time.h>

#include "host/host_state.h"
#include "ledger/state.h"

struct spill host_spill;

void host_world_begin(uint64_t host_bytes, const char *disk)
{
    spill_init(&host_spill, disk);
    host_spill.options.host_budget = (struct size_spec){.kind = SIZE_BYTES, .bytes = host_bytes};
    core_host_start(&host_spill.options);
    if (!host_fault_start()) {
        spill_finish(&host_spill);
        cr_skip("faults of the kernel are not handed to this user");
    }
}

static struct budget budget(void)
{
    struct budget now;

    lock_acquire(&core.lock);
    now = core.host_budget;
    lock_release(&core.lock);
    return now;
}

uint64_t host_used(void)
{
    return budget().used_bytes;
}

uint64_t host_peak(void)
{
    return budget().peak_bytes;
}

uint64_t host_used_by(enum host_class class)
{
    return budget().class_bytes[class];
}

uint64_t host_disk_used(void)
{
    struct disk_figures figures;

    disk_figures(&core.disk, &figures);
    return figures.used_bytes;
}

bool host_disk_empties(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < 10000 && host_disk_used(); i++)
        nanosleep(&pause, NULL);
    return !host_disk_used();
}

void host_world_end(void)
{
    cr_expect_eq(host_block_count, 0);
    cr_expect_eq(host_used(), 0, "%lu bytes are still charged", (unsigned long)host_used());
    cr_expect_eq(host_disk_used(), 0);
    core_finish();
    spill_finish(&host_spill);
}

uint64_t range_word(uint64_t index)
{
    return (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t *range_map(uint64_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(memory, MAP_FAILED);
    return memory;
}

void range_fill(uint64_t *words, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / 8; i++)
        words[i] = range_word(i);
}

bool range_is_filled(const uint64_t *words, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / 8; i++)
        if (words[i] != range_word(i))
            return false;
    return true;
}

uint64_t *range_map_registered(uint64_t bytes)
{
    uint64_t *words = range_map(bytes);

    cr_assert_eq(host_block_register(words, bytes, 0, "test"), 0);
    return words;
}

void range_release(uint64_t *words, uint64_t bytes)
{
    cr_assert_eq(host_block_unregister(words), 0);
    cr_assert_eq(munmap(words, bytes), 0);
}

uint64_t range_away(void *ptr)
{
    struct host_block_info info;

    cr_assert_eq(host_block_query(ptr, &info), 0);
    return info.away_bytes;
}

void range_evict(void *ptr, uint64_t bytes)
{
    cr_assert_geq(host_block_evict(ptr, 0), 0);
    cr_assert_eq(range_away(ptr), bytes);
}
