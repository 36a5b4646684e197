/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ebbtide.h - tell ebbtide what your memory is for.
 *
 * A program that is run under ebbtide (LD_PRELOAD=libebbtide.so, or `ebbtide run`) is kept inside its memory budgets
 * without knowing it. One that includes this header can say more: which allocations are objects that it keeps for
 * later (ebb_register), when it works on them (ebb_pin, ebb_unpin), and what it is about to need (ebb_reserve).
 *
 *     cudaMalloc(&x, bytes);
 *     ebb_register(x, bytes, 0, "x");        x is a buffer: it may leave the device while nobody works on it
 *     ebb_pin(x, EBB_RO, stream);            x is an operand: on the device, and it stays
 *     kernel<<<..., stream>>>(x);
 *     ebb_unpin(x, EBB_CLEAN);               a buffer again; unchanged, so a copy that exists is good
 *
 * Linking     nothing to link. The functions are found when the library is preloaded. Where it is not, each of them
 *             returns -ENOSYS and costs a branch: a program can ship with these calls. With EBB_ABSENT defined before
 *             this header, or with a compiler without weak symbols, that is all there is.
 * Errors      0 or a count on success, a negative errno otherwise: -ENOSYS ebbtide is not here (not preloaded,
 *             switched off by EBBTIDE_DISABLE, or this is a forked child, whose parent's memory is not its own);
 *             -EDEADLK called from a reload callback.
 *             A call that fails has changed nothing.
 * Units       bytes and nanoseconds, unless a name says otherwise.
 * Ownership   memory stays yours: ebbtide neither allocates nor frees it for you. Freeing a registered block is fine,
 *             pinned or not: that forgets everything said here about it. Names are copied.
 * Threads     every function may be called from any thread. A block may be pinned by one and unpinned by another.
 * Pointers    any pointer into a block stands for the block; only ebb_register wants its first byte.
 */
#ifndef EBBTIDE_H
#define EBBTIDE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Tiers of memory, fastest first. */
enum ebb_tier {
    EBB_TIER_DEVICE = 0,
    EBB_TIER_HOST = 1,
    EBB_TIER_DISK = 2,
    EBB_TIER_COUNT = 3
};

/** Flags of ebb_register. */
enum {
    EBB_CACHEABLE = 1, /**< place it at once in the first tier that is under its high mark */
    EBB_RELOADABLE =
        2 /**< you can fill it again from elsewhere: dropped and never saved, from the moment on that
                            ebb_set_reload_callback has said how. Device blocks only */
};

/** Flags of ebb_pin. */
enum {
    EBB_RW = 0,    /**< may be written while pinned: copies of it are worth nothing from now on */
    EBB_RO = 1,    /**< is only read while pinned: copies of it stay good */
    EBB_NOWAIT = 2 /**< -EAGAIN instead of waiting for it to be brought back */
};

/** Flags of ebb_unpin. */
enum {
    EBB_DIRTY = 0, /**< it was written */
    EBB_CLEAN = 1  /**< it was not written since ebb_pin */
};

/** Flags of ebb_reserve: what happens when it does not fit. */
enum {
    EBB_OVERBOOK_NO = 0,  /**< refuse */
    EBB_OVERBOOK_YES = 1, /**< grant it all the same and say how much is too much */
    EBB_OVERBOOK_ASK = 2  /**< grant nothing, only say how much would be too much */
};

/** Names a reservation; never 0, never used twice in a process. */
typedef uint64_t ebb_reservation;

/** What is known of one block; see ebb_query. The caller sets struct_bytes to sizeof. */
struct ebb_block_info {
    size_t struct_bytes;
    size_t bytes;          /**< as registered */
    int tier;              /**< enum ebb_tier: the slowest that a part of it is in */
    int device;            /**< ordinal; -1 for host memory */
    unsigned pins;         /**< ebb_pin less ebb_unpin, and the one of ebb_reserve_commit */
    int dirty;             /**< 0: an equal copy exists in a slower tier, or it is not in the fastest one */
    unsigned saves;        /**< how often its bytes were copied out because no equal copy existed */
    int priority, stage;   /**< as set; 0 otherwise */
    uint64_t last_use_ns;  /**< how long ago it was last seen used */
    char name[24];         /**< as registered, cut to fit */
    size_t resident_bytes; /**< of it in the fastest tier */
};

/** One tier, as ebb_get_stats tells it. */
struct ebb_tier_stats {
    uint64_t budget_bytes;     /**< UINT64_MAX: none */
    uint64_t used_bytes;       /**< by everything that counts against the budget */
    uint64_t peak_bytes;       /**< most that was used; after ebb_pop_peak: since its ebb_push_peak */
    uint64_t operations_bytes; /**< pinned by ebb_pin, and reserved */
    uint64_t reserved_bytes;   /**< of these, reserved and with nothing behind it yet */
    uint64_t buffers_bytes;    /**< registered, unpinned, in this tier */
    uint64_t refused;          /**< requests that ended in out of memory */
};

/** Figures of the process; see ebb_get_stats. The caller sets struct_bytes to sizeof. */
struct ebb_stats {
    size_t struct_bytes;
    struct ebb_tier_stats tier[3]; /**< by enum ebb_tier; the device is the calling thread's current one */
    uint64_t evictions;            /**< blocks that left the device, whole or in part */
    uint64_t saves;                /**< blocks whose bytes were copied off the device */
    uint64_t drops;                /**< blocks that left without a copy, since an equal one existed */
    uint64_t to_host_bytes, to_device_bytes, to_disk_bytes, from_disk_bytes;
    uint64_t save_failures;
    uint64_t stall_ns; /**< in which threads of the program waited for a move */
};

/**
 * Called when a request is about to be refused, in the thread that makes it, with nothing of ours locked.
 *
 * May free memory, unpin, unregister, release reservations, evict, touch and query. Calls that need room themselves
 * (ebb_pin of what is away, ebb_reserve, ebb_reserve_commit, ebb_prefetch) return -EDEADLK in it; an allocation in it
 * that does not fit is refused without asking again. May run in several threads at once, so it should not wait for
 * one that may be asking, too.
 *
 * @tier    where room is wanted; enum ebb_tier
 * @device  ordinal; -1 for host memory
 * @bytes   wanted
 * Returns  0: nothing more to give, refuse; else the request is tried again
 */
typedef int (*ebb_pressure_fn)(int tier, int device, size_t bytes, void *arg);

/**
 * Called to fill a part of an object again that was dropped, before it is used.
 *
 * In the thread that needs it: the one that pins, prefetches or unregisters it, or that makes a call to the driver
 * which names it; this thread waits, and so does whoever else needs a block moved. Nothing of ours is locked. May
 * read files, allocate host memory and wait for threads that wait for none of our calls. Must not call CUDA: a call
 * that needs a block moved is refused with out of memory in it. Every function of this header returns -EDEADLK in it.
 *
 * @ptr     first byte of the object
 * @offset  of the part in it
 * @memory  host memory to put the bytes of the part into; what it holds before is undefined. Not the device's: the
 *          part is copied to the device after, so that no kernel sees it half filled
 * @bytes   of the part. An object may come in several parts, each in a call of its own, in any order
 * Returns  0; else it cannot be filled now: one line is logged, it stays away, and who needed it gets the error: -EIO
 *          from ebb_pin and ebb_prefetch, -ENOMEM from ebb_unregister, out of memory from a launch. It may be asked
 *          more than once before that, and is asked again by the next that needs it
 */
typedef int (*ebb_reload_fn)(void *ptr, size_t offset, void *memory, size_t bytes, void *arg);

/*
 * How a call finds the library: what you call is an inline function of this header, which looks whether the weak
 * reference NAME_linked to the library's function has anything behind it. Position-independent code is needed for
 * that, which is what compilers make unless told otherwise: for other code the linker settles weak references before
 * any library is there, and every call returns -ENOSYS.
 */
#if defined(EBB_IMPLEMENTATION)
#define EBB_FUNCTION __attribute__((visibility("default"))) extern
#define EBB_NAMED(name)
#elif defined(__GNUC__)
#define EBB_FUNCTION    static inline
#define EBB_NAMED(name) __asm__(#name "_inline")
#else
#define EBB_FUNCTION static inline
#define EBB_NAMED(name)
#endif

/* ---- objects ---------------------------------------------------------------------------------------------- */

/**
 * Make memory an object: a buffer while it is unpinned, which may leave its tier for a slower one.
 *
 * A device block becomes reachable by the arguments of calls only: you promise that no kernel finds it through a
 * pointer in memory unless it is pinned. In return it may leave the device without all other work coming to a halt,
 * and go to disk. The whole of it moves. Others may be evicted, so that buffers keep to their share. Host memory ebbs
 * to disk under pressure and is brought back by ebb_pin or by the first access.
 *
 * @ptr    first byte of an allocation by cudaMalloc and its kind that is a block (EBBTIDE_MIN_BLOCK), or of a range
 *         of host memory of at least a page
 * @bytes  of it; for a device block up to the size of its allocation, all of which moves
 * @flags  EBB_CACHEABLE, EBB_RELOADABLE, or 0
 * @name   for reports, at most 23 bytes are kept; may be NULL
 * Returns 0; -EINVAL null, no bytes, more than there are, unknown flags, not the first byte, or overlapping another
 *         registration; -EEXIST the same range is registered; -ENOTSUP memory that does not move by itself (too
 *         small, managed, a library's own), or EBB_RELOADABLE for host memory, which the first access brings
 *         back, in the midst of any code; -ENOMEM no memory for the records, or an evicted block that cannot be made reachable
 */
EBB_FUNCTION int ebb_register(void *ptr, size_t bytes, unsigned flags, const char *name)
    EBB_NAMED(ebb_register);

/**
 * Say how a block is filled again that was registered with EBB_RELOADABLE. From then on it leaves by being dropped,
 * be it clean or not: what was written to it and is not where the callback reads is lost as soon as it leaves. Keep
 * it pinned while that matters.
 *
 * @fn      NULL: it is saved from now on, like others
 * @arg     handed to fn; yours to keep until the block is freed or unregistered
 * Returns  0; -EINVAL null, or not registered with EBB_RELOADABLE; -ENOENT not registered; -EBUSY no fn, and a part
 *          of it is dropped: bring it back first
 */
EBB_FUNCTION int ebb_set_reload_callback(void *ptr, ebb_reload_fn fn, void *arg)
    EBB_NAMED(ebb_set_reload_callback);

/**
 * Forget what ebb_register was told. The block stays where it is, or comes to where the device reaches it.
 *
 * Returns  0; -EINVAL null; -ENOENT not registered; -EBUSY pinned; -ENOMEM it is away and cannot be brought back
 */
EBB_FUNCTION int ebb_unregister(void *ptr) EBB_NAMED(ebb_unregister);

/**
 * Make an object an operand: in its fastest tier on return, and there it stays until it was unpinned as often.
 *
 * Its bytes move from the buffers to the operations of the tier; it is restored first where needed, others being
 * evicted for it: from a device to the host, from the host to disk.
 *
 * @flags   EBB_RO or EBB_RW, and EBB_NOWAIT
 * @stream  a CUstream or cudaStream_t on which it is about to be used, or NULL. What is in its tier already is pinned
 *          without any wait. What is in host memory, unmapped, comes back behind the stream: it is mapped at once,
 *          and work submitted to the stream after this call waits for the copy, but no thread does; ebb_query tells
 *          its new tier once the copy is known to be complete. Any other call that names the block waits for it
 *          first, on whatever stream; a use that nobody can see is for the program to order behind the stream.
 *          The calling thread waits, for the copy and not for work of the program, without a stream, during a stream
 *          capture, and for what comes from disk or is written by a reload callback. Where others must be evicted for
 *          it, or it was left in host memory that the device reaches (it was not registered then, or there was no
 *          room), the device is drained as well. Ignored for host memory
 * Returns  0; -EINVAL null or unknown flags; -ENOENT not registered; -ENOSPC operations would pass their maximum, or
 *          what is pinned leaves no room; -EAGAIN with EBB_NOWAIT it is away; -EBUSY it is away and a stream capture
 *          is open, or calls pass the library, so that nothing moves any more; -ETIMEDOUT the device did not come to rest; -EIO its bytes cannot be read back, or reloaded;
 *          -EDEADLK from a pressure callback, and it is away; -EOVERFLOW pinned 65535 times
 */
EBB_FUNCTION int ebb_pin(void *ptr, unsigned flags, void *stream) EBB_NAMED(ebb_pin);

/**
 * Take one pin back. With the last one the block becomes a buffer, the most recent one; where buffers pass their
 * maximum by that, the least recent leave, or this one does when a copy of it is good.
 *
 * @flags   EBB_CLEAN or EBB_DIRTY; one dirty unpin makes the block dirty, and so does writing it without a pin
 * Returns  0; -EINVAL null, unknown flags, or not pinned; -ENOENT not registered
 */
EBB_FUNCTION int ebb_unpin(void *ptr, unsigned flags) EBB_NAMED(ebb_unpin);

/** Say that a block is used now: it becomes the most recent one. 0; -EINVAL null; -ENOENT not registered. */
EBB_FUNCTION int ebb_touch(void *ptr) EBB_NAMED(ebb_touch);

/* ---- room for what comes ---------------------------------------------------------------------------------- */

/**
 * Reserve room among the operations of the calling thread's current device, with nothing behind it yet.
 *
 * While the thread holds it, its allocations draw on it first: what they take leaves the reservation, so that what is
 * used stays the same. Such a block stays on the device until ebb_reserve_commit pins it for you or the reservation
 * ends.
 *
 * @bytes                rounded up to 2 MiB
 * @flags                EBB_OVERBOOK_NO, _YES or _ASK
 * @timeout_ms           how long to wait, after eviction, for others to unpin, free or release; 0: not at all
 * @out                  its name; untouched with EBB_OVERBOOK_ASK
 * @out_overbooked_bytes what is, or would be, over the tier's capacity; may be NULL
 * Returns  0; -EINVAL no bytes, unknown flags, no `out`; -ENODEV the thread has no current device; -ENOSPC it does
 *          not fit, or operations would pass their maximum (with any flag, and at once); -ENOMEM too many
 *          reservations (1024); -EDEADLK from a pressure callback
 */
EBB_FUNCTION int ebb_reserve(size_t bytes, unsigned flags, unsigned timeout_ms, ebb_reservation *out,
                             size_t *out_overbooked_bytes) EBB_NAMED(ebb_reserve);

/**
 * Turn reserved bytes into a pinned operand. What the block needs leaves the reservation, as far as it had not when
 * the block was allocated; what the reservation has too little must fit as with ebb_pin.
 *
 * @ptr     registered and unpinned; pinned once (EBB_RW) on return
 * Returns  0; -EINVAL no such reservation, null; -ENOENT not registered; -EBUSY pinned already, or a capture is open
 *          and the block is away; -EXDEV the block is on another device, or is host memory; else as ebb_pin
 */
EBB_FUNCTION int ebb_reserve_commit(ebb_reservation reservation, void *ptr) EBB_NAMED(ebb_reserve_commit);

/**
 * Give reserved bytes back. With the last of them the reservation ends, and blocks drawn from it that were not
 * committed become buffers.
 *
 * @bytes   up to what is left; SIZE_MAX: all of it, which also ends a reservation of which nothing is left
 * Returns  0; -EINVAL no such reservation, no bytes, or more than are left
 */
EBB_FUNCTION int ebb_reserve_release(ebb_reservation reservation, size_t bytes)
    EBB_NAMED(ebb_reserve_release);

/* ---- moving by hand --------------------------------------------------------------------------------------- */

/**
 * Bring an unpinned object to a faster tier ahead of its use.
 *
 * @tier    EBB_TIER_DEVICE for a device block, EBB_TIER_HOST for host memory
 * @stream  as for ebb_pin
 * Returns  0; -EINVAL null or another tier; -ENOENT not registered; -ENOSPC, -EBUSY, -ETIMEDOUT, -EIO, -EDEADLK as
 *          ebb_pin
 */
EBB_FUNCTION int ebb_prefetch(void *ptr, int tier, void *stream) EBB_NAMED(ebb_prefetch);

/**
 * Send objects away: one, or with NULL the least recent buffers until `bytes` have left: those of the calling
 * thread's current device, and then, for the disk, registered host memory.
 *
 * @bytes   with NULL: how much; SIZE_MAX: whatever can leave. Ignored for one object, which leaves whole
 * @tier    EBB_TIER_HOST or EBB_TIER_DISK: the fastest one they may be in afterwards
 * Returns  the bytes that left their tier, which may be fewer; -EINVAL another tier; -ENOENT not registered;
 *          -EBUSY pinned
 */
EBB_FUNCTION long ebb_evict(void *ptr_or_null, size_t bytes, int tier) EBB_NAMED(ebb_evict);

/**
 * Change a budget. What is over it then leaves when somebody needs room, or with the monitor.
 *
 * @device  ordinal; ignored for the host
 * @bytes   INT64_MAX: no limit
 * Returns  0; -EINVAL no such tier or device, or not above 0; -ENOTSUP the disk, whose budgets are per directory
 */
EBB_FUNCTION int ebb_set_budget(int tier, int device, int64_t bytes) EBB_NAMED(ebb_set_budget);

/** Among buffers the lower priority leaves first, whatever the policy; 0 is usual. -EINVAL null; -ENOENT. */
EBB_FUNCTION int ebb_set_priority(void *ptr, int priority) EBB_NAMED(ebb_set_priority);

/** For EBBTIDE_POLICY=stage: the last stage leaves first; 0 is usual. -EINVAL null or negative; -ENOENT. */
EBB_FUNCTION int ebb_set_stage(void *ptr, int stage) EBB_NAMED(ebb_set_stage);

/* ---- questions -------------------------------------------------------------------------------------------- */

/** Tell about a block. 0; -EINVAL null, or out->struct_bytes is not one this library knows; -ENOENT not
 *  registered. */
EBB_FUNCTION int ebb_query(void *ptr, struct ebb_block_info *out) EBB_NAMED(ebb_query);

/** Tell about the process. 0; -EINVAL null, or out->struct_bytes is not one this library knows. */
EBB_FUNCTION int ebb_get_stats(struct ebb_stats *out) EBB_NAMED(ebb_get_stats);

/** Begin to measure peaks, of the whole process; brackets nest. 0; -ENOSPC 64 are open. */
EBB_FUNCTION int ebb_push_peak(void) EBB_NAMED(ebb_push_peak);

/** End the innermost bracket: as ebb_get_stats, with the peaks since then, and counts as differences. `out` may be
 *  NULL. 0; -EINVAL none is open, or out->struct_bytes is not one this library knows: then it stays open. */
EBB_FUNCTION int ebb_pop_peak(struct ebb_stats *out) EBB_NAMED(ebb_pop_peak);

/** Who is asked before a request is refused; NULL: nobody. The one before may still be running. 0. */
EBB_FUNCTION int ebb_set_pressure_callback(ebb_pressure_fn fn, void *arg)
    EBB_NAMED(ebb_set_pressure_callback);

#ifndef EBB_IMPLEMENTATION
/* ---- the inline functions --------------------------------------------------------------------------------- */

#if defined(__GNUC__) && !defined(EBB_ABSENT)
#define EBB_LINK(name)            extern __typeof__(name) name##_linked __asm__(#name) __attribute__((weak))
#define EBB_CALL(name, arguments) (name##_linked ? name##_linked arguments : -ENOSYS)
#else
#define EBB_LINK(name)            struct ebb_block_info
#define EBB_CALL(name, arguments) -ENOSYS
#endif
#ifdef __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif

#define EBB_INLINE(result, name, parameters, arguments)                                                      \
    EBB_LINK(name);                                                                                          \
    static inline result name parameters                                                                     \
    {                                                                                                        \
        return EBB_CALL(name, arguments);                                                                    \
    }

EBB_INLINE(int, ebb_register, (void *ptr, size_t bytes, unsigned flags, const char *name),
           (ptr, bytes, flags, name))
EBB_INLINE(int, ebb_set_reload_callback, (void *ptr, ebb_reload_fn fn, void *arg), (ptr, fn, arg))
EBB_INLINE(int, ebb_unregister, (void *ptr), (ptr))
EBB_INLINE(int, ebb_pin, (void *ptr, unsigned flags, void *stream), (ptr, flags, stream))
EBB_INLINE(int, ebb_unpin, (void *ptr, unsigned flags), (ptr, flags))
EBB_INLINE(int, ebb_touch, (void *ptr), (ptr))
EBB_INLINE(int, ebb_reserve,
           (size_t bytes, unsigned flags, unsigned timeout_ms, ebb_reservation *out,
            size_t *out_overbooked_bytes),
           (bytes, flags, timeout_ms, out, out_overbooked_bytes))
EBB_INLINE(int, ebb_reserve_commit, (ebb_reservation reservation, void *ptr), (reservation, ptr))
EBB_INLINE(int, ebb_reserve_release, (ebb_reservation reservation, size_t bytes), (reservation, bytes))
EBB_INLINE(int, ebb_prefetch, (void *ptr, int tier, void *stream), (ptr, tier, stream))
EBB_INLINE(long, ebb_evict, (void *ptr_or_null, size_t bytes, int tier), (ptr_or_null, bytes, tier))
EBB_INLINE(int, ebb_set_budget, (int tier, int device, int64_t bytes), (tier, device, bytes))
EBB_INLINE(int, ebb_set_priority, (void *ptr, int priority), (ptr, priority))
EBB_INLINE(int, ebb_set_stage, (void *ptr, int stage), (ptr, stage))
EBB_INLINE(int, ebb_query, (void *ptr, struct ebb_block_info *out), (ptr, out))
EBB_INLINE(int, ebb_get_stats, (struct ebb_stats * out), (out))
EBB_INLINE(int, ebb_push_peak, (void), ())
EBB_INLINE(int, ebb_pop_peak, (struct ebb_stats * out), (out))
EBB_INLINE(int, ebb_set_pressure_callback, (ebb_pressure_fn fn, void *arg), (fn, arg))

#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif
#undef EBB_LINK
#undef EBB_CALL
#undef EBB_INLINE
#endif

#undef EBB_FUNCTION
#undef EBB_NAMED

#ifdef __cplusplus
}
#endif

#endif
