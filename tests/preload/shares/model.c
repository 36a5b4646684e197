/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - see model.h. */
#include "model.h"

#include <errno.h>
#include <stddef.h>

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Seven tenths, the maximum of either share. */
static uint64_t most(const struct model *model)
{
    return model->capacity_bytes / 10 * 7 + model->capacity_bytes % 10 * 7 / 10;
}

static unsigned pieces(const struct model *model, const struct model_block *block)
{
    return (unsigned)((block->bytes + model->piece_bytes - 1) / model->piece_bytes);
}

static uint64_t piece(const struct model *model, const struct model_block *block, unsigned i)
{
    return least(model->piece_bytes, block->bytes - i * model->piece_bytes);
}

static uint64_t all(const struct model *model, const struct model_block *block)
{
    return (UINT64_C(1) << pieces(model, block)) - 1;
}

uint64_t model_here(const struct model *model, const struct model_block *block)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < pieces(model, block); i++)
        bytes += block->here >> i & 1 ? piece(model, block, i) : 0;
    return bytes;
}

static bool is_operation(const struct model_block *block)
{
    return block->is_alive && (block->pins || block->drawn_from != MODEL_NONE);
}

static bool is_buffer(const struct model_block *block)
{
    return block->is_alive && block->is_registered && !is_operation(block);
}

uint64_t model_operations(const struct model *model)
{
    uint64_t bytes = 0;

    for (int i = 0; i < MODEL_BLOCKS; i++)
        bytes += is_operation(&model->block[i]) ? model->block[i].bytes : 0;
    for (int i = 0; i < MODEL_RESERVATIONS; i++)
        bytes += model->reservation[i].is_alive ? model->reservation[i].bytes : 0;
    return bytes;
}

uint64_t model_buffers(const struct model *model)
{
    uint64_t bytes = 0;

    for (int i = 0; i < MODEL_BLOCKS; i++)
        bytes += is_buffer(&model->block[i]) ? model_here(model, &model->block[i]) : 0;
    return bytes;
}

/* Operations that could not come to the device as a whole use what is there of them. */
uint64_t model_used(const struct model *model)
{
    uint64_t bytes = 0;

    for (int i = 0; i < MODEL_BLOCKS; i++)
        bytes += model->block[i].is_alive ? model_here(model, &model->block[i]) : 0;
    for (int i = 0; i < MODEL_RESERVATIONS; i++)
        bytes += model->reservation[i].is_alive ? model->reservation[i].bytes : 0;
    return bytes;
}

/* ---- who leaves ------------------------------------------------------------------------------------------- */

static struct model_block *next_to_leave(struct model *model, const struct model_block *but,
                                         bool only_registered)
{
    struct model_block *next = NULL;

    for (int i = 0; i < MODEL_BLOCKS; i++) {
        struct model_block *one = &model->block[i];

        if (!one->is_alive || is_operation(one) || !one->here || one == but ||
            (only_registered && !one->is_registered))
            continue;
        if (!next || next->is_registered > one->is_registered ||
            (next->is_registered == one->is_registered && one->use < next->use))
            next = one;
    }
    return next;
}

/* A block is counted when it leaves, not when more of it follows; what has an equal copy is not saved again. */
static uint64_t leave(struct model *model, struct model_block *block, uint64_t bytes)
{
    bool was_whole = block->here == all(model, block), is_saved = block->here & ~block->copied;
    uint64_t left = 0;

    model->evictions += was_whole;
    model->saves += was_whole && is_saved;
    block->saves += was_whole && is_saved && block->is_registered;
    for (unsigned i = 0; i < pieces(model, block); i++) {
        uint64_t bit = UINT64_C(1) << i;

        if (!(block->here & bit) || (!block->is_registered && left >= bytes))
            continue;
        left += piece(model, block, i);
        block->here &= ~bit;
        block->copied &= ~bit;
        block->mapped |= block->is_registered ? 0 : bit;
    }
    return left;
}

static uint64_t make_leave(struct model *model, uint64_t bytes, const struct model_block *but,
                           bool only_registered)
{
    struct model_block *next;
    uint64_t left = 0;

    while (left < bytes && (next = next_to_leave(model, but, only_registered)))
        left += leave(model, next, bytes - left);
    return left;
}

/* Room for `bytes` more within C. */
static void make_room(struct model *model, uint64_t bytes, const struct model_block *but)
{
    make_leave(model, above(model_used(model) + bytes, model->capacity_bytes), but, false);
}

/* After buffers may have grown: the newest of them stays. */
static void settle(struct model *model, const struct model_block *but)
{
    make_room(model, 0, but);
    make_leave(model, above(model_buffers(model), most(model)), but, true);
}

static bool is_unsettled(const struct model *model)
{
    return model_used(model) > model->capacity_bytes || model_buffers(model) > most(model);
}

/* ---- blocks ----------------------------------------------------------------------------------------------- */

static struct model_reservation *latest(struct model *model)
{
    struct model_reservation *latest = NULL;

    for (int i = 0; i < MODEL_RESERVATIONS; i++) {
        struct model_reservation *one = &model->reservation[i];

        if (one->is_alive && one->bytes && (!latest || one->number > latest->number))
            latest = one;
    }
    return latest;
}

/* What an allocation takes out of a reservation: nothing where operations must not grow by the rest of it. */
static uint64_t drawn(struct model *model, uint64_t bytes, struct model_reservation **out)
{
    *out = latest(model);
    if (!*out || model_weigh(model, above(bytes, (*out)->bytes)))
        return 0;
    return least(bytes, (*out)->bytes);
}

static bool has_drawn(const struct model *model, int reservation)
{
    for (int i = 0; i < MODEL_BLOCKS; i++)
        if (model->block[i].is_alive && model->block[i].drawn_from == reservation)
            return true;
    return false;
}

/* It is over when nothing is left of it and nothing drawn waits for it. */
static void end_if_empty(struct model *model, int reservation)
{
    struct model_reservation *one = &model->reservation[reservation];

    one->is_alive = one->is_alive && (one->bytes || has_drawn(model, reservation));
}

void model_begin(struct model *model, uint64_t capacity_bytes, uint64_t piece_bytes)
{
    *model = (struct model){.capacity_bytes = capacity_bytes, .piece_bytes = piece_bytes};
}

void model_set_capacity(struct model *model, uint64_t capacity_bytes)
{
    model->capacity_bytes = capacity_bytes;
}

void model_allocate(struct model *model, int index, uint64_t bytes)
{
    struct model_block *block = &model->block[index];
    struct model_reservation *from;
    uint64_t drawn_bytes = drawn(model, bytes, &from), rest_bytes = bytes - drawn_bytes;

    if (rest_bytes)
        make_room(model, rest_bytes, NULL);
    *block =
        (struct model_block){.is_alive = true, .bytes = bytes, .drawn_from = MODEL_NONE, .use = ++model->now};
    if (drawn_bytes) {
        from->bytes -= drawn_bytes;
        block->drawn_from = (int)(from - model->reservation);
    }
    /* Piece by piece, as far as there is room; what it draws is there even if C has been lowered meanwhile. */
    for (unsigned i = 0; i < pieces(model, block); i++) {
        uint64_t piece_bytes = piece(model, block, i), has_bytes = model_here(model, block);
        uint64_t room = above(model->capacity_bytes, model_used(model) + above(drawn_bytes, has_bytes));

        if (piece_bytes <= room + above(drawn_bytes, has_bytes))
            block->here |= UINT64_C(1) << i;
    }
    block->mapped = all(model, block) & ~block->here;
}

void model_free(struct model *model, int index)
{
    int from = model->block[index].drawn_from;

    model->block[index].is_alive = false;
    if (from != MODEL_NONE)
        end_if_empty(model, from);
}

int model_register(struct model *model, int index)
{
    struct model_block *block = &model->block[index];

    if (block->is_registered)
        return -EEXIST;
    block->is_registered = true;
    block->saves = 0;
    block->use = ++model->now;
    settle(model, block);
    return 0;
}

int model_unregister(struct model *model, int index)
{
    struct model_block *block = &model->block[index];

    if (!block->is_registered)
        return -ENOENT;
    if (block->pins)
        return -EBUSY;
    if (block->here !=
        all(model, block)) /* where the device reaches it; which others leave for that is open */
        model->is_over = true;
    block->is_registered = false;
    block->copied = 0;
    return 0;
}

/* May operations grow by `bytes`, of which `buffer_bytes` are here already, as a buffer? */
int model_weigh(const struct model *model, uint64_t bytes)
{
    return bytes && model_operations(model) + bytes > most(model) ? -ENOSPC : 0;
}

/* What is away comes back; what it came from stays as a copy. Others leave for it. */
static void bring(struct model *model, struct model_block *block)
{
    uint64_t away = all(model, block) & ~block->here;

    make_room(model, block->bytes - model_here(model, block), block);
    block->here |= away;
    block->copied |= away & ~block->mapped;
    block->mapped = 0;
}

int model_pin(struct model *model, int index, bool writes, bool waits)
{
    struct model_block *block = &model->block[index];
    bool is_away = block->here != all(model, block);

    if (!block->is_registered)
        return -ENOENT;
    if (is_away && !waits)
        return -EAGAIN;
    if (!is_operation(block) && model_weigh(model, block->bytes))
        return -ENOSPC;
    if (is_away) {
        block->pins++;
        bring(model, block);
        block->pins--;
    }
    block->pins++;
    if (writes)
        block->copied = 0;
    return 0;
}

int model_unpin(struct model *model, int index, bool wrote)
{
    struct model_block *block = &model->block[index];

    if (!block->is_registered)
        return -ENOENT;
    if (!block->pins)
        return -EINVAL;
    if (wrote)
        block->copied = 0;
    block->use = ++model->now;
    if (--block->pins || block->drawn_from != MODEL_NONE)
        return 0;
    if (is_unsettled(model)) {
        if (block->copied == all(model, block))
            leave(model, block, block->bytes);
        settle(model, block);
    }
    return 0;
}

int model_touch(struct model *model, int index)
{
    if (!model->block[index].is_registered)
        return -ENOENT;
    model->block[index].use = ++model->now;
    return 0;
}

int model_prefetch(struct model *model, int index)
{
    struct model_block *block = &model->block[index];
    uint64_t held_bytes = model_operations(model) + (is_operation(block) ? 0 : block->bytes);

    if (!block->is_registered)
        return -ENOENT;
    block->use = ++model->now;
    if (block->here != all(model, block) && held_bytes > model->capacity_bytes) {
        model->is_over = true; /* how much of it came is open */
        return -ENOSPC;
    }
    bring(model, block);
    settle(model, block);
    return 0;
}

long model_evict(struct model *model, int index)
{
    struct model_block *block = &model->block[index];

    if (!block->is_registered)
        return -ENOENT;
    if (block->pins)
        return -EBUSY;
    if (is_operation(block) || !block->here)
        return 0;
    return (long)leave(model, block, block->bytes);
}

long model_evict_any(struct model *model, uint64_t bytes)
{
    return (long)make_leave(model, bytes, NULL, true);
}

/* ---- reservations ----------------------------------------------------------------------------------------- */

int model_reserve(struct model *model, int index, uint64_t bytes)
{
    if (model_weigh(model, bytes))
        return -ENOSPC;
    make_room(model, bytes, NULL);
    model->reservation[index] = (struct model_reservation){true, bytes, ++model->now};
    return 0;
}

int model_commit(struct model *model, int reservation, int index)
{
    struct model_reservation *from = &model->reservation[reservation];
    struct model_block *block = &model->block[index];
    uint64_t given_bytes = least(from->bytes, block->bytes);

    if (!from->is_alive)
        return -EINVAL;
    if (!block->is_registered)
        return -ENOENT;
    if (block->pins || (block->drawn_from != MODEL_NONE && block->drawn_from != reservation))
        return -EBUSY;
    if (block->drawn_from == reservation) {
        block->drawn_from = MODEL_NONE;
        block->pins = 1;
    } else {
        if (model_weigh(model, block->bytes - given_bytes))
            return -ENOSPC;
        from->bytes -= given_bytes;
        block->pins = 1;
        bring(model, block);
        block->copied = 0; /* EBB_RW */
    }
    end_if_empty(model, reservation);
    return 0;
}

int model_release(struct model *model, int reservation, uint64_t bytes)
{
    struct model_reservation *from = &model->reservation[reservation];

    if (!from->is_alive || !bytes || (bytes != UINT64_MAX && bytes > from->bytes))
        return -EINVAL;
    from->bytes -= bytes == UINT64_MAX ? from->bytes : bytes;
    if (from->bytes)
        return 0;
    from->is_alive = false;
    for (int i = 0; i < MODEL_BLOCKS; i++)
        if (model->block[i].drawn_from == reservation)
            model->block[i].drawn_from = MODEL_NONE;
    settle(model, NULL);
    return 0;
}
