/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_block.h - host memory that the program registered: it ebbs to disk when the host budget is short, and is there
 * again when somebody looks.
 *
 * Shape    a host block is a range of the program's own private anonymous memory. Only its whole pages move, in pieces
 *          of HOST_PIECE_BYTES that lie at multiples of it; what the range has at its ends stays where it is.
 *          A piece that is away is brought back by host_block_pin or by the first access, of the program as of
 *          the kernel on its behalf (read(2) into it, write(2) from it), through userfaultfd(2).
 * Owns     the books of it, in memory of its own: nothing here calls malloc, so malloc's hooks may call it. Three
 *          threads for faults and one that evicts, made when the first block is registered; nothing before.
 * Ledger   the host budget is charged with what of a block is in memory, after others have left for it where they can;
 *          the disk budget with what is away, in parts of 2 MiB that small blocks share. The bytes
 *          of a heap block (HOST_BLOCK_HEAP) are in class heap, charged by malloc as a whole: here only what is away,
 *          or was never touched, is credited to that class. Those of any other are in class registered.
 * Threads  any, any signal mask; the program may read, write, fork and hand the memory to system calls meanwhile. No
 *          lock of the core is held by the caller; the mover's role may be. The gate and the role are never taken here.
 * Errors   0 or negative errno. A failed call has changed nothing.
 * Limits   before Linux 6.8 (UFFDIO_MOVE), and always while it is read-only, pin a block whose pages the kernel is given
 *          to write to by itself (a read with O_DIRECT, buffers registered with io_uring, RDMA): it does not tell us.
 *          A child made without fork's handlers (clone, _Fork) has what is away where the kernel tells us of it, which
 *          takes CAP_SYS_PTRACE; its parent must not end before the child has been filled. Elsewhere it reads zeros
 *          there. Unregister a range before mremap.
 * Outside  userfaultfd for faults of the kernel needs CAP_SYS_PTRACE, vm.unprivileged_userfaultfd=1 (Linux 5.11 on;
 *          always 1 before) or access to /dev/userfaultfd (6.1). One that serves user mode only is no use: read(2)
 *          into an evicted page would fail with EFAULT. Without it, or where mremap(2) has no MREMAP_DONTUNMAP
 *          (before 5.7), blocks are registered and pinned as ever but never evicted, and one line says so.
 */
#ifndef EBB_HOST_BLOCK_H
#define EBB_HOST_BLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What comes back at one access, and the unit in which a block is in memory or away. */
#define HOST_PIECE_BYTES ((uint64_t)64 << 10)

enum {
    HOST_NAME_BYTES = 40 /**< a name with its NUL; longer ones are cut */
};

enum host_block_flag {
    HOST_BLOCK_HEAP = 1, /**< malloc charges it; see Ledger. Set by host_block_adopt */
};

enum host_pin_flag {
    HOST_PIN_NOWAIT = 1, /**< -EAGAIN instead of waiting for a disk */
    /** -EAGAIN instead of waiting for anything: all of it is in memory, pages that nobody touched, too. */
    HOST_PIN_COMPLETE = 2,
    HOST_PIN_COUNT = 4, /**< it stays, and counts as pinned; what is away stays away, until another pin */
};

struct host_block_info {
    uint64_t base;
    uint64_t bytes;      /**< as registered */
    uint64_t away_bytes; /**< of them on disk now, and not on the way back */
    uint64_t pins;       /**< of host_block_pin */
    uint64_t holds;      /**< of host_hold: in use by the driver */
    uint64_t saves;      /**< pieces written so far */
    uint64_t last_use;   /**< core_stamp() of the last touch, pin or return */
    unsigned flags;      /**< enum host_block_flag */
    char name[HOST_NAME_BYTES];
};

/**
 * Let a range ebb.
 *
 * @ptr    any address; @bytes > 0, not past the end of the address space
 * @flags  enum host_block_flag
 * @name   for reports, copied; may be NULL
 * Returns 0; -EEXIST this very range is registered; -EINVAL nothing, overlaps another one, or some page of it is not
 *         private anonymous memory (a file, shared memory, a stack, a hole); -ENOMEM no memory for the books; -ENOTSUP
 *         the host is not managed (core_host_start; a forked child)
 */
int host_block_register(void *ptr, size_t bytes, unsigned flags, const char *name);

/** Bring all of it back and forget it. @ptr: anywhere in the block. -ENOENT; -EBUSY while it is pinned or held; -EIO
 *  some of it cannot be read from the disk: it stays registered. */
int host_block_unregister(void *ptr);

/**
 * Bring the block at @ptr back and keep it. Counted.
 *
 * Returns  0, all of it in memory; -ENOENT no block is there; -EAGAIN with HOST_PIN_NOWAIT when some of it is away;
 *          -ENOSPC operations may not grow by it (host_share.h); -EIO a read failed (logged)
 */
int host_block_pin(void *ptr, unsigned flags);

/** Bring the block at @ptr back, as host_block_pin does, and do not keep it. 0; -ENOENT; -EIO. */
int host_block_bring(void *ptr);

/** Drop one pin; with the last one it is the most recent block. -ENOENT; -EINVAL it has none. */
int host_block_unpin(void *ptr);

/** It is used: evict others first. -ENOENT. */
int host_block_touch(void *ptr);

/**
 * Send unpinned blocks to disk, and wait for it.
 *
 * @ptr_or_null  only the block there, or the coldest of all
 * @bytes        as many; 0: all of that block
 * Returns       bytes that left, fewer when the disk is full or nothing more may leave; -ENOENT; -ENOTSUP nothing can
 *               be evicted here at all
 */
long host_block_evict(void *ptr_or_null, size_t bytes);

/** State of the block at @ptr. -ENOENT. */
int host_block_query(void *ptr, struct host_block_info *out);

/** Host memory is short: what host_block_evict(NULL, bytes) does, for those who need room in the host budget. 0 in no
 *  time when nothing is registered. Returns the bytes that left. */
size_t host_block_demote(size_t bytes);

/* ---- for malloc's hooks: EBBTIDE_HOST_CACHEABLE ------------------------------------------------------------ */

/** Register a large allocation that malloc just made and charged, without a look at the mappings. As
 *  host_block_register with HOST_BLOCK_HEAP. */
int host_block_adopt(void *ptr, size_t bytes);

/** An allocation is about to be freed or resized: forget every block that begins in it, and what is on disk with it.
 *  Its bytes are undefined afterwards. Pins fall with it. Costs a load while nothing is registered.
 *  Returns what of it was not in memory and so is not in class heap: it is not charged again, for that could pass the
 *  budget, but no longer malloc's to give back (heap_forgo). */
uint64_t host_block_abandon(void *ptr, size_t bytes);

/** Does an address lie in the heap, whose bytes class heap has already? Set by malloc at its start, before any block
 *  is registered; NULL: no heap is counted. */
extern bool (*host_block_is_heap)(const void *ptr);

/* ---- for the driver's hooks -------------------------------------------------------------------------------- */

/** A range is pinned by the driver, or named by a call that is about to be made: bring back every block that it meets
 *  and keep it. Outside of a user section. Counted by range: each is dropped once with the same range. Also for
 *  blocks that are registered later. False: there was no room to remember it (said); do not drop it. */
bool host_hold(const void *ptr, size_t bytes);
void host_hold_drop(const void *ptr, size_t bytes);

/** Bytes of a range that blocks have: what is in memory of them is charged already. */
uint64_t host_hold_covered(const void *ptr, size_t bytes);

/** Blocks that are registered. Written by this module only. */
extern _Atomic uint32_t host_block_count;

enum {
    HOST_RANGES = 2
};

/** Host memory that a call names. */
struct host_ranges {
    uint32_t count;
    struct host_range {
        const void *memory;
        size_t bytes;
    } of[HOST_RANGES];
};

/** Hold what of a range is registered, as host_hold does; more ranges than the list has room for become one that
 *  covers them. Quick where nothing is registered. */
void host_hold_add(struct host_ranges *ranges, const void *memory, size_t bytes);
/** Let go of all of them. */
void host_hold_drop_all(struct host_ranges *ranges);

/** Is any host block registered? A load. */
static inline bool host_block_any(void)
{
    return atomic_load_explicit(&host_block_count, memory_order_relaxed) != 0;
}

/* ---- lifecycle --------------------------------------------------------------------------------------------- */

/** Around fork: before it waits for moves to end, in the parent until the child has what is away, which in the child is
 *  read if the kernel did not tell us of it. The child has every byte, the ledger that we had at the fork, and manages nothing. Not for vfork
 *  and posix_spawn, whose children share the memory with us. */
void host_fork_prepare(void);
void host_fork_parent(void);
void host_fork_child(void);

/** Does the kernel tell us of children that are made without fork's handlers? */
bool host_fork_told(void);
/** After a child was made without fork's handlers: it has what was away, unless it could not be read. Async-signal-safe. */
void host_fork_settle(void);

/** Some piece is on disk: the disk must stay open until the process is gone. */
bool host_block_away(void);

#endif
