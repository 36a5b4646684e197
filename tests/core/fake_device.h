/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_device.h - a struct device made of plain memory, for tests of the core.
 *
 * Addresses are real pointers: an address that is mapped and granted can be read and written by the test as
 * the GPU would, one that is not faults. Handles are ranges of a memory file, so the bytes belong to the
 * handle and follow it wherever it is mapped; host memory shows the same bytes under its alias, for the CPU
 * and where it is mapped.
 *
 * Strict   What a driver leaves to the caller is checked here: a broken rule is a violation. Each is counted, the first
 *          is kept as a sentence, and the call fails with -EIO where a driver would have to fail, too.
 *          - map wants a free, reserved range of the size of the handle; unmap undoes whole maps, side by side
 *          - release of a handle that is mapped; any use of one that was released
 *          - copies touch only mapped and granted addresses or aliases, when they are started and when they are done
 *          - while a kernel runs (fake_launch) nobody unmaps its range or copies from or to it
 *          A test ends with cr_assert_null(fake_violation(fake)).
 * Late     Nothing happens before it must: a copy is made when `copied` or `drain` waits for it, a kernel runs when
 *          `drain` or fake_finish_kernels waits for it. Who reads too early reads old bytes.
 * Time     Stands still until the test moves it.
 * Threads  Any, as a device promises. Fields without a note below are for reading once other threads have ended.
 */
#ifndef EBBTIDE_TESTS_FAKE_DEVICE_H
#define EBBTIDE_TESTS_FAKE_DEVICE_H

#include "tier/device.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fake_call {
    FAKE_RESERVE,
    FAKE_CREATE,
    FAKE_RELEASE,
    FAKE_HOST_CREATE,
    FAKE_HOST_DESTROY,
    FAKE_MAP,
    FAKE_UNMAP,
    FAKE_PLACE,
    FAKE_UNPLACE,
    FAKE_GRANT,
    FAKE_COPY,
    FAKE_ZERO,
    FAKE_SCAN,
    FAKE_COPIED,
    FAKE_ORDER,
    FAKE_CONFINE,
    FAKE_SEND_HOME,
    FAKE_DRAIN,
    FAKE_MEMORY,
    FAKE_ROOTS,
    FAKE_CALLS
};

enum {
    FAKE_RESERVATIONS = 4,
    FAKE_ROOTS_MAX = 16
};

struct fake_config {
    unsigned count;               /**< of devices; 0 stands for 1 */
    uint64_t capacity_bytes;      /**< of each device; 0: 1 GiB */
    uint64_t host_capacity_bytes; /**< of all host memory together; 0: 4 GiB */
    bool strict;                  /**< host memory cannot be mapped at a block's address */
    /** Only the books are kept: nothing can be read or written and host memory has no `cpu`. For a million
     * blocks, where the kernel's limit on mappings does not allow the real thing. */
    bool contentless;
    bool places; /**< chooses the addresses of blocks and moves their pages: fake_place.h */
};

/** How a device answers when it searches its own memory. */
enum fake_scan {
    FAKE_SCANS,   /**< rightly */
    FAKE_NO_SCAN, /**< -ENOTSUP, as where no kernel can be loaded; a contentless device always does */
    FAKE_MISSES   /**< as if there were nothing */
};

struct fake_root {
    struct root root;
    bool cpu_writable;
};

/** What a kernel does with its range once it gets to run. Must not call the device. */
typedef void (*fake_kernel_fn)(void *memory, uint64_t bytes, void *arg);

struct fake_reservation;
struct fake_handle;
struct fake_map;
struct fake_copy;
struct fake_kernel;
struct fake_host;
struct fake_places;
struct fake_pages;

struct fake_failure {
    uint64_t after; /* good calls before it */
    uint64_t times;
    int error;
};

struct fake_device {
    struct device device; /**< give &fake->device to the core */

    /* ---- the test sets these, before other threads run ---- */
    /** Called at the start of each call with no lock held, so that a test can act in the middle of a move. */
    void (*before)(struct fake_device *fake, enum fake_call call, void *arg);
    void *before_arg;
    _Atomic uint32_t restless; /**< devices, as bits, that do not come to rest: time jumps to the deadline */
    uint64_t busy_until_ns;    /**< what the devices have ends then: time jumps there */
    _Atomic uint32_t
        peers[DEVICE_MAX]; /**< devices, as bits, that reach the memory of this one, too; at any time */
    _Atomic uint32_t copiers[DEVICE_MAX]; /**< that were given copies of it; likewise */
    /** Stream i is of device i; a launch without one is of device 0, with any other of one that is not known. */
    char stream[DEVICE_MAX];
    int drain_error; /**< -ETIMEDOUT: time jumps to the deadline. -EBUSY: a capture is open. 0: drains work */
    struct fake_root root[FAKE_ROOTS_MAX];
    unsigned root_count;
    bool one_by_one; /**< unmap and grant refuse what is more than one map */
    enum fake_scan scan;
    const char *roots_unknown; /**< why roots answers -ENOTSUP, or NULL */

    /* ---- the test reads these ---- */
    uint64_t calls[FAKE_CALLS]; /**< made, failed ones included */
    uint64_t used_bytes[DEVICE_MAX];
    uint64_t host_used_bytes;
    uint64_t to_host_bytes;   /**< copied from the arena to an alias */
    uint64_t to_device_bytes; /**< copied from an alias into the arena */
    uint64_t placed_bytes;    /**< of ranges that were placed and not given back */
    uint64_t live_handles;    /**< created and not released; mappable host memory counts here and below */
    uint64_t live_hosts;
    uint64_t live_maps;
    uint64_t violations;
    char violation[160]; /**< the first */

    /* ---- its own ---- */
    pthread_mutex_t lock;
    _Atomic uint64_t clock_ns;
    struct fake_config config;
    struct fake_failure failure[FAKE_CALLS];
    int file;
    uint64_t file_bytes;
    char *
        view; /* of the file's first bytes: copies go through it and not through addresses that keep changing */
    struct fake_reservation *reservation;
    struct fake_handle *handle;
    uint64_t handle_count, handle_room;
    struct fake_map *map;
    uint64_t map_count, map_room, map_unused;
    struct fake_copy *copy;
    uint64_t copy_count, copy_room;
    bool is_ordered; /* kernels that were started since wait for the copies */
    struct fake_kernel *kernel;
    uint64_t kernel_count, kernel_room;
    struct fake_host *host;
    uint64_t host_count, host_room;
    struct fake_places *places;
    struct fake_pages *pages;
};

/** A fake device of this kind; NULL stands for the defaults. Aborts when the system gives no memory. */
struct fake_device *fake_create(const struct fake_config *config);

/** Everything goes, also what the core left behind. NULL is fine. */
void fake_destroy(struct fake_device *fake);

/** Let calls fail: `nth` from now (1 is the next) and, in all, `times` in a row; times 0 takes an earlier one
 * back.
 *  @error  what they return; 0: what such a call fails with (-ENOMEM create and host_create, -ETIMEDOUT
 * drain, -EIO) */
void fake_fail(struct fake_device *fake, enum fake_call call, uint64_t nth, uint64_t times, int error);

/** The first broken rule, or NULL. */
const char *fake_violation(struct fake_device *fake);

/** Start a kernel that uses this range until somebody waits for it. `kernel` may be NULL: the range is only
 * in use. */
void fake_launch(struct fake_device *fake, uint64_t address, uint64_t bytes, fake_kernel_fn kernel,
                 void *arg);

/** Let all kernels run to their end, as when enough time has passed. */
void fake_finish_kernels(struct fake_device *fake);

/** Kernels started and not finished. */
uint64_t fake_kernels(struct fake_device *fake);

void fake_advance(struct fake_device *fake, uint64_t ns);
uint64_t fake_now_ns(struct fake_device *fake);

/** Mapped and granted to `ordinal` from the first byte to the last? */
bool fake_reachable(struct fake_device *fake, unsigned ordinal, uint64_t address, uint64_t bytes);

/** Is what is mapped at `address` host memory? False where nothing is. */
bool fake_is_host(struct fake_device *fake, uint64_t address);

#endif
