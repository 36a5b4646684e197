/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round finds the oldest candidates that come after those already considered, as many as the scratch holds:
 * a sample of the stamps gives a bound that about half a scratch of them should be under, one pass collects
 * those, and where the guess was too generous the younger half of the scratch is dropped and the bound
 * lowered to match. What was collected is then taken oldest first from a heap, so that only what is needed
 * gets sorted.
 */
#include "policy/victims.h"

#include <assert.h>
#include <stdbool.h>

enum {
    LANES = 2,  /* of one vector */
    STRIDE = 16 /* stamps looked at together */
};

/* Stamps are aligned like stamps, not like vectors. */
typedef uint64_t lanes __attribute__((vector_size(LANES * 8), aligned(8), may_alias));

/* Candidates of a round by stamp: after (low, low_index) in order of age, and with a stamp of at most high. */
struct span {
    uint64_t low;
    uint64_t low_index; /* equal stamps count from here on */
    uint64_t high;
};

static void swap(struct victim *a, struct victim *b)
{
    struct victim old = *a;
    *a = *b;
    *b = old;
}

/* Hoare's selection: afterwards list[rank] is the one of that rank and nothing before it is younger. */
static void select_rank(struct victim *list, size_t count, size_t rank)
{
    size_t first = 0, last = count - 1;
    while (first < last) {
        struct victim pivot = list[first + (last - first) / 2];
        size_t left = first, right = last;
        while (left <= right) {
            while (victims_before(&list[left], &pivot))
                left++;
            while (victims_before(&pivot, &list[right]))
                right--;
            if (left > right)
                break;
            swap(&list[left++], &list[right]);
            if (right == 0)
                break;
            right--;
        }
        if (rank <= right)
            last = right;
        else if (rank >= left)
            first = left;
        else
            return;
    }
}

static void sift_down(struct victim *heap, size_t count, size_t at)
{
    for (;;) {
        size_t oldest = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (victims_before(&heap[child], &heap[oldest]))
                oldest = child;
        if (oldest == at)
            return;
        swap(&heap[at], &heap[oldest]);
        at = oldest;
    }
}

/* Without a branch: whether the next one is inside is what nobody can predict. */
static bool is_inside(const struct span *span, uint64_t stamp, size_t index)
{
    return (stamp <= span->high) & (stamp >= span->low + (index < span->low_index));
}

/* The scans read words that other threads write without a lock. They are whole words, and an old value is as
 * good as a new one; atomic loads would only keep the compiler from using vectors. */
#define RACES_WITH_TOUCHES __attribute__((no_sanitize("thread")))

/* A bound under which about `target` candidates are expected; span->high where there may be no more than
 * that. One stamp of each step is looked at, each of another line, since neighbours are often of one age. */
RACES_WITH_TOUCHES
static uint64_t sample_bound(const struct victims *view, const struct span *span, size_t target)
{
    size_t samples = view->scratch_count / 2, found = 0;
    if (view->count <= view->scratch_count)
        return span->high;
    size_t step = view->count / samples;
    for (size_t i = 0; i < samples; i++) {
        /* Spread over the step, so that a pattern of its length does not decide. */
        size_t at = i * step + ((uint64_t)((uint32_t)i * 0x9e3779b9u) * step >> 32);
        uint64_t stamp = view->stamp[at];
        view->scratch[found] = (struct victim){stamp, 0, (uint32_t)at};
        found += is_inside(span, stamp, at);
    }
    size_t rank = samples * target / view->count + 1;
    if (rank >= found)
        return span->high;
    select_rank(view->scratch, found, rank);
    return view->scratch[rank].order;
}

/* Where the next stamp inside [low, high] is, in whole strides; `from` past the last whole one. */
RACES_WITH_TOUCHES
static size_t skip_strides(const uint64_t *stamp, size_t from, size_t count, uint64_t low, uint64_t high)
{
    lanes low_lanes = {low, low}, length = {high - low + 1, high - low + 1};
    for (; from + STRIDE <= count; from += STRIDE) {
        lanes any = {0, 0};
        /* Inside is: stamp - low is not negative, and minus the length it is. Signs suffice, so SSE2 does. */
#pragma GCC unroll 8
        for (size_t i = 0; i < STRIDE; i += LANES) {
            lanes above = *(const lanes *)(stamp + from + i) - low_lanes;
            any |= ~above & (above - length);
        }
        if ((any[0] | any[1]) >> 63)
            break;
    }
    return from;
}

/* Collect the oldest inside the span into the scratch, in no order. Says in *out_all whether that is all of
 * them. */
RACES_WITH_TOUCHES
static size_t collect(const struct victims *view, struct span span, bool *out_all)
{
    size_t found = 0, next = 0;
    bool all = true;
    while ((next = skip_strides(view->stamp, next, view->count, span.low, span.high)) < view->count) {
        size_t end = next + STRIDE < view->count ? next + STRIDE : view->count;
        for (; next < end; next++) {
            if (found == view->scratch_count) {
                found /= 2;
                select_rank(view->scratch, view->scratch_count, found);
                all = false;
                /* Indexes grow: an equal stamp found from now on is younger than what was kept. */
                span.high = view->scratch[found].order - 1;
            }
            view->scratch[found] = (struct victim){view->stamp[next], 0, (uint32_t)next};
            found += is_inside(&span, view->scratch[found].order, next);
        }
        if (span.high < span.low)
            break;
    }
    *out_all = all;
    return found;
}

/* A round of those that leave by their stamps. `*after` moves past all of them where the scratch holds them all. */
static size_t round_by_stamp(const struct victims *view, uint64_t newest, size_t target, struct victim *after,
                             bool *out_more)
{
    struct span span = {.low = after->order ? after->order : 1,
                        .low_index = after->order ? (uint64_t)after->index + 1 : 0,
                        .high = newest};
    bool all;

    span.high = sample_bound(view, &span, target);
    size_t found = collect(view, span, &all);
    if (all)
        *after = (struct victim){.order = span.high, .index = UINT32_MAX};
    *out_more = !all || span.high < newest;
    return found;
}

/* A round of those whose turn has to be asked for. */
RACES_WITH_TOUCHES
static size_t round_by_turn(const struct victims *view, uint64_t newest, bool is_first,
                            const struct victim *after, bool *out_more)
{
    struct victim last = {.order = UINT64_MAX, .rank = UINT32_MAX, .index = UINT32_MAX};
    size_t found = 0;
    bool all = true;

    for (size_t i = 0; i < view->count; i++) {
        uint64_t stamp = view->stamp[i];
        struct victim one = {stamp, 0, (uint32_t)i};
        if (stamp - 1 >= newest || !view->turn(&one, stamp, view->arg) ||
            (!is_first && !victims_before(after, &one)) || victims_before(&last, &one))
            continue;
        if (found == view->scratch_count) {
            found /= 2;
            select_rank(view->scratch, view->scratch_count, found);
            last = view->scratch[found];
            all = false;
            if (victims_before(&last, &one))
                continue;
        }
        view->scratch[found++] = one;
    }
    *out_more = !all;
    return found;
}

size_t victims_choose(const struct victims *view, uint64_t need_bytes, uint32_t *out, size_t out_max)
{
    assert(view->scratch_count >= VICTIMS_SCRATCH_MIN);
    uint64_t newest = view->newest < VICTIMS_STAMP_MAX ? view->newest : VICTIMS_STAMP_MAX;
    struct victim after = {0};
    uint64_t got_bytes = 0;
    size_t chosen = 0;
    /* Most choices are small; one that is not pays by the pass, so those get as much as the scratch can take.
     */
    size_t target = view->scratch_count / 8 * 3;

    for (bool more = true, is_first = true; got_bytes < need_bytes && chosen < out_max && more;
         is_first = false) {
        struct victim end = after;
        size_t found = view->turn ? round_by_turn(view, newest, is_first, &after, &more)
                                  : round_by_stamp(view, newest, target, &end, &more);
        target = view->scratch_count / 4 * 3;
        for (size_t i = found / 2; i-- > 0;)
            sift_down(view->scratch, found, i);
        while (found > 0 && got_bytes < need_bytes && chosen < out_max) {
            after = view->scratch[0];
            view->scratch[0] = view->scratch[--found];
            sift_down(view->scratch, found, 0);
            uint64_t bytes = view->movable_bytes(after.index, view->arg);
            if (bytes == 0)
                continue;
            out[chosen++] = after.index;
            got_bytes = bytes > UINT64_MAX - got_bytes ? UINT64_MAX : got_bytes + bytes;
        }
        if (victims_before(&after, &end))
            after = end;
    }
    return chosen;
}
