/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the threads of a block do together. Lanes meet by their mask: each brings a few words, and the last to come works out
 * the results of all while they wait, so that any mixture of masks and branches is right.
 */
#ifndef PTX_WARP_H
#define PTX_WARP_H

PTX_DEVICE void ptx_bar_sync(struct ptx_thread *t, u32 id, u32 count)
{
    t->host->barrier(t, id, count, PTX_BARRIER_SYNC, false);
}

PTX_DEVICE void ptx_bar_arrive(struct ptx_thread *t, u32 id, u32 count)
{
    t->host->barrier(t, id, count, PTX_BARRIER_ARRIVE, false);
}

PTX_DEVICE u32 ptx_bar_red_popc(struct ptx_thread *t, u32 id, u32 count, bool predicate)
{
    return t->host->barrier(t, id, count, PTX_BARRIER_POPC, predicate);
}

PTX_DEVICE u32 ptx_bar_red_and(struct ptx_thread *t, u32 id, u32 count, bool predicate)
{
    return t->host->barrier(t, id, count, PTX_BARRIER_AND, predicate);
}

PTX_DEVICE u32 ptx_bar_red_or(struct ptx_thread *t, u32 id, u32 count, bool predicate)
{
    return t->host->barrier(t, id, count, PTX_BARRIER_OR, predicate);
}

PTX_COLD void ptx_combine_nothing(void *const *lanes, u32 mask)
{
    (void)lanes;
    (void)mask;
}

PTX_DEVICE void ptx_bar_warp(struct ptx_thread *t, u32 mask)
{
    t->host->meet(t, mask, NULL, ptx_combine_nothing);
}

/* Any of them is an answer that hardware may give, but programs count on all that are on the same path. */
PTX_DEVICE u32 ptx_activemask(struct ptx_thread *t, const void *site)
{
    return t->host->gather(t, site);
}

/* The lowest lane of the mask. */
PTX_DEVICE u32 ptx_elect(struct ptx_thread *t, u32 mask, u32 *predicate)
{
    u32 leader = (u32)__builtin_ctz(mask | 0x80000000u);

    ptx_bar_warp(t, mask);
    *predicate = t->lane == leader;
    return leader;
}

#define PTX_EACH_LANE(lane, mask)                                                                            \
    for (u32 lane = 0; lane < PTX_WARP; lane++)                                                              \
        if ((mask) >> lane & 1)

enum ptx_shuffle_mode {
    PTX_SHFL_UP,
    PTX_SHFL_DOWN,
    PTX_SHFL_BFLY,
    PTX_SHFL_IDX
};

struct ptx_shuffle {
    u32 value, source, result;
};

PTX_COLD void ptx_combine_shuffle(void *const *lanes, u32 mask)
{
    PTX_EACH_LANE(lane, mask)
    {
        struct ptx_shuffle *shuffle = lanes[lane];
        const struct ptx_shuffle *from = mask >> shuffle->source & 1 ? lanes[shuffle->source] : shuffle;

        shuffle->result = from->value;
    }
}

/* b is the lane or the distance; c has the clamp in its low five bits, and from bit 8 on the mask of the segment. */
PTX_DEVICE u32 ptx_shfl(struct ptx_thread *t, u32 mask, u32 mode, u32 a, u32 b, u32 c, u32 *predicate)
{
    u32 clamp = c & 31, segment = c >> 8 & 31, by = b & 31;
    u32 most = (t->lane & segment) | (clamp & ~segment), least = t->lane & segment;
    s32 source = mode == PTX_SHFL_UP     ? (s32)t->lane - (s32)by
                 : mode == PTX_SHFL_DOWN ? (s32)(t->lane + by)
                 : mode == PTX_SHFL_BFLY ? (s32)(t->lane ^ by)
                                         : (s32)(least | (by & ~segment));
    bool inside = mode == PTX_SHFL_UP ? source >= (s32)most : source <= (s32)most;
    struct ptx_shuffle mine = {a, inside ? (u32)source : t->lane, a};

    t->host->meet(t, mask, &mine, ptx_combine_shuffle);
    if (predicate)
        *predicate = inside;
    return mine.result;
}

struct ptx_word {
    u64 value;
    u32 result, second;
};

PTX_COLD void ptx_combine_ballot(void *const *lanes, u32 mask)
{
    u32 ballot = 0;

    PTX_EACH_LANE(lane, mask)
    ballot |= (u32)(((struct ptx_word *)lanes[lane])->value != 0) << lane;
    PTX_EACH_LANE(lane, mask)
    {
        ((struct ptx_word *)lanes[lane])->result = ballot;
        ((struct ptx_word *)lanes[lane])->second = mask;
    }
}

PTX_DEVICE struct ptx_word ptx_ballot(struct ptx_thread *t, u32 mask, bool predicate)
{
    struct ptx_word mine = {predicate, 0, 0};

    t->host->meet(t, mask, &mine, ptx_combine_ballot);
    return mine;
}

PTX_DEVICE u32 ptx_vote_ballot(struct ptx_thread *t, u32 mask, bool predicate)
{
    return ptx_ballot(t, mask, predicate).result;
}

PTX_DEVICE bool ptx_vote_any(struct ptx_thread *t, u32 mask, bool predicate)
{
    return ptx_ballot(t, mask, predicate).result != 0;
}

PTX_DEVICE bool ptx_vote_all(struct ptx_thread *t, u32 mask, bool predicate)
{
    struct ptx_word ballot = ptx_ballot(t, mask, predicate);

    return ballot.result == ballot.second;
}

PTX_DEVICE bool ptx_vote_uni(struct ptx_thread *t, u32 mask, bool predicate)
{
    struct ptx_word ballot = ptx_ballot(t, mask, predicate);

    return ballot.result == ballot.second || ballot.result == 0;
}

/* result: the lanes with the same value; second: all of them where there is one value only. */
PTX_COLD void ptx_combine_match(void *const *lanes, u32 mask)
{
    PTX_EACH_LANE(lane, mask)
    {
        struct ptx_word *mine = lanes[lane];

        mine->result = 0;
        PTX_EACH_LANE(other, mask)
        mine->result |= (u32)(((struct ptx_word *)lanes[other])->value == mine->value) << other;
        mine->second = mine->result == mask ? mask : 0;
    }
}

PTX_DEVICE u32 ptx_match_any64(struct ptx_thread *t, u32 mask, u64 value)
{
    struct ptx_word mine = {value, 0, 0};

    t->host->meet(t, mask, &mine, ptx_combine_match);
    return mine.result;
}

PTX_DEVICE u32 ptx_match_all64(struct ptx_thread *t, u32 mask, u64 value, u32 *predicate)
{
    struct ptx_word mine = {value, 0, 0};

    t->host->meet(t, mask, &mine, ptx_combine_match);
    if (predicate)
        *predicate = mine.second != 0;
    return mine.second;
}

PTX_DEVICE u32 ptx_match_any32(struct ptx_thread *t, u32 mask, u32 value)
{
    return ptx_match_any64(t, mask, value);
}

PTX_DEVICE u32 ptx_match_all32(struct ptx_thread *t, u32 mask, u32 value, u32 *predicate)
{
    return ptx_match_all64(t, mask, value, predicate);
}

/* One value out of all lanes'. */
#define PTX_REDUX(NAME, TYPE, CARRIER, EXPRESSION)                                                           \
    PTX_COLD void ptx_combine_##NAME##_##TYPE(void *const *lanes, u32 mask)                                  \
    {                                                                                                        \
        CARRIER a = *(CARRIER *)lanes[__builtin_ctz(mask)];                                                  \
                                                                                                             \
        PTX_EACH_LANE(lane, mask &(mask - 1))                                                                \
        {                                                                                                    \
            CARRIER b = *(CARRIER *)lanes[lane];                                                             \
                                                                                                             \
            a = EXPRESSION;                                                                                  \
        }                                                                                                    \
        PTX_EACH_LANE(lane, mask)                                                                            \
        *(CARRIER *)lanes[lane] = a;                                                                         \
    }                                                                                                        \
    PTX_DEVICE CARRIER ptx_redux_##NAME##_##TYPE(struct ptx_thread *t, u32 mask, CARRIER value)              \
    {                                                                                                        \
        t->host->meet(t, mask, &value, ptx_combine_##NAME##_##TYPE);                                         \
        return value;                                                                                        \
    }

PTX_REDUX(add, u32, u32, a + b)
PTX_REDUX(min, u32, u32, a < b ? a : b)
PTX_REDUX(max, u32, u32, a > b ? a : b)
PTX_REDUX(add, s32, s32, a + b)
PTX_REDUX(min, s32, s32, a < b ? a : b)
PTX_REDUX(max, s32, s32, a > b ? a : b)
PTX_REDUX(and, b32, u32, a &b)
PTX_REDUX(or, b32, u32, a | b)
PTX_REDUX(xor, b32, u32, a ^ b)
PTX_REDUX(min, f32, f32, ptx_min_f32(a, b, 0))
PTX_REDUX(max, f32, f32, ptx_max_f32(a, b, 0))

#endif
