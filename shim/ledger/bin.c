/* SPDX-License-Identifier: Apache-2.0 */
/* bin.c - see bin.h. */
#include "ledger/bin.h"

#include <string.h>

#include "base/pages.h"
#include "ledger/state.h"

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

static struct bins *bins_lock(unsigned ordinal)
{
    struct bins *bins = &core.devices[ordinal].bins;

    lock_acquire(&bins->lock);
    return bins;
}

/* ---- the list of those that have a free cell; under the lock ------------------------------------------------------ */

static void list_take_out(struct bins *bins, struct bin *bin)
{
    struct bin_class *class = &bins->class[bin->class];

    *(bin->previous ? &bin_at(bin->previous - 1)->next : &class->first) = bin->next;
    *(bin->next ? &bin_at(bin->next - 1)->previous : &class->last) = bin->previous;
    bin->next = bin->previous = 0;
    bin->is_listed = false;
}

/* What is in place is taken from before what is away: whoever takes a cell is about to use it. */
static void list_put_in(struct bins *bins, uint32_t first)
{
    struct bin *bin = bin_at(first);
    struct bin_class *class = &bins->class[bin->class];
    bool to_end = owner_at(&core.blocks, first) & OWNER_AWAY;

    bin->previous = to_end ? class->last : 0;
    bin->next = to_end ? 0 : class->first;
    *(bin->previous ? &bin_at(bin->previous - 1)->next : &class->first) = first + 1;
    *(bin->next ? &bin_at(bin->next - 1)->previous : &class->last) = first + 1;
    bin->is_listed = true;
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

/* A cell of a mixed bin. False: no hole is large enough. */
static bool mixed_pop(struct bins *bins, struct bin *bin, const struct cell_wish *wish, uint32_t *out_index)
{
    uint32_t units = units_of(wish->bytes), index;

    if (units > bin->free)
        return false;
    index = units_find(bin->units, units);
    if (index == CELL_GRANULE_UNITS) {
        bin->free = (uint16_t)(units - 1);
        return false;
    }
    units_take(bin->units, index, units);
    bins->class[cells_class(wish->bytes)].mixed_units += units;
    *out_index = index;
    return true;
}

static bool cell_pop(struct bins *bins, struct bin *bin, const struct cell_wish *wish, uint32_t *out_index)
{
    if (bin->units)
        return mixed_pop(bins, bin, wish, out_index);
    *out_index = bin->free ? bin->free - 1u : bin->fresh;
    if (bin->free)
        bin->free = bin->cell[*out_index].next;
    else
        bin->fresh++;
    return true;
}

static bool is_full(const struct bin *bin)
{
    return !bin->free && (bin->units || bin->fresh == bin->cells);
}

/* Take a cell of a bin of some class. */
static bool take_of(struct bins *bins, unsigned class, const struct cell_wish *wish, uint64_t *out_address)
{
    for (uint32_t at = bins->class[class].first, next; at; at = next) {
        struct bin *bin = bin_at(at - 1);
        bool is_ours = bin->context == wish->context && bin->is_fixed == wish->is_fixed, taken;
        uint32_t index;

        next = bin->next;
        taken = is_ours && cell_pop(bins, bin, wish, &index);
        if (is_full(bin))
            list_take_out(bins, bin);
        if (!taken)
            continue;
        bin->used++;
        bin->cell[index] = (struct cell){.id = atomic_fetch_add(&core.blocks.last_id, 1) + 1,
                                         .call_site = wish->call_site,
                                         .bytes = (uint32_t)wish->bytes,
                                         .state = CELL_TAKEN};
        *out_address = cell_address(at - 1, index);
        return true;
    }
    return false;
}

bool bin_take(const struct cell_wish *wish, uint64_t *out_address)
{
    struct bins *bins = bins_lock(wish->ordinal);
    bool taken = take_of(bins, cells_class(wish->bytes), wish, out_address) ||
                 take_of(bins, BIN_MIXED, wish, out_address);

    if (taken) {
        bins->allocations++;
        bins->asked_bytes += wish->bytes;
    }
    lock_release(&bins->lock);
    return taken;
}

/* ---- bins come and go --------------------------------------------------------------------------------------------- */

unsigned bin_class_for(const struct cell_wish *wish)
{
    unsigned class = cells_class(wish->bytes);
    struct bins *bins = bins_lock(wish->ordinal);
    uint32_t units = bins->class[class].mixed_units;

    lock_release(&bins->lock);
    return units < cells_granules(class) * CELL_GRANULE_UNITS ? BIN_MIXED : class;
}

uint32_t bin_granules(unsigned class)
{
    return class == BIN_MIXED ? 1 : cells_granules(class);
}

static uint32_t cells_of(unsigned class)
{
    return class == BIN_MIXED ? CELL_GRANULE_UNITS : cells_count(class);
}

/* The units of a mixed bin, the cells, their pins. */
static uint64_t memory_bytes(unsigned class)
{
    return (class == BIN_MIXED ? sizeof(struct units) : 0) +
           cells_of(class) * (sizeof(struct cell) + sizeof(uint16_t[PIN_REASON_COUNT]));
}

/* Under the lock: keep the memory for the next bin. False: it has to be given back. */
static bool memory_keep(struct bin_class *class, void *memory)
{
    bool kept = !class->spare;

    if (kept)
        class->spare = memory;
    return kept;
}

void *bin_memory_take(unsigned ordinal, unsigned class)
{
    struct bins *bins = bins_lock(ordinal);
    void *memory = bins->class[class].spare;

    bins->class[class].spare = NULL;
    lock_release(&bins->lock);
    return memory ? memory : pages_take(memory_bytes(class));
}

void bin_memory_give(unsigned ordinal, unsigned class, void *memory)
{
    struct bins *bins = bins_lock(ordinal);
    bool kept = memory_keep(&bins->class[class], memory);

    lock_release(&bins->lock);
    if (!kept)
        pages_give(memory, memory_bytes(class));
}

/* The first of its memory. */
static void *memory_of(const struct bin *bin)
{
    return bin->units ? (void *)bin->units : (void *)bin->cell;
}

void bin_open(uint32_t first, const struct cell_wish *wish, unsigned class, void *memory)
{
    const struct block *block = &core.blocks.block[first];
    bool is_mixed = class == BIN_MIXED;
    struct cell *cell = is_mixed ? (void *)((struct units *)memory + 1) : memory;
    uint16_t count = (uint16_t)cells_of(class);
    struct bins *bins = bins_lock(wish->ordinal);

    *bin_at(first) = (struct bin){.cell = cell,
                                  .pins = (void *)(cell + count),
                                  .units = is_mixed ? memory : NULL,
                                  .block_id = block->id,
                                  .context = wish->context,
                                  .cells = count,
                                  .fresh = is_mixed ? count : 0,
                                  .free = is_mixed ? count : 0,
                                  .class = (uint8_t) class,
                                  .granules = (uint8_t)block->granules,
                                  .ordinal = wish->ordinal,
                                  .is_fixed = wish->is_fixed};
    if (is_mixed)
        *bin_at(first)->units = (struct units){0};
    bins->held_bytes += block->granules * GRANULE_BYTES;
    list_put_in(bins, first);
    lock_release(&bins->lock);
}

/* Under the lock: what the program still had goes with the bin. */
static void forget_cells(struct bins *bins, const struct bin *bin)
{
    cells_each(i, bin)
    {
        const struct cell *cell = &bin->cell[i];

        if (bin->units)
            bins->class[cells_class(cell->bytes)].mixed_units -= units_of(cell->bytes);
        if (cell->state == CELL_TAKEN) {
            bins->allocations--;
            bins->asked_bytes -= cell->bytes;
        }
    }
}

/* Under the lock. */
static void close_locked(struct bins *bins, uint32_t first, struct bin_closed *out)
{
    struct bin *bin = bin_at(first);

    forget_cells(bins, bin);
    *out = (struct bin_closed){.first = first,
                               .block_id = bin->block_id,
                               .memory_bytes = memory_bytes(bin->class),
                               .deferred = bin->deferred};
    if (bin->is_listed)
        list_take_out(bins, bin);
    bins->held_bytes -= bin->granules * GRANULE_BYTES;
    if (!memory_keep(&bins->class[bin->class], memory_of(bin)))
        out->memory = memory_of(bin);
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

void bin_dispose(const struct bin_closed *closed)
{
    pages_give(closed->memory, closed->memory_bytes);
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

bool bin_bury(uint32_t first, uint64_t address, struct bin_buried *out)
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
        bins->allocations--;
        bins->asked_bytes -= cell->bytes;
    }
    lock_release(&bins->lock);
    return cell;
}

/* Under the lock: nobody has the cell any more. */
static void cell_give(struct bins *bins, uint32_t first, struct cell *cell)
{
    struct bin *bin = bin_at(first);
    uint32_t index = (uint32_t)(cell - bin->cell), units = units_of(cell->bytes);

    cell->state = cell->flags & CELL_EXPORTED ? CELL_LEFT : CELL_FREE;
    bin->used--;
    if (cell->state == CELL_LEFT)
        return;
    if (bin->units) {
        units_give(bin->units, index, units);
        bins->class[cells_class(cell->bytes)].mixed_units -= units;
        bin->free = CELL_GRANULE_UNITS;
    } else {
        cell->next = bin->free;
        bin->free = (uint16_t)(index + 1);
    }
    if (!bin->is_listed)
        list_put_in(bins, first);
}

bool bin_return(uint32_t first, uint64_t address, uint64_t id, struct bin_closed *out)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    struct cell *cell = cell_dead(bins, first, address, id);
    bool is_last = false;

    if (cell) {
        cell_give(bins, first, cell);
        is_last = !bin_at(first)->used;
    }
    if (is_last)
        close_locked(bins, first, out);
    lock_release(&bins->lock);
    return is_last;
}

bool bin_defer(uint32_t first, uint64_t address, uint64_t id)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    struct cell *cell = cell_dead(bins, first, address, id);

    if (cell) {
        cell->flags |= CELL_DEFERRED;
        bin_at(first)->deferred++;
    }
    lock_release(&bins->lock);
    return cell;
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

    if (any)
        cells_each(i, bin) if (bin->cell[i].flags & CELL_DEFERRED)
        {
            bin->cell[i].flags &= (uint8_t)~CELL_DEFERRED;
            bin->deferred--;
            *out_address = cell_address(first, i);
            *out_id = bin->cell[i].id;
            break;
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

struct bins bins_figures(unsigned ordinal)
{
    struct bins *bins = bins_lock(ordinal), figures;

    figures = (struct bins){
        .allocations = bins->allocations, .asked_bytes = bins->asked_bytes, .held_bytes = bins->held_bytes};
    lock_release(&bins->lock);
    return figures;
}

/* Do the free cells of its list, or the taken units of a mixed bin, agree with `free` cells and those there are? */
static bool room_holds(const struct bin *bin, uint32_t free)
{
    uint32_t count = 0;

    if (!bin->units) {
        for (uint32_t at = bin->free; at && count <= free; at = bin->cell[at - 1].next)
            count++;
        return count == free;
    }
    cells_each(i, bin) count += units_of(bin->cell[i].bytes);
    for (unsigned i = 0; i < CELL_GRANULE_UNITS / 64; i++)
        count -= (uint32_t)__builtin_popcountll(bin->units->taken[i]);
    return !count && !free;
}

bool bin_holds(uint32_t first)
{
    struct bins *bins = bins_lock(ordinal_of(first));
    const struct bin *bin = bin_at(first);
    uint32_t count[CELL_LEFT + 1] = {0}, deferred = 0;
    bool holds = true;

    if (is_open(bin, bins)) {
        cells_each(i, bin)
        {
            count[bin->cell[i].state]++;
            deferred += (bin->cell[i].flags & CELL_DEFERRED) != 0;
        }
        holds = bin->used == count[CELL_TAKEN] + count[CELL_DEAD] && bin->deferred == deferred &&
                room_holds(bin, count[CELL_FREE]) && bin->fresh <= bin->cells &&
                bin->is_listed != is_full(bin) && bin->granules == core.blocks.block[first].granules;
    }
    lock_release(&bins->lock);
    return holds;
}
