/* SPDX-License-Identifier: Apache-2.0 */
/* Atomic operations and fences. They order everything, which is more than any of PTX's scopes and semantics asks. */
#ifndef PTX_ATOMIC_H
#define PTX_ATOMIC_H

PTX_DEVICE void ptx_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#define PTX_ATOM_CAS(BITS)                                                                                   \
    PTX_DEVICE u##BITS ptx_atom_cas_b##BITS(u8 *at, u##BITS expected, u##BITS value)                         \
    {                                                                                                        \
        __atomic_compare_exchange_n((u##BITS *)(void *)at, &expected, value, false, __ATOMIC_SEQ_CST,        \
                                    __ATOMIC_SEQ_CST);                                                       \
        return expected;                                                                                     \
    }

PTX_ATOM_CAS(16)
PTX_ATOM_CAS(32)
PTX_ATOM_CAS(64)

/* Whatever 16 bytes are exchanged by must be one instruction or loop of the processor, and no call. */
PTX_DEVICE u128 ptx_atom_cas_b128(u8 *at, u128 expected, u128 value)
{
#if defined(__x86_64__)
    u64 low = (u64)expected, high = (u64)(expected >> 64);

    __asm__ volatile("lock cmpxchg16b %0"
                     : "+m"(*(u128 *)(void *)at), "+a"(low), "+d"(high)
                     : "b"((u64)value), "c"((u64)(value >> 64))
                     : "cc", "memory");
    return (u128)high << 64 | low;
#else
    u64 low, high, first, second;
    u32 failed;

    do {
        __asm__ volatile("ldaxp %0, %1, [%2]" : "=&r"(low), "=&r"(high) : "r"(at) : "memory");
        first = ((u128)high << 64 | low) == expected ? (u64)value : low;
        second = ((u128)high << 64 | low) == expected ? (u64)(value >> 64) : high;
        __asm__ volatile("stlxp %w0, %1, %2, [%3]"
                         : "=&r"(failed)
                         : "r"(first), "r"(second), "r"(at)
                         : "memory");
    } while (failed);
    return (u128)high << 64 | low;
#endif
}

PTX_DEVICE u128 ptx_atom_exch_b128(u8 *at, u128 value)
{
    u128 seen = 0, old;

    while ((old = ptx_atom_cas_b128(at, seen, value)) != seen)
        seen = old;
    return old;
}

#define PTX_ATOM_HOST(NAME, TYPE, CARRIER, FUNCTION)                                                         \
    PTX_DEVICE CARRIER ptx_atom_##NAME##_##TYPE(u8 *at, CARRIER value)                                       \
    {                                                                                                        \
        return FUNCTION((CARRIER *)(void *)at, value, __ATOMIC_SEQ_CST);                                     \
    }
#define PTX_ATOM_BITS(BITS)                                                                                  \
    PTX_ATOM_HOST(and, b##BITS, u##BITS, __atomic_fetch_and)                                                 \
    PTX_ATOM_HOST(or, b##BITS, u##BITS, __atomic_fetch_or)                                                   \
    PTX_ATOM_HOST(xor, b##BITS, u##BITS, __atomic_fetch_xor)                                                 \
    PTX_ATOM_HOST(exch, b##BITS, u##BITS, __atomic_exchange_n)                                               \
    PTX_ATOM_HOST(add, u##BITS, u##BITS, __atomic_fetch_add)                                                 \
    PTX_ATOM_HOST(add, s##BITS, s##BITS, __atomic_fetch_add)

PTX_ATOM_BITS(32)
PTX_ATOM_BITS(64)
PTX_ATOM_HOST(exch, b16, u16, __atomic_exchange_n)

/* What the host has no instruction for: next is computed from the old value, as bits, until nobody came between. */
#define PTX_ATOM_LOOP(NAME, TYPE, CARRIER, BITS, FROM, EXPRESSION)                                           \
    PTX_DEVICE CARRIER ptx_atom_##NAME##_##TYPE(u8 *at, CARRIER value)                                       \
    {                                                                                                        \
        u##BITS seen = __atomic_load_n((u##BITS *)(void *)at, __ATOMIC_SEQ_CST), next;                       \
        CARRIER old;                                                                                         \
                                                                                                             \
        do {                                                                                                 \
            old = FROM(seen);                                                                                \
            next = EXPRESSION;                                                                               \
        } while (!__atomic_compare_exchange_n((u##BITS *)(void *)at, &seen, next, false, __ATOMIC_SEQ_CST,   \
                                              __ATOMIC_SEQ_CST));                                            \
        return old;                                                                                          \
    }
#define PTX_ATOM_ORDER(TYPE, BITS)                                                                           \
    PTX_ATOM_LOOP(min, TYPE, TYPE, BITS, (TYPE), (u##BITS)(old < value ? old : value))                       \
    PTX_ATOM_LOOP(max, TYPE, TYPE, BITS, (TYPE), (u##BITS)(old > value ? old : value))

PTX_ATOM_ORDER(u32, 32)
PTX_ATOM_ORDER(s32, 32)
PTX_ATOM_ORDER(u64, 64)
PTX_ATOM_ORDER(s64, 64)
PTX_ATOM_LOOP(inc, u32, u32, 32, (u32), old >= value ? 0 : old + 1)
PTX_ATOM_LOOP(dec, u32, u32, 32, (u32), old == 0 || old > value ? value : old - 1)
PTX_ATOM_LOOP(add, f32, f32, 32, ptx_float_b32, ptx_bits_f32(old + value))
PTX_ATOM_LOOP(add, f64, f64, 64, ptx_float_b64, ptx_bits_f64(old + value))

#define PTX_ATOM_HALF(HALF)                                                                                  \
    PTX_ATOM_LOOP(add, HALF, u16, 16, (u16), ptx_add_##HALF(old, value, 0))                                  \
    PTX_ATOM_LOOP(min, HALF, u16, 16, (u16), ptx_min_##HALF(old, value, 0))                                  \
    PTX_ATOM_LOOP(max, HALF, u16, 16, (u16), ptx_max_##HALF(old, value, 0))                                  \
    PTX_ATOM_LOOP(add, HALF##x2, u32, 32, (u32), ptx_add_##HALF##x2(old, value, 0))                          \
    PTX_ATOM_LOOP(min, HALF##x2, u32, 32, (u32), ptx_min_##HALF##x2(old, value, 0))                          \
    PTX_ATOM_LOOP(max, HALF##x2, u32, 32, (u32), ptx_max_##HALF##x2(old, value, 0))

PTX_ATOM_HALF(f16)
PTX_ATOM_HALF(bf16)

/* Conditions and arrivals that PTX has among its atomics. */
PTX_DEVICE u8 *ptx_at(u64 address)
{
    return (u8 *)(uintptr_t)address;
}

#endif
