/* SPDX-License-Identifier: Apache-2.0 */
/*
 * use.c - what a call to the driver does before and after. See core.h.
 *
 * The fast path takes no lock and writes no shared line but a stamp that is older than a microsecond: being inside
 * the user section is the pin. Only a call that finds something away leaves the section, takes launch pins under the
 * mover's role, and enters again; a thread never waits for the role while it holds launch pins, so the holder of the
 * role may wait for pins to be dropped.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "log.h"
#include "mover.h"
#include "refusal.h"
#include "search.h"
#include "state.h"

bool core_owns(uint64_t address)
{
    return blocks_own(&core.blocks, address);
}

void use_word(struct use *use, uint64_t word)
{
    uint32_t owner;

    if (__builtin_expect(!blocks_own(&core.blocks, word), 1))
        return;
    owner =
        atomic_load_explicit(&core.blocks.owner[address_granule(&core.blocks, word)], memory_order_relaxed);
    owner &= ~OWNER_FLAGS;
    if (!owner)
        return;
    if (use->count < USE_INLINE)
        use->granule[use->count++] = owner - 1;
    else
        use->all = true;
}

void use_words(struct use *use, const void *memory, size_t bytes)
{
    const char *at = memory;

    for (; bytes >= 8; at += 8, bytes -= 8) {
        uint64_t word;

        memcpy(&word, at, 8);
        use_word(use, word);
    }
}

static void source_hit(uint64_t word, void *arg)
{
    use_word(arg, word);
}

/* Words at an address that is no multiple of 4, by way of a buffer that is; pieces overlap by 4 bytes. */
static void search_unaligned(struct use *use, const char *memory, size_t bytes)
{
    _Alignas(8) char piece[4096];

    for (size_t at = 0; at + 8 <= bytes; at += sizeof(piece) - 4) {
        size_t size = bytes - at < sizeof(piece) ? bytes - at : sizeof(piece);

        memcpy(piece, memory + at, size);
        search_words(piece, size & ~(size_t)3, core.blocks.base, search_span(), source_hit, use);
    }
}

void use_source(struct use *use, const void *memory, size_t bytes)
{
    enum {
        SMALL_BYTES = 64 << 10
    };

    if (!memory || (bytes > SMALL_BYTES && !atomic_load_explicit(&core.away_unproven, memory_order_relaxed)))
        return;
    if ((uintptr_t)memory & 3)
        search_unaligned(use, memory, bytes);
    else
        search_words(memory, bytes & ~(size_t)3, core.blocks.base, search_span(), source_hit, use);
}

/* ---- the blocks of a use ---------------------------------------------------------------------------------- */

static uint32_t use_total(const struct use *use)
{
    return use->count + use->more_count;
}

static uint32_t use_first(const struct use *use, uint32_t index)
{
    return index < use->count ? use->granule[index] : use->more[index - use->count];
}

/* Flags of every block together. */
static uint32_t use_flags(const struct use *use)
{
    uint32_t flags = 0;

    for (uint32_t i = 0; i < use->count; i++)
        flags |= owner_entry(&core.blocks, use->granule[i]);
    for (uint32_t i = 0; i < use->more_count; i++)
        flags |= owner_entry(&core.blocks, use->more[i]);
    return flags & OWNER_FLAGS;
}

static uint32_t all_flags(void)
{
    uint32_t flags = 0;

    for (uint32_t g = 0, high = extent_high(&core.arena); g < high; g++)
        flags |= atomic_load_explicit(&core.blocks.owner[g], memory_order_acquire);
    return flags & OWNER_FLAGS;
}

static void touch(uint32_t first, uint64_t now)
{
    uint64_t was = atomic_load_explicit(&core.blocks.stamp[first], memory_order_relaxed);

    if (was && now - was > core.stamp_step)
        atomic_store_explicit(&core.blocks.stamp[first], now, memory_order_relaxed);
}

static void use_note(const struct use *use, struct gate_slot *slot)
{
    uint64_t now = core_stamp();

    for (uint32_t i = 0; i < use->count; i++)
        touch(use->granule[i], now);
    for (uint32_t i = 0; i < use->more_count; i++)
        touch(use->more[i], now);
    if (use->writes)
        gate_count_write(slot);
}

/* ---- the slow path ---------------------------------------------------------------------------------------- */

static void use_pin(struct use *use)
{
    for (uint32_t i = 0; i < use_total(use); i++)
        atomic_fetch_add(&core.blocks.block[use_first(use, i)].launch_pins, 1);
    if (use->all)
        atomic_fetch_add(&core.pins_all, 1);
    use->pinned = true;
}

static void use_unpin(struct use *use)
{
    for (uint32_t i = 0; i < use_total(use); i++)
        atomic_fetch_sub(&core.blocks.block[use_first(use, i)].launch_pins, 1);
    if (use->all)
        atomic_fetch_sub(&core.pins_all, 1);
    use->pinned = false;
    if (atomic_load(&core.waiting)) {
        pthread_mutex_lock(&core.lock);
        pthread_cond_broadcast(&core.changed);
        pthread_mutex_unlock(&core.lock);
    }
}

/* Every block of the process, for a call whose uses are not known. The role's memory. */
static uint32_t list_all(const uint32_t **out)
{
    static uint32_t *list;
    uint32_t count = 0;

    if (!list) {
        void *memory = mmap(0, core.blocks.granules * sizeof(*list), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (memory == MAP_FAILED)
            return 0;
        list = memory;
    }
    pthread_mutex_lock(&core.lock);
    for (uint32_t g = 0, high = extent_high(&core.arena); g < high; g++)
        if (core.blocks.block[g].id && !(core.blocks.block[g].flags & BLOCK_DEAD))
            list[count++] = g;
    pthread_mutex_unlock(&core.lock);
    *out = list;
    return count;
}

static int reach_use(const struct use *use)
{
    uint32_t own[USE_INLINE];
    const uint32_t *all = NULL;
    int r = 0;

    if (use->all)
        return mover_reach(all, list_all(&all));
    memcpy(own, use->granule, use->count * sizeof(*own));
    r = mover_reach(own, use->count);
    if (r == 0 && use->more_count)
        r = mover_reach(use->more, use->more_count);
    return r;
}

static bool others_hold_pins(const struct use *use)
{
    uint64_t mine = use_total(use), all = 0;

    pthread_mutex_lock(&core.lock);
    for (uint32_t g = 0, high = extent_high(&core.arena); g < high; g++)
        if (core.blocks.block[g].id)
            all += atomic_load(&core.blocks.block[g].launch_pins);
    pthread_mutex_unlock(&core.lock);
    return all > mine || atomic_load(&core.pins_all) > (use->all ? 1u : 0u);
}

/* Wait a moment for launch pins of others to be dropped; role held. */
static void wait_for_pins(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 10000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    atomic_fetch_add(&core.waiting, 1);
    pthread_mutex_lock(&core.lock);
    pthread_cond_timedwait(&core.changed, &core.lock, &until);
    pthread_mutex_unlock(&core.lock);
    atomic_fetch_sub(&core.waiting, 1);
}

static void refuse(const struct use *use)
{
    uint64_t bytes[DEVICE_MAX] = {0};
    unsigned worst = 0;

    for (uint32_t i = 0; i < use_total(use); i++) {
        const struct block *block = &core.blocks.block[use_first(use, i)];

        bytes[block->ordinal] += block->bytes;
        if (bytes[block->ordinal] > bytes[worst])
            worst = block->ordinal;
    }
    refusal_device(worst, bytes[worst], "launch");
}

/* Pin the blocks and bring them back. 0, or -ENOMEM with nothing pinned. */
static int use_reach(struct use *use)
{
    uint64_t since_ns = core_now(), deadline_ns = since_ns + core.options->drain_ms * UINT64_C(1000000);
    int r;

    mover_take();
    use_pin(use);
    while ((r = reach_use(use)) == -ENOSPC && core_now() < deadline_ns && others_hold_pins(use))
        wait_for_pins();
    mover_give();
    stats_add(&core.counters.stall_ns, core_now() - since_ns);
    if (!r)
        return 0;
    use_unpin(use);
    refuse(use);
    return -ENOMEM;
}

/* Memory that kernels read and the CPU writes is searched before each launch while something is unmapped. */
static int root_search(const struct root *root, void *arg)
{
    if (root->cpu)
        search_words(root->cpu, root->bytes & ~UINT64_C(3), core.blocks.base, search_span(), source_hit, arg);
    return 0;
}

int use_begin(struct use *use)
{
    const char *why;
    uint32_t flags;

    if (__builtin_expect(atomic_load_explicit(&core.away_unproven, memory_order_relaxed) != 0, 0) &&
        use->writes)
        core.device->roots(core.device, true, root_search, use, &why);
    for (bool asked = false;; asked = true) {
        struct gate_slot *slot = gate_enter();

        if (!slot)
            return -ENOMEM;
        flags = __builtin_expect(use->all, 0) ? all_flags() : use_flags(use);
        if (__builtin_expect(!flags, 1) || (asked && !(flags & OWNER_GONE))) {
            use_note(use, slot);
            if (flags)
                stats_add(&core.counters.zero_copy_launches, 1);
            return 0;
        }
        gate_leave(slot);
        if (use->pinned)
            use_unpin(use);
        if (use_reach(use) < 0)
            return -ENOMEM;
    }
}

void use_end(struct use *use)
{
    gate_leave(gate_slot_mine);
    if (__builtin_expect(use->pinned, 0))
        use_unpin(use);
}
