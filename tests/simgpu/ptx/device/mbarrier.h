/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Barriers that are a word of shared memory: how many arrivals and bytes the phase still waits for, how many arrivals the
 * next ones begin with, and the parity of the phase. Only threads of the block touch them, by turns.
 */
#ifndef PTX_MBARRIER_H
#define PTX_MBARRIER_H

enum {
    PTX_MBARRIER_COUNT = (1 << 20) - 1 /* the largest */
};

/* As a word: pending from bit 0, expected from bit 20, bytes from bit 40, parity in bit 63. */
struct ptx_mbarrier {
    u32 pending, expected;
    s32 bytes; /* of 23 bits, with sign */
    bool parity;
};

PTX_DEVICE struct ptx_mbarrier ptx_mbarrier_get(u64 word)
{
    return (struct ptx_mbarrier){(u32)word & PTX_MBARRIER_COUNT, (u32)(word >> 20) & PTX_MBARRIER_COUNT,
                                 (s32)((s64)(word << 1) >> 41), (bool)(word >> 63)};
}

/* A phase that waits for nothing more is over. */
PTX_DEVICE void ptx_mbarrier_put(u64 address, struct ptx_mbarrier barrier)
{
    if (!barrier.pending && !barrier.bytes) {
        barrier.parity = !barrier.parity;
        barrier.pending = barrier.expected;
    }
    *(u64 *)address = (u64)barrier.pending | (u64)barrier.expected << 20 |
                      ((u64)barrier.bytes & 0x7fffff) << 40 | (u64)barrier.parity << 63;
}

PTX_DEVICE void ptx_mbarrier_init(u64 address, u32 count)
{
    *(u64 *)address = (u64)(count & PTX_MBARRIER_COUNT) << 20 | (count & PTX_MBARRIER_COUNT);
}

/* drops: so many fewer from the next phase on. Returns the state before: which phase it was that the thread arrived in. */
PTX_DEVICE u64 ptx_mbarrier_arrive(struct ptx_thread *t, u64 address, u32 count, bool drops, u32 bytes)
{
    u64 state = *(const u64 *)address;
    struct ptx_mbarrier barrier = ptx_mbarrier_get(state);

    if (count > barrier.pending)
        t->host->trap(t);
    barrier.pending -= count;
    barrier.expected -= drops ? count : 0;
    barrier.bytes += (s32)bytes;
    ptx_mbarrier_put(address, barrier);
    return state;
}

PTX_DEVICE void ptx_mbarrier_expect(u64 address, s32 bytes)
{
    struct ptx_mbarrier barrier = ptx_mbarrier_get(*(const u64 *)address);

    barrier.bytes += bytes;
    ptx_mbarrier_put(address, barrier);
}

/* Whether the phase of that parity is over. One that is not lets the other threads run. */
PTX_DEVICE bool ptx_mbarrier_test(struct ptx_thread *t, u64 address, bool parity)
{
    bool is_over = (bool)(*(const u64 *)address >> 63) != parity;

    if (!is_over)
        t->host->yield(t);
    return is_over;
}

PTX_DEVICE u32 ptx_mbarrier_pending(u64 state)
{
    return (u32)state & PTX_MBARRIER_COUNT;
}

#endif
