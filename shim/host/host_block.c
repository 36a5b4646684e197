/* SPDX-License-Identifier: Apache-2.0 */
/* host_block.c - blocks come and go, are pinned and asked about. See host_block.h. */
#include "host/host_block.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "host/host_state.h"
#include "ledger/busy.h"
#include "ledger/state.h"

bool (*host_block_is_heap)(const void *ptr);

static uint64_t address_of(const void *ptr)
{
    return (uint64_t)(uintptr_t)ptr;
}

/* Takes the lock. Gives the block at an address that nobody is about to forget. */
static struct host_block *lock_and_find(const void *ptr)
{
    struct host_block *block;

    host_books_lock();
    block = host_block_any() ? host_table_find(address_of(ptr)) : NULL;
    return block && !block->dying ? block : NULL;
}

enum share host_block_share(const struct host_block *block)
{
    return block->pins ? SHARE_OPERATION : block->fixed ? SHARE_FIXED : SHARE_BUFFER;
}

void host_block_recount(const struct host_block *block, enum share from)
{
    enum share to = host_block_share(block);

    if (from != to)
        host_share_move(from, to, block->bytes - block->absent_bytes, block->bytes);
}

/* ---- coming ----------------------------------------------------------------------------------------------- */

/* Others leave for what is in memory of it, which is charged. Lock not held. Returns the bytes. */
static uint64_t take_room(struct host_block *block)
{
    uint64_t bytes = block->bytes;

    if (block->flags & HOST_BLOCK_HEAP) /* malloc has */
        return 0;
    for (uint32_t index = 0; block->armed && index < block->unit_count; index++)
        bytes -= host_unit_bytes(block, index, host_piece_untouched(block, index));
    host_evict_make_room(block, bytes, 0);
    return bytes;
}

/* From now on its faults are ours, and the ledger has what is in memory of it: `charged_bytes` until now. Lock held; it
 * is in the table. */
static int begin(struct host_block *block, uint64_t charged_bytes)
{
    int error;

    if (block->armed) {
        error = host_fault_arm(block->first, block->end);
        if (error < 0)
            return error;
        host_blocks.armed++;
        for (uint32_t index = 0; index < block->unit_count; index++) {
            struct host_unit *unit = &block->unit[index];

            unit->stamp = core_stamp();
            unit->fresh = host_piece_untouched(block, index);
            block->absent_bytes += host_unit_bytes(block, index, unit->fresh);
        }
    }
    host_hold_count(block);
    if (block->flags & HOST_BLOCK_HEAP) {
        host_share_adopt((int64_t)block->bytes);
        host_share_credit(host_block_class(block), block->absent_bytes);
    } else {
        uint64_t here_bytes = block->bytes - block->absent_bytes;

        if (here_bytes > charged_bytes) /* touched meanwhile */
            host_share_force(host_block_class(block), here_bytes - charged_bytes);
        else
            host_share_credit(host_block_class(block), charged_bytes - here_bytes);
    }
    host_block_recount(block, SHARE_LOOSE);
    return 0;
}

/* Each armed range is a mapping of its own, and parts one in two: the program needs some, too. */
static bool may_arm(const struct host_block *block)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    uint64_t limit = host_maps_limit();

    if (!host_fault_running() || !block->unit_count)
        return false;
    if (host_blocks.armed * 2 < limit / 2 ||
        (block->bytes >= HOST_UNIT_BYTES && !(block->flags & HOST_BLOCK_HEAP)))
        return true;
    if (!atomic_flag_test_and_set(&said))
        log_line(
            LOG_WARN,
            "half of the %llu mappings that a process may have (vm.max_map_count) are for registered memory: "
            "further objects stay in memory",
            (unsigned long long)limit);
    return false;
}

static int add(void *ptr, size_t bytes, unsigned flags, const char *name)
{
    struct host_block *block;
    uint64_t charged_bytes = 0;
    int error;

    if (!core_host_active())
        return -ENOTSUP;
    host_fault_start();
    block = host_table_create(address_of(ptr), bytes);
    if (!block)
        return -ENOMEM;
    block->flags = flags;
    block->armed = may_arm(block);
    if (!block->armed && flags & HOST_BLOCK_HEAP && host_fault_running() && block->unit_count) {
        host_table_destroy(block);
        return -ENOMEM;
    }
    for (size_t i = 0; name && name[i] && i + 1 < sizeof(block->name); i++)
        block->name[i] = name[i];
    host_books_lock();
    error = host_table_check(block);
    lock_release(&host_blocks.lock);
    if (!error)
        charged_bytes = take_room(block);
    host_books_lock();
    error = error ? error : host_table_insert(block);
    if (!error) {
        error = begin(block, charged_bytes);
        if (error < 0)
            host_table_remove(block);
    }
    lock_release(&host_blocks.lock);
    if (error < 0) {
        host_share_credit(host_block_class(block), charged_bytes);
        host_table_destroy(block);
    } else {
        host_evict_excess();
    }
    return error;
}

int host_block_register(void *ptr, size_t bytes, unsigned flags, const char *name)
{
    uint64_t base = address_of(ptr);
    int error;

    if (!ptr || !bytes || base + bytes < base)
        return -EINVAL;
    error = host_maps_check(base, base + bytes);
    if (host_block_is_heap && host_block_is_heap(ptr))
        flags |= HOST_BLOCK_HEAP;
    return error < 0 ? error : add(ptr, bytes, flags, name);
}

int host_block_adopt(void *ptr, size_t bytes)
{
    return ptr && bytes ? add(ptr, bytes, HOST_BLOCK_HEAP, NULL) : -EINVAL;
}

/* ---- going ------------------------------------------------------------------------------------------------ */

/* Out of the table once nobody works on it. Lock held; `dying` is set. */
static void end(struct host_block *block)
{
    while (block->busy)
        lock_wait(&host_blocks.changed, &host_blocks.lock);
    if (block->armed) {
        host_fault_disarm(block->first, block->end);
        host_blocks.armed--;
    }
    host_share_move(host_block_share(block), SHARE_LOOSE, block->bytes - block->absent_bytes, block->bytes);
    host_table_remove(block);
}

/* What it held of ledger and disk. Returns the bytes of the heap that the ledger has not got. Lock not held. */
static uint64_t forget(struct host_block *block)
{
    uint64_t away_bytes = 0, absent_bytes = 0;

    for (uint32_t index = 0; index < block->unit_count; index++) {
        const struct host_unit *unit = &block->unit[index];

        away_bytes += host_unit_bytes(block, index, unit->away);
        if (unit->slot != SLOT_NONE)
            host_slot_give(block, index, unit->slot);
    }
    host_blocks.away_bytes -= away_bytes;
    if (block->flags & HOST_BLOCK_HEAP) {
        absent_bytes = block->absent_bytes;
        host_share_adopt(-(int64_t)(block->bytes - absent_bytes));
    } else {
        host_share_credit(host_block_class(block), block->bytes - block->absent_bytes);
    }
    host_table_destroy(block);
    return absent_bytes;
}

/* The heap has all of it again: also what nobody touched. Lock not held. */
static void charge_all(struct host_block *block)
{
    if (!(block->flags & HOST_BLOCK_HEAP) || !block->absent_bytes)
        return;
    host_evict_make_room(block, block->absent_bytes, 0);
    block->absent_bytes = 0;
}

int host_block_unregister(void *ptr)
{
    struct host_block *block = lock_and_find(ptr);
    int error = 0;

    if (!block || block->pins || block->holds) {
        error = block ? -EBUSY : -ENOENT;
    } else {
        block->dying = true;
        error = host_piece_bring_all(block, false);
        if (error < 0)
            block->dying = false;
        else
            end(block);
    }
    lock_release(&host_blocks.lock);
    if (!error) {
        charge_all(block);
        forget(block);
    }
    return error;
}

/* One that begins there, out of the table; NULL: none does. */
static struct host_block *take_out(uint64_t start, uint64_t bytes)
{
    struct host_block *block = NULL;

    host_books_lock();
    for (uint32_t i = host_table_above(start); !block && i < host_block_count; i++)
        if (host_blocks.row[i]->base >= start && !host_blocks.row[i]->dying)
            block = host_blocks.row[i];
    if (block && block->base - start >= bytes)
        block = NULL;
    if (block) {
        block->dying = true;
        end(block);
    }
    lock_release(&host_blocks.lock);
    return block;
}

uint64_t host_block_abandon(void *ptr, size_t bytes)
{
    struct host_block *block;
    uint64_t absent_bytes = 0;

    while (host_block_any() && (block = take_out(address_of(ptr), bytes)))
        absent_bytes += forget(block);
    return absent_bytes;
}

/* ---- pins ------------------------------------------------------------------------------------------------- */

static void stamp(struct host_block *block)
{
    uint64_t now = core_stamp();

    for (uint32_t i = 0; i < block->unit_count; i++)
        block->unit[i].stamp = now;
}

static void unpin(struct host_block *block)
{
    if (--block->pins)
        return;
    host_block_recount(block, SHARE_OPERATION);
    stamp(block);
}

/* Lock held. 0, and it has one pin more; else as host_block_pin. */
static int pin(struct host_block *block, unsigned flags)
{
    int error = 0;

    if (flags & HOST_PIN_COMPLETE && block->absent_bytes)
        return -EAGAIN;
    if (flags & (HOST_PIN_NOWAIT | HOST_PIN_COMPLETE))
        for (uint32_t index = 0; index < block->unit_count; index++)
            if (block->unit[index].away | block->unit[index].leaving | block->unit[index].returning)
                return -EAGAIN;
    if (!block->pins)
        error = host_share_pin(host_block_share(block), block->bytes - block->absent_bytes, block->bytes);
    block->pins += !error;
    return error;
}

int host_block_pin(void *ptr, unsigned flags)
{
    struct host_block *block = lock_and_find(ptr);
    int error = block ? pin(block, flags) : -ENOENT;

    if (!error && !(flags & HOST_PIN_COUNT)) {
        error = host_piece_bring_all(block, true);
        if (error < 0)
            unpin(block);
    }
    lock_release(&host_blocks.lock);
    return error;
}

int host_block_bring(void *ptr)
{
    struct host_block *block = lock_and_find(ptr);
    int error = block ? host_piece_bring_all(block, true) : -ENOENT;

    lock_release(&host_blocks.lock);
    return error;
}

int host_block_unpin(void *ptr)
{
    struct host_block *block = lock_and_find(ptr);
    int error = 0;

    if (!block)
        error = -ENOENT;
    else if (!block->pins)
        error = -EINVAL;
    else
        unpin(block);
    lock_release(&host_blocks.lock);
    return error;
}

/* ---- the rest --------------------------------------------------------------------------------------------- */

int host_block_touch(void *ptr)
{
    struct host_block *block = lock_and_find(ptr);

    if (block)
        stamp(block);
    lock_release(&host_blocks.lock);
    return block ? 0 : -ENOENT;
}

static void describe(const struct host_block *block, struct host_block_info *out)
{
    *out = (struct host_block_info){.base = block->base,
                                    .bytes = block->bytes,
                                    .pins = block->pins,
                                    .holds = block->holds,
                                    .saves = block->saves,
                                    .flags = block->flags};
    memcpy(out->name, block->name, sizeof(out->name));
    for (uint32_t i = 0; i < block->unit_count; i++) {
        const struct host_unit *unit = &block->unit[i];

        out->away_bytes += host_unit_bytes(block, i, unit->away & ~unit->returning);
        if (out->last_use < unit->stamp)
            out->last_use = unit->stamp;
    }
}

int host_block_query(void *ptr, struct host_block_info *out)
{
    struct host_block *block = lock_and_find(ptr);

    if (block)
        describe(block, out);
    lock_release(&host_blocks.lock);
    return block ? 0 : -ENOENT;
}

long host_block_evict(void *ptr_or_null, size_t bytes)
{
    struct host_block *block;
    uint64_t base = 0;

    if (!host_fault_running())
        return host_block_any() || !ptr_or_null ? -ENOTSUP : -ENOENT;
    if (ptr_or_null) {
        block = lock_and_find(ptr_or_null);
        if (block) {
            base = block->base;
            bytes = bytes ? bytes : block->bytes;
        }
        lock_release(&host_blocks.lock);
        if (!block)
            return -ENOENT;
    }
    return (long)host_evict_ask(base, bytes);
}

bool host_block_away(void)
{
    return host_blocks.away_bytes != 0;
}
