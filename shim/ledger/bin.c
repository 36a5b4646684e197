/* SPDX-License-Identifier: Apache-2.0 */
/* bin.c - see bin.h. */
#include "ledger/bin.h"

#include <errno.h>
#include <string.h>

#include "ledger/bin_memory.h"
#include "ledger/state.h"

enum {
    LOOKED_AT_MOST = 16 /* mixed bins of which not each has room enough */
};

void bins_init(void)
{
    for (unsigned i = 0; i < DEVICE_MAX; i++)
        lock_init(&core.devices[i].bins.lock, LOCK_BINS);
}

static struct bin *bin_at(uint32_t first)
{
    return &core.blocks.bin[first];
}

/* Under the lock of `bins`: is there a bin, and one that this lock guards? Whose it is was looked up before that was taken. */
static bool is_open(const struct bin *bin, const struct bins *bins)
{
    return bin->cell && bins == &core.devices[bin->ordinal].bins;
}

static unsigned ordinal_of(uint32_t first)
{
    return core.blocks.block[first].ordinal;
}

/* ---- the lists of those that have room; under the lock ------------------------------------------------------------ */

static unsigned list_of(const struct bin *bin)
{
    return bin->units ? home_mixed_list(bin->free) : bin->class;
}

static void list_take_out(struct bin *bin)
{
    struct home_list *list = &bin->home->list[bin->list];

    *(bin->previous ? &bin_at(bin->previous - 1)->next : &list->first) = bin->next;
    *(bin->next ? &bin_at(bin->next - 1)->previous : &list->last) = bin->previous;
    bin->next = bin->previous = 0;
    bin->is_listed = false;
    home_mixed_note(bin->home, bin->list);
}

/* What is in place is taken from before what is away: whoever takes a cell is about to use it. */
static void list_put_in(uint32_t first)
{
    struct bin *bin = bin_at(first);
    struct home_list *list;
    bool to_end = owner_at(&core.blocks, first) & OWNER_AWAY;

    bin->list = (uint8_t)list_of(bin);
    list = &bin->home->list[bin->list];
    bin->previous = to_end ? list->last : 0;
    bin->next = to_end ? 0 : list->first;
    *(bin->previous ? &bin_at(bin->previous - 1)->next : &list->first) = first + 1;
    *(bin->next ? &bin_at(bin->next - 1)->previous : &list->last) = first + 1;
    bin->is_listed = true;
    home_mixed_note(bin->home, bin->list);
}

/* A mixed bin has `free` units where there is most room, or fewer: it goes to the list of those. */
static void mixed_relist(uint32_t first, uint32_t free)
{
    struct bin *bin = bin_at(first);

    bin->free = (uint16_t)free;
    if (bin->is_listed && free && list_of(bin) == bin->list)
        return;
    if (bin->is_listed)
        list_take_out(bin);
    if (free)
        list_put_in(first);
}

/* ---- cells; under the lock ---------------------------------------------------------------------------------------- */

static uint32_t cell_stride(const struct bin *bin)
{
    return bin->units ? CELL_UNIT_BYTES : cells_bytes(bin->class);
}

static uint32_t units_of(uint64_t bytes)
{
    return (uint32_t)((bytes + CELL_UNIT_BYTES - 1) / CELL_UNIT_BYTES);
}

/* Index of the cell that an address may lie in. False: in none. */
static bool cell_index(uint32_t first, uint64_t address, uint32_t *out)
{
    const struct bin *bin = bin_at(first);
    uint32_t index = (uint32_t)((address - granule_address(&core.blocks, first)) / cell_stride(bin));

    *out = bin->units ? units_begin(bin->units, index) : index;
    return *out < bin->fresh;
}

static uint64_t cell_address(uint32_t first, uint32_t index)
{
    return granule_address(&core.blocks, first) + (uint64_t)index * cell_stride(bin_at(first));
}

/* The first cell from an index on that has a record; all have but free ones of a mixed bin. `fresh`: none has. */
static uint32_t cell_next(const struct bin *bin, uint32_t index)
{
    return bin->units ? units_next(bin->units, index) : index;
}

#define cells_each(index, bin)                                                                               \
    for (uint32_t index = cell_next(bin, 0); index < (bin)->fresh; index = cell_next(bin, index + 1))

/* The taken cell that an address lies in, or NULL. */
static struct cell *cell_taken(const struct bins *bins, uint32_t first, uint64_t address, uint32_t *out_index)
{
    struct cell *cell;

    if (!is_open(bin_at(first), bins) || !cell_index(first, address, out_index))
        return NULL;
    cell = &bin_at(first)->cell[*out_index];
    return cell->state == CELL_TAKEN && address - cell_address(first, *out_index) < cell->bytes ? cell : NULL;
}

/* The dead cell that begins at an address and has this id, or NULL. */
static struct cell *cell_dead(const struct bins *bins, uint32_t first, uint64_t address, uint64_t id)
{
    struct cell *cell;
    uint32_t index;

    if (!is_open(bin_at(first), bins) || !cell_index(first, address, &index))
        return NULL;
    cell = &bin_at(first)->cell[index];
    return cell->state == CELL_DEAD && cell->id == id ? cell : NULL;
}

/* ---- taken ---------------------------------------------------------------------------------------------------------- */

/* A bin's cell is taken from now on. */
static void cell_fill(uint32_t first, uint32_t index, const struct wanted *wanted, uint64_t *out_address)
{
    struct bin *bin = bin_at(first);

    bin->used++;
    bin->taken++;
    bin->cell[index] = (struct cell){.id = atomic_fetch_add(&core.blocks.last_id, 1) + 1,
                                     .call_site = wanted->call_site,
                                     .bytes = (uint32_t)wanted->bytes,
                                     .state = CELL_TAKEN};
    *out_address = cell_address(first, index);
}

static bool is_full(const struct bin *bin)
{
    return !bin->free && (bin->units || bin->fresh == bin->cells);
}

/* Of a bin of the class that has room. */
static void take_of_cells(uint32_t first, const struct wanted *wanted, uint64_t *out_address)
{
    struct bin *bin = bin_at(first);
    uint32_t index = bin->free ? bin->free - 1u : bin->fresh++;

    if (bin->free)
        bin->free = bin->cell[index].next;
    if (is_full(bin))
        list_take_out(bin);
    cell_fill(first, index, wanted, out_address);
}

/* Of a mixed bin, from a unit on that begins a hole which is large enough. */
static void take_of_hole(uint32_t first, uint32_t index, const struct wanted *wanted, uint64_t *out_address)
{
    struct bin *bin = bin_at(first);
    uint32_t units = units_of(wanted->bytes);

    units_take(bin->units, index, units);
    bin->home->mixed_units[cells_class(wanted->bytes)] += units;
    cell_fill(first, index, wanted, out_address);
}

/* False: no hole of the mixed bin is large enough, which is remembered. */
static bool take_of_bin(uint32_t first, const struct wanted *wanted, uint64_t *out_address)
{
    uint32_t largest, index = units_find(bin_at(first)->units, units_of(wanted->bytes), &largest);

    if (index == CELL_GRANULE_UNITS) {
        mixed_relist(first, largest);
        return false;
    }
    take_of_hole(first, index, wanted, out_address);
    return true;
}

/* A hole of about the size before a larger one: what was freed is taken again by what is as large. */
static bool take_of_mixed(struct home *home, const struct wanted *wanted, uint64_t *out_address)
{
    unsigned list = HOME_MIXED + cells_class(wanted->bytes);
    uint32_t at = list > HOME_MIXED ? home->list[list - 1].first : 0;

    for (unsigned i = 0; at && i < LOOKED_AT_MOST; i++) {
        uint32_t first = at - 1;

        at = bin_at(first)->next;
        if (bin_at(first)->free >= units_of(wanted->bytes) && take_of_bin(first, wanted, out_address))
            return true;
    }
    while ((list = home_mixed_next(home, list)) < HOME_LISTS)
        if (take_of_bin(home->list[list].first - 1, wanted, out_address))
            return true;
    return false;
}

static bool take_of_home(struct home *home, const struct wanted *wanted, uint64_t *out_address)
{
    uint32_t at = home->list[cells_class(wanted->bytes)].first;

    if (!at)
        return take_of_mixed(home, wanted, out_address);
    take_of_cells(at - 1, wanted, out_address);
    return true;
}

static void count(struct bins *bins, const struct wanted *wanted)
{
    struct bin_tally *tally = &bins->tally[wanted->group != 0];

    tally->total++;
    if (++tally->count > tally->peak_count)
        tally->peak_count = tally->count;
    bins->allocations++;
    bins->asked_bytes += wanted->bytes;
}

/* The program has it no more. */
static void discount(struct bins *bins, const struct bin *bin, const struct cell *cell)
{
    bins->tally[bin->home->group != 0].count--;
    bins->allocations--;
    bins->asked_bytes -= cell->bytes;
}

bool bin_take(const struct wanted *wanted, uint64_t *out_address)
{
    struct bins *bins = bins_lock(wanted->ordinal);
    struct home *home = home_find(&bins->homes, wanted);
    bool taken = home && take_of_home(home, wanted, out_address);

    if (taken)
        count(bins, wanted);
    lock_release(&bins->lock);
    return taken;
}

/* ---- bins come and go --------------------------------------------------------------------------------------------- */

void bin_home_leave(unsigned ordinal, uint64_t context)
{
    struct home *home;

    do {
        struct bins *bins = bins_lock(ordinal);

        home = home_remove(&bins->homes, context);
        lock_release(&bins->lock);
        home_destroy(home);
    } while (home);
}

static void bin_begin(uint32_t first, const struct wanted *wanted, const struct bin_plan *plan,
                      struct home *home)
{
    const struct block *block = &core.blocks.block[first];
    struct bin *bin = bin_at(first);

    bin_memory_lay(plan, bin);
    bin->block_id = block->id;
    bin->home = home;
    bin->granules = (uint8_t)block->granules;
    bin->ordinal = wanted->ordinal;
    home->bins++;
    list_put_in(first);
}

bool bin_open(uint32_t first, const struct wanted *wanted, const struct bin_plan *plan, uint64_t *out_address)
{
    struct bins *bins = bins_lock(wanted->ordinal);
    struct home *home = home_find(&bins->homes, wanted);

    if (home) {
        bin_begin(first, wanted, plan, home);
        bins->held_bytes += plan->granules * GRANULE_BYTES;
        if (plan->class == BIN_MIXED)
            take_of_hole(first, 0, wanted, out_address);
        else
            take_of_cells(first, wanted, out_address);
        count(bins, wanted);
    }
    lock_release(&bins->lock);
    return home;
}

/* Under the lock: what the program still had goes with the bin. */
static void forget_cells(struct bins *bins, const struct bin *bin)
{
    cells_each(i, bin)
    {
        const struct cell *cell = &bin->cell[i];

        if (bin->units)
            bin->home->mixed_units[cells_class(cell->bytes)] -= units_of(cell->bytes);
        if (cell->state == CELL_TAKEN)
            discount(bins, bin, cell);
    }
}

/* Under the lock. */
static void close_locked(struct bins *bins, uint32_t first, struct bin_closed *out)
{
    struct bin *bin = bin_at(first);

    forget_cells(bins, bin);
    *out = (struct bin_closed){.first = first,
                               .block_id = bin->block_id,
                               .memory_bytes = bin_memory_bytes(bin->class),
                               .deferred = bin->deferred,
                               .granules = bin->granules};
    if (bin->is_listed)
        list_take_out(bin);
    bin->home->bins--;
    bins->ordered -= bin->ordered;
    bins->held_bytes -= bin->granules * GRANULE_BYTES;
    if (!bin_memory_keep(bins, bin->class, bin_memory(bin)))
        out->memory = bin_memory(bin);
    bin->cell = NULL;
}

static bool close_if(uint32_t first, bool only_deferred, struct bin_closed *out)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    const struct bin *bin = bin_at(first);
    bool closes = is_open(bin, bins) && (!only_deferred || (bin->deferred && bin->deferred == bin->used));

    if (closes)
        close_locked(bins, first, out);
    lock_release(&bins->lock);
    return closes;
}

bool bin_close(uint32_t first, struct bin_closed *out)
{
    return close_if(first, false, out);
}

bool bin_close_deferred(uint32_t first, struct bin_closed *out)
{
    return close_if(first, true, out);
}

/* Others may go on reaching the memory of a cell that has been let in to by such a pin, whatever the program does. */
static bool outlives_cell(enum pin_reason reason)
{
    return reason == PIN_EXPORTED || reason == PIN_REGISTERED;
}

/* ---- looked up, buried, returned ------------------------------------------------------------------------------------ */

bool bin_find(uint32_t first, uint64_t address, uint64_t *out_base, struct cell *out)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    uint32_t index;
    const struct cell *cell = cell_taken(bins, first, address, &index);

    if (cell) {
        *out = *cell;
        *out_base = cell_address(first, index);
    }
    lock_release(&bins->lock);
    return cell;
}

/* Under the lock: a dead cell begins, or ceases, to wait for a stream. */
static void order(struct bins *bins, struct bin *bin, struct cell *cell, bool is_ordered)
{
    if (!(cell->flags & CELL_ORDERED) == !is_ordered)
        return;
    cell->flags ^= CELL_ORDERED;
    bin->ordered += is_ordered ? 1 : -1;
    bins->ordered += is_ordered ? 1 : -1;
}

bool bin_bury(uint32_t first, uint64_t address, bool is_ordered, struct bin_buried *out)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    uint32_t index;
    struct cell *cell = cell_taken(bins, first, address, &index);

    if (cell && cell_address(first, index) != address)
        cell = NULL;
    if (cell) {
        *out = (struct bin_buried){.id = cell->id, .block_id = bin_at(first)->block_id};
        if (cell->flags & CELL_PINNED)
            memcpy(out->pins, bin_at(first)->pins[index], sizeof(out->pins));
        for (enum pin_reason reason = 0; reason < PIN_REASON_COUNT; reason++)
            out->pins[reason] = outlives_cell(reason) ? 0 : out->pins[reason];
        cell->flags &= (uint8_t)~CELL_PINNED;
        cell->state = CELL_DEAD;
        order(bins, bin_at(first), cell, is_ordered);
        bin_at(first)->taken--;
        discount(bins, bin_at(first), cell);
    }
    lock_release(&bins->lock);
    return cell;
}

bool bin_unorder(uint32_t first, uint64_t address, uint64_t id)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    struct cell *cell = cell_dead(bins, first, address, id);
    bool was_ordered = cell && cell->flags & CELL_ORDERED;

    if (was_ordered)
        order(bins, bin_at(first), cell, false);
    lock_release(&bins->lock);
    return was_ordered;
}

bool bin_retake(uint32_t first, uint64_t address, uint64_t id, const struct wanted *wanted)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    struct cell *cell = cell_dead(bins, first, address, id);
    bool fits = cell && (cell->flags & (CELL_ORDERED | CELL_EXPORTED)) == CELL_ORDERED &&
                units_of(cell->bytes) == units_of(wanted->bytes) &&
                bin_at(first)->home == home_find(&bins->homes, wanted);

    if (fits) {
        order(bins, bin_at(first), cell, false);
        bin_at(first)->used--; /* which it counts as all the time */
        cell_fill(first, (uint32_t)(cell - bin_at(first)->cell), wanted, &address);
        count(bins, wanted);
    }
    lock_release(&bins->lock);
    return fits;
}

/* Under the lock: nobody has the cell any more. */
static void cell_give(uint32_t first, struct cell *cell)
{
    struct bin *bin = bin_at(first);
    uint32_t index = (uint32_t)(cell - bin->cell), units = units_of(cell->bytes), hole;

    cell->state = cell->flags & CELL_EXPORTED ? CELL_LEFT : CELL_FREE;
    bin->used--;
    if (cell->state == CELL_LEFT)
        return;
    if (bin->units) {
        units_give(bin->units, index, units);
        bin->home->mixed_units[cells_class(cell->bytes)] -= units;
        hole = units_hole(bin->units, index);
        mixed_relist(first, hole > bin->free ? hole : bin->free);
        return;
    }
    cell->next = bin->free;
    bin->free = (uint16_t)(index + 1);
    if (!bin->is_listed)
        list_put_in(first);
}

bool bin_return(uint32_t first, uint64_t address, uint64_t id, struct bin_closed *out)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    struct cell *cell = cell_dead(bins, first, address, id);
    bool is_last = cell && bin_at(first)->used == 1;

    if (is_last)
        close_locked(bins, first, out);
    else if (cell)
        cell_give(first, cell);
    lock_release(&bins->lock);
    return is_last;
}

/* Under the lock. */
static void defer(struct bin *bin, struct cell *cell)
{
    cell->flags |= CELL_DEFERRED;
    cell->next = bin->deferred_first;
    bin->deferred_first = (uint16_t)(cell - bin->cell + 1);
    bin->deferred++;
}

bool bin_defer(uint32_t first, uint64_t address, uint64_t id)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    struct cell *cell = cell_dead(bins, first, address, id);

    if (cell)
        defer(bin_at(first), cell);
    lock_release(&bins->lock);
    return cell;
}

uint32_t bin_defer_ordered(uint32_t first)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    struct bin *bin = bin_at(first);
    uint32_t deferred = is_open(bin, bins) ? bin->ordered : 0;

    if (deferred)
        cells_each(i, bin)
        {
            if (bin->cell[i].flags & CELL_ORDERED) {
                order(bins, bin, &bin->cell[i], false);
                defer(bin, &bin->cell[i]);
            }
        }
    lock_release(&bins->lock);
    return deferred;
}

bool bin_waits(uint32_t first)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    bool any = is_open(bin_at(first), bins) && bin_at(first)->deferred;

    lock_release(&bins->lock);
    return any;
}

bool bin_undefer(uint32_t first, uint64_t *out_address, uint64_t *out_id)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    struct bin *bin = bin_at(first);
    bool any = is_open(bin, bins) && bin->deferred;

    if (any) {
        struct cell *cell = &bin->cell[bin->deferred_first - 1];

        *out_address = cell_address(first, bin->deferred_first - 1u);
        *out_id = cell->id;
        cell->flags &= (uint8_t)~CELL_DEFERRED;
        bin->deferred_first = cell->next;
        bin->deferred--;
    }
    lock_release(&bins->lock);
    return any;
}

/* ---- pins ----------------------------------------------------------------------------------------------------------- */

bool bin_pin(uint32_t first, uint64_t address, enum pin_reason reason)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    uint32_t index;
    struct cell *cell = cell_taken(bins, first, address, &index);
    uint16_t *pins = cell ? bin_at(first)->pins[index] : NULL;

    if (cell && !(cell->flags & CELL_PINNED))
        memset(pins, 0, sizeof(uint16_t[PIN_REASON_COUNT]));
    if (cell) {
        cell->flags |= CELL_PINNED | (outlives_cell(reason) ? CELL_EXPORTED : 0);
        pins[reason] += pins[reason] < UINT16_MAX;
    }
    lock_release(&bins->lock);
    return cell;
}

bool bin_unpin(uint32_t first, uint64_t address, enum pin_reason reason)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    uint32_t index;
    const struct cell *cell = cell_taken(bins, first, address, &index);
    uint16_t *pins = cell && cell->flags & CELL_PINNED ? &bin_at(first)->pins[index][reason] : NULL;
    bool had = pins && *pins && *pins < UINT16_MAX; /* a count that is full has lost its number */

    if (had)
        --*pins;
    lock_release(&bins->lock);
    return had;
}

/* ---- told ----------------------------------------------------------------------------------------------------------- */

uint32_t bin_taken(uint32_t first)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    uint32_t taken = is_open(bin_at(first), bins) ? bin_at(first)->taken : 0;

    lock_release(&bins->lock);
    return taken;
}

void bin_visit(uint32_t first, void (*visit)(const struct cell *cell, void *arg), void *arg)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    const struct bin *bin = bin_at(first);

    if (is_open(bin, bins)) {
        cells_each(i, bin)
        {
            if (bin->cell[i].state == CELL_TAKEN)
                visit(&bin->cell[i], arg);
        }
    }
    lock_release(&bins->lock);
}

struct bins bins_figures(unsigned ordinal)
{
    struct bins *bins = bins_lock(ordinal), figures;

    figures = (struct bins){.tally = {bins->tally[0], bins->tally[1]},
                            .allocations = bins->allocations,
                            .asked_bytes = bins->asked_bytes,
                            .held_bytes = bins->held_bytes};
    lock_release(&bins->lock);
    return figures;
}

/* Do the free cells of its list, or the taken units and the largest hole of a mixed bin, agree with `free` cells and those that
 * there are? */
static bool room_holds(const struct bin *bin, uint32_t free)
{
    uint32_t count = 0, largest = 0;

    if (!bin->units) {
        for (uint32_t at = bin->free; at && count <= free; at = bin->cell[at - 1].next)
            count++;
        return count == free;
    }
    cells_each(i, bin) count += units_of(bin->cell[i].bytes);
    for (unsigned i = 0; i < CELL_GRANULE_UNITS / 64; i++)
        count -= (uint32_t)__builtin_popcountll(bin->units->taken[i]);
    units_find(bin->units, CELL_GRANULE_UNITS + 1, &largest);
    return !count && !free && bin->free >= largest;
}

bool bin_holds(uint32_t first)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    const struct bin *bin = bin_at(first);
    uint32_t count[CELL_LEFT + 1] = {0}, deferred = 0, ordered = 0;
    bool holds = true;

    if (is_open(bin, bins)) {
        cells_each(i, bin)
        {
            count[bin->cell[i].state]++;
            deferred += (bin->cell[i].flags & CELL_DEFERRED) != 0;
            ordered += (bin->cell[i].flags & CELL_ORDERED) != 0;
        }
        holds = bin->used == count[CELL_TAKEN] + count[CELL_DEAD] && bin->taken == count[CELL_TAKEN] &&
                bin->deferred == deferred && bin->ordered == ordered && room_holds(bin, count[CELL_FREE]) &&
                bin->fresh <= bin->cells && bin->is_listed != is_full(bin) &&
                (!bin->is_listed || bin->list == list_of(bin)) &&
                bin->granules == core.blocks.block[first].granules;
    }
    lock_release(&bins->lock);
    return holds;
}
