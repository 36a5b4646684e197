/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the C that PTX becomes is compiled with. The parts of this folder, in the order of all.h, are one text that
 * stands before each generated file; nothing else of this project does. Here: types, the thread that runs, and the way
 * to the machine that runs it.
 *
 * Addresses. A generic address is an address of this process. Shared ones are offsets from thread->shared, behind which
 * only the block's own bytes can be reached. Local memory is the C stack.
 */
#ifndef PTX_THREAD_H
#define PTX_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned __int128 u128;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef __int128 s128;
typedef float f32;
typedef double f64;

#define PTX_DEVICE static inline __attribute__((always_inline, unused))
#define PTX_COLD   static __attribute__((noinline, unused))

enum {
    PTX_VERSION = 3, /* of all that generated code and the driver share */
    PTX_WARP = 32,
    PTX_BARRIERS = 16
};

/* What a kernel's code says of itself. */
enum {
    PTX_FIBERS = 1 /* its threads wait for each other: each needs a stack */
};

/* Rounding, and what else an instruction may ask for. Constants wherever they are passed. */
enum ptx_rounding {
    PTX_RN, /* nearest, ties to even */
    PTX_RZ,
    PTX_RM, /* down */
    PTX_RP, /* up */
    PTX_RNA /* nearest, ties away from zero */
};

enum {
    PTX_FTZ = 1,     /* subnormal operands and results are zeros of their sign */
    PTX_SAT = 2,     /* floats into [0, 1], NaN to 0; integers into the range of their type */
    PTX_RELU = 4,    /* negative results and -0 are 0 */
    PTX_NAN = 8,     /* a NaN among the operands is the result */
    PTX_XORSIGN = 16 /* the sign is the exclusive or of the operands' */
};

struct ptx_thread;
struct ptx_fetch;
struct ptx_place;

/* What lanes do once all of them have come to a meeting: each lane's own words, by lane; mask tells who is there. */
typedef void ptx_combine(void *const *lanes, u32 mask);

enum ptx_barrier_kind {
    PTX_BARRIER_SYNC,
    PTX_BARRIER_ARRIVE,
    PTX_BARRIER_POPC,
    PTX_BARRIER_AND,
    PTX_BARRIER_OR
};

/*
 * The machine. What does not return ends the whole kernel with the driver's error. Nothing here may be called while a
 * lock of the C library is held, and all of it on the thread that runs the kernel.
 */
struct ptx_host {
    /* Access to global or generic memory that the site has not seen; returns if the device may do it. */
    void (*touch)(struct ptx_thread *thread, u64 address, u32 bytes);
    /* A barrier of the block. count is 0 for all threads. Returns what a reduction gives. */
    u32 (*barrier)(struct ptx_thread *thread, u32 id, u32 count, enum ptx_barrier_kind kind, bool predicate);
    /* Waits until all lanes of the mask that are alive have come; the last one runs the combination for all. */
    void (*meet)(struct ptx_thread *thread, u32 mask, void *mine, ptx_combine *combine);
    /* The lanes that are at the same instruction, which has an address of its own. Fibers only. */
    u32 (*gather)(struct ptx_thread *thread, const void *site);
    /* Lets the other threads of the block run. Without fibers it does nothing. */
    void (*yield)(struct ptx_thread *thread);
    void (*exit)(struct ptx_thread *thread) __attribute__((noreturn)); /* fibers only */
    void (*trap)(struct ptx_thread *thread) __attribute__((noreturn));
    void (*assert_fail)(struct ptx_thread *thread, u64 message, u64 file, u32 line, u64 function)
        __attribute__((noreturn));
    void (*misaligned)(struct ptx_thread *thread, u64 address) __attribute__((noreturn));
    u32 (*print)(struct ptx_thread *thread, u64 format, u64 arguments);
    u64 (*allocate)(struct ptx_thread *thread, u64 bytes);
    void (*release)(struct ptx_thread *thread, u64 address);
    u64 (*nanoseconds)(void);
    /* texture.h says what is asked for. Four words: bits of floats, or whole numbers. */
    void (*fetch)(struct ptx_thread *thread, u64 texture, const struct ptx_fetch *fetch, u32 texel[4]);
    /* The address of a place in a surface; NULL for one outside of it, which is no trap. */
    u8 *(*place)(struct ptx_thread *thread, u64 surface, const struct ptx_place *place);
    /* Writes words there in the surface's format. */
    void (*store)(struct ptx_thread *thread, u64 surface, const struct ptx_place *place, const u32 words[4]);
    u32 (*answer)(struct ptx_thread *thread, u64 handle, bool is_surface, u32 question, u32 level);
};

/*
 * One thread of the grid. Made by the machine; a kernel without fibers sets tid itself as it goes through the block.
 */
struct ptx_thread {
    u32 tid[3], ntid[3], ctaid[3], nctaid[3];
    u32 lane, warp, nwarps;
    u32 shared_dynamic; /* bytes that the launch asked for */
    u32 shared_bytes;   /* static and dynamic */
    u32 smid, nsmid;
    u64 gridid;
    u8 *shared;
    u8 *const *globals; /* addresses of the module's variables, in the order that the translator gave them */
    u64 *sites;         /* words of the launch, one for each instruction that touches memory; zero at first */
    const struct ptx_host *host;
    void *machine;     /* the launch, for the machine */
    void *place;       /* the fiber, for the machine; NULL without */
    const u32 *envreg; /* %envreg0 and so on, 32 of them */
    u32 spins;         /* see ptx_spin */
};

/* What a generated object exports by the name ptx_code. */
struct ptx_code {
    u32 version, flags;
    u32 shared_static; /* bytes; the dynamic part starts behind them, aligned to 16 */
    u32 site_count;
    u32 local_bytes; /* upper bound of .local memory of one thread; 0: not known */
    u32 reserved;
    const char *name;
    void (*thread)(struct ptx_thread *thread, const u8 *params); /* with PTX_FIBERS: one thread */
    void (*block)(struct ptx_thread *thread, const u8 *params);  /* without: all threads of a block */
};

/* An address that stands for the instruction it is written for. */
#define PTX_SITE                                                                                             \
    ({                                                                                                       \
        static const u8 ptx_site_here;                                                                       \
        (const void *)&ptx_site_here;                                                                        \
    })

PTX_DEVICE u32 ptx_lanemask_eq(const struct ptx_thread *t)
{
    return (u32)1 << t->lane;
}

PTX_DEVICE u32 ptx_lanemask_lt(const struct ptx_thread *t)
{
    return ((u32)1 << t->lane) - 1;
}

PTX_DEVICE u32 ptx_lanemask_le(const struct ptx_thread *t)
{
    return ((u32)2 << t->lane) - 1;
}

PTX_DEVICE u32 ptx_lanemask_gt(const struct ptx_thread *t)
{
    return ~ptx_lanemask_le(t);
}

PTX_DEVICE u32 ptx_lanemask_ge(const struct ptx_thread *t)
{
    return ~ptx_lanemask_lt(t);
}

/* The machine's own counter: it ticks while the block waits, too. */
PTX_DEVICE u64 ptx_clock64(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    u64 ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
#error "no counter for this machine"
#endif
}

PTX_DEVICE u32 ptx_clock(void)
{
    return (u32)ptx_clock64();
}

PTX_DEVICE u64 ptx_globaltimer(struct ptx_thread *t)
{
    return t->host->nanoseconds();
}

/* In a loop over threads only the copy says which of them runs. */
PTX_DEVICE void ptx_here(struct ptx_thread *t, const struct ptx_thread *s)
{
    t->tid[0] = s->tid[0], t->tid[1] = s->tid[1], t->tid[2] = s->tid[2];
}

PTX_DEVICE void ptx_trap(struct ptx_thread *t, const struct ptx_thread *s)
{
    ptx_here(t, s);
    t->host->trap(t);
}

PTX_DEVICE void ptx_exit(struct ptx_thread *t)
{
    t->host->exit(t);
}

PTX_DEVICE void ptx_yield(struct ptx_thread *t)
{
    t->host->yield(t);
}

/* In a loop that may wait for another thread of the block: lets it run now and then. */
PTX_DEVICE void ptx_spin(struct ptx_thread *t)
{
    if (__builtin_expect(++t->spins % 64 == 0, 0))
        t->host->yield(t);
}

/*
 * A site is a place in the code that uses memory. It remembers the last 512 bytes that it was in; an address that is not
 * aligned never equals it. It starts as 0, where no memory is.
 */
PTX_DEVICE void ptx_touch(struct ptx_thread *t, u64 *site, u64 address, u32 bytes)
{
    if (__builtin_expect((address & (~(u64)511 | (bytes - 1))) != *site, 0)) {
        t->host->touch(t, address, bytes);
        *site = address & ~(u64)511;
    }
}

enum {
    PTX_STACK_BYTES = 16 << 10 /* of a call, for alloca */
};

/* Memory of a call's own; one that has no more is as one that has outgrown the thread's. */
PTX_DEVICE u64 ptx_stack_take(struct ptx_thread *t, const struct ptx_thread *s, u8 *stack, u32 *used,
                              u64 bytes, u32 align)
{
    u32 at = (*used + align - 1) & ~(align - 1);

    if (at > PTX_STACK_BYTES || bytes > PTX_STACK_BYTES - at)
        ptx_trap(t, s);
    *used = at + (u32)bytes;
    return (u64)(uintptr_t)(stack + at);
}

/* Time passes for the others of the block only. */
PTX_DEVICE void ptx_nanosleep(struct ptx_thread *t, u32 nanoseconds)
{
    (void)nanoseconds;
    t->host->yield(t);
}

PTX_DEVICE u32 ptx_vprintf(struct ptx_thread *t, u64 format, u64 arguments)
{
    return t->host->print(t, format, arguments);
}

PTX_DEVICE void ptx_assertfail(struct ptx_thread *t, const struct ptx_thread *s, u64 message, u64 file,
                               u32 line, u64 function, u64 char_size)
{
    (void)char_size;
    ptx_here(t, s);
    t->host->assert_fail(t, message, file, line, function);
}

PTX_DEVICE u64 ptx_malloc(struct ptx_thread *t, u64 bytes)
{
    return t->host->allocate(t, bytes);
}

PTX_DEVICE void ptx_free(struct ptx_thread *t, u64 address)
{
    t->host->release(t, address);
}

#endif
