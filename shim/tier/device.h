/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - what the core needs of a GPU, as a table of functions.
 *
 * The core knows no CUDA symbol: it is given one of these at start. shim/device_cuda.c fills it from the real
 * driver, tests/core/fake_device.c from plain memory.
 *
 * Addresses  device addresses, as the program sees them; uint64_t.
 * Handles    physical memory that exists without an address; opaque, never 0.
 * Errors     0, or negative: -ENOMEM the driver has no memory left, -ETIMEDOUT, -ENOTSUP the driver cannot do this,
 *            -EIO anything else. A failed call has changed nothing.
 * Threads    every function may be called from any thread, with or without a current context, and leaves the
 *            thread's current context as it was. None is called with a lock of the core held.
 */
#ifndef EBB_DEVICE_H
#define EBB_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DEVICE_MAX = 16,
    DEVICE_NONE = DEVICE_MAX, /**< no device at all */
    DEVICE_ANY                /**< whichever device asks */
};

/** Physical granularity that every handle, chunk and address is a multiple of: 2 MiB (the largest that
 *  cuMemGetAllocationGranularity has been seen to return for device and host memory; checked at start). */
#define GRANULE_BYTES ((uint64_t)2 << 20)

/** Host memory that the copy engine, the CPU and (when `handle` is not 0) a block's address can reach. */
struct host_memory {
    uint64_t handle; /**< maps at a block's address; 0 where only detached use is possible */
    uint64_t alias;  /**< device address of the private mapping that copies go through */
    void *cpu;       /**< the same bytes for the CPU */
    uint64_t bytes;  /**< multiple of GRANULE_BYTES */
};

/** One piece of memory that a kernel could read a pointer from and that is no block of ours. */
struct root {
    uint64_t address;
    uint64_t bytes;
    const void *cpu; /**< where the CPU may read it directly; NULL: copy it first */
    unsigned ordinal;
};

/** A piece of memory that a device searches for words that could be pointers: 8 bytes at any multiple of 4. */
struct scan {
    uint64_t address; /**< device address, multiple of 4 */
    uint64_t bytes;   /**< multiple of 4 */
    uint64_t base;    /**< words in [base, base + span) count */
    uint64_t span;
    uint64_t marks; /**< device address of a byte per granule of the span, set to 1 where a word points */
    uint64_t hit;   /**< device address of a byte, set to 1 if any word counts */
};

typedef int (*root_visit_fn)(const struct root *root, void *arg);

/** Ways of a device's link to the host, bits: what was started goes one of them, and both at once. */
enum {
    WAY_OUT = 1, /**< copies to the host, and searches */
    WAY_IN = 2,  /**< copies to the device, and zeros */
    WAYS = WAY_OUT | WAY_IN
};

struct device {
    /** Devices that exist, 1 to DEVICE_MAX. */
    unsigned count;
    /** Host-located memory can be mapped at a block's address (probed, not believed). False: strict residency. */
    bool host_mappable;
    /** Devices that fault on the program's managed memory, so that it takes room there only where it is used; bits by
     *  ordinal. */
    uint32_t floating;

    /** Reserve `bytes` of address space, aligned to GRANULE_BYTES. */
    int (*reserve)(struct device *self, uint64_t bytes, uint64_t *out_base);
    void (*unreserve)(struct device *self, uint64_t base, uint64_t bytes);

    /**
     * Where memory and its address are one (managed memory): a new range of the driver's own, multiple of
     * GRANULE_BYTES and aligned to it, anywhere in the process, reachable by all devices and never unmapped. `map`
     * says where its pages belong, `copy` sends them there, `unmap` and `grant` do nothing. NULL: addresses come out
     * of what `reserve` gave. Called with the program's context current, which owns the range and ends it, and whose
     * name is `context`. Where it is given `reserve`, `unreserve` and `scan` are not called and may be NULL.
     */
    int (*place)(struct device *self, unsigned ordinal, uint64_t context, uint64_t bytes,
                 uint64_t *out_address);
    /** Give back what `place` gave. The caller has drained what could still use it. */
    void (*unplace)(struct device *self, uint64_t context, uint64_t address, uint64_t bytes);

    /** Physical device memory; not mapped anywhere yet. */
    int (*create)(struct device *self, unsigned ordinal, uint64_t bytes, uint64_t *out_handle);
    /** Give a handle back. Must not be mapped. */
    int (*release)(struct device *self, uint64_t handle);

    /** A descriptor, for another process, of memory that `create` made; the caller closes it. -ENOTSUP where the
     *  driver shares none. */
    int (*share)(struct device *self, uint64_t handle, int *out_fd);

    /** Host memory with its private alias; `mappable` asks for a handle too. */
    int (*host_create)(struct device *self, uint64_t bytes, bool mappable, struct host_memory *out);
    void (*host_destroy)(struct device *self, struct host_memory *memory);
    /** Does the device find in host memory that is mapped, as at a block's address, what the CPU has written, by copy and by
     *  kernel, and the CPU what it writes there? At rest: a kernel is waited for. What is in `memory` is lost. -EBADMSG: it
     *  does not. NULL: it does. */
    int (*try_host)(struct device *self, unsigned ordinal, const struct host_memory *memory);

    /** Map the whole handle at `address` (an unmapped, reserved range). No access until grant. */
    int (*map)(struct device *self, uint64_t address, uint64_t bytes, uint64_t handle);
    /** Unmap one earlier map, or several that lie side by side. The caller has drained what could still use them. */
    int (*unmap)(struct device *self, uint64_t address, uint64_t bytes);
    /** Read and write access for `ordinal` and its enabled peers to one map, or to several side by side. */
    int (*grant)(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes);

    /** Start a copy on the private stream of `ordinal` for its way; both addresses are device addresses or aliases. */
    int (*copy)(struct device *self, unsigned ordinal, uint64_t to, uint64_t from, uint64_t bytes);
    /**
     * Pages of the program's managed memory may be on `to` alone from now on, which is a device, DEVICE_NONE or DEVICE_ANY; before,
     * on `from`. Whoever else uses them does so where they are. What is elsewhere stays there until it is sent.
     */
    int (*confine)(struct device *self, unsigned from, unsigned to, uint64_t address, uint64_t bytes);
    /** Start to send such pages to the host on `ordinal`'s private stream of what goes out. */
    int (*send_home)(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes);

    /** Start to fill device memory with zeros, on the same stream as copies to it. */
    int (*zero)(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes);
    /** Start a search on the stream of what goes out; `copied` waits for it. -ENOTSUP: it runs no
     *  kernel of ours. */
    int (*scan)(struct device *self, unsigned ordinal, const struct scan *scan);
    /** Wait for every copy, and whatever else was, started on `ordinal`'s private streams of these ways. An error ends them,
     *  too: none touches memory any more, and what they wrote is unknown. */
    int (*copied)(struct device *self, unsigned ordinal, unsigned ways);

    /** What the program's `stream` is given from now on waits for the copies that were started on `ordinal` until
     *  now. Nobody waits for that. -ENOTSUP, -EIO. NULL where the device has no such order. */
    int (*order)(struct device *self, unsigned ordinal, void *stream);

    /** Blocks that were freed in the order of a stream, and that the stream has come to the free of: give back, by
     *  core_give_ordered, until `bytes` are. Never waits. Returns the bytes. NULL where nothing is freed so. */
    uint64_t (*give_ordered)(struct device *self, unsigned ordinal, uint64_t bytes);

    /** Wait until all work submitted so far to every context of `devices`, bits by ordinal, has finished, or until
     *  `deadline_ns` of `now_ns`. -ETIMEDOUT, or -EBUSY while a stream capture is open. */
    int (*drain)(struct device *self, uint32_t devices, uint64_t deadline_ns);
    /** Has the work ended that the last drain which ran out of time on `ordinal` was waiting for? True when there was
     *  none. Never waits. */
    bool (*rested)(struct device *self, unsigned ordinal);
    /** The devices whose kernels reach memory of `ordinal`, itself among them; bits by ordinal. */
    uint32_t (*reachers)(struct device *self, unsigned ordinal);
    /** The devices whose streams may have work on memory of `ordinal`: those that reach it, and those that were ever given
     *  a copy of it or a graph; bits by ordinal. */
    uint32_t (*users)(struct device *self, unsigned ordinal);

    /** The device that runs what the calling thread gives `stream` now; NULL: its default stream. DEVICE_MAX: that is not
     *  known. NULL where all memory is everybody's. */
    unsigned (*runs_on)(struct device *self, const void *stream);

    /** Bytes free and in total on the device, as the driver says. */
    int (*memory)(struct device *self, unsigned ordinal, uint64_t *out_free_bytes, uint64_t *out_total_bytes);

    /** Visit every root, or only those that the CPU can write while kernels read them (pinned, managed).
     *  -ENOTSUP and a static sentence in `*out_why` when some root cannot be known: then nothing unregistered may
     *  be unmapped. Stops with what `visit` returns when that is not 0. */
    int (*roots)(struct device *self, bool cpu_writable_only, root_visit_fn visit, void *arg,
                 const char **out_why);

    /** Monotonic clock in nanoseconds. */
    uint64_t (*now_ns)(struct device *self);
};

#endif
