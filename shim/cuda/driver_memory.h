/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver_memory.h - memory that the driver allocates itself: what it charges, and where it lies.
 *
 * Shape    one record per allocation, by address or handle. Allocations up to 1 MiB come out of slabs of 2 MiB: a
 *          slab is charged with the first allocation seen in it and given back with the last.
 * Charges  before the real call the most that it can cost, the rest given back after it; before the real free what
 *          the record says.
 * Threads  any. Nothing here calls malloc or the driver.
 */
#ifndef EBB_DRIVER_MEMORY_H
#define EBB_DRIVER_MEMORY_H

#include "base/table.h"
#include "cuda/real.h"
#include "engine/core.h"

/** Kinds of memory that a record stands for; each has its own keys. */
enum driver_kind {
    DRIVER_MEMORY, /**< cuMemAlloc and the like, managed and imported memory: by address */
    DRIVER_ASYNC,  /**< from a pool: by address; the pool is charged, not the allocation */
    DRIVER_ARRAY,  /**< by handle */
    DRIVER_MAPPED, /**< the program's own cuMemMap: by address; its handle is charged */
    DRIVER_HOST,   /**< pinned and registered host memory: by address */
    DRIVER_KIND_COUNT
};

struct driver_memory {
    uint64_t bytes;   /**< that can be read at the address */
    uint64_t charged; /**< bytes charged for this record alone; 0 for a small one, whose slab is charged */
    int class;        /**< enum device_class, or enum host_class when `on_host` */
    enum stay why;    /**< it is no block */
    unsigned ordinal;
    bool on_host;
    bool in_slab;
    CUcontext context;
    CUmemoryPool pool; /**< of DRIVER_ASYNC */
};

/** The driver's own alignment of rows, which only it knows: asked for once per device with one byte. 0: unknown. */
size_t driver_memory_pitch(unsigned ordinal);

/** The most that an allocation of `bytes` can cost. */
uint64_t driver_memory_cost(uint64_t bytes);

/** Cost of pinning a range of host memory: whole pages. */
uint64_t driver_memory_pinned_cost(const void *memory, uint64_t bytes);

/** Cost of registering a range; parts that host blocks have are charged as theirs. */
uint64_t driver_memory_registered_cost(const void *memory, uint64_t bytes);

/** A range was registered with the driver or as a host block. Where that makes some of it both, the record gives back
 *  what it charged for that. */
void driver_memory_registered_settle(const void *memory, uint64_t bytes);

/** Charge before the real call. 0, or -ENOMEM: refused. */
int driver_memory_charge(unsigned ordinal, enum device_class class, uint64_t bytes);
/** The real call failed: give back what driver_memory_charge charged. */
void driver_memory_refund(unsigned ordinal, enum device_class class, uint64_t bytes);

/** The driver holds so much for what so much was charged for: charge or give back the difference. */
void driver_memory_adjust(unsigned ordinal, enum device_class class, uint64_t charged, uint64_t held);

/** Between the two no record is removed: its memory can be read. Not nested; the driver may be called. */
void driver_memory_visit_begin(void);
void driver_memory_visit_end(void);

/** The real call succeeded: remember it, and give back what was charged too much. `record->charged` is what was
 *  charged. Without memory for the record the charge stays for good. */
void driver_memory_add(enum driver_kind kind, uint64_t key, const struct driver_memory *record);
/** Before the real free: forget, and give back. False when it is not known. */
bool driver_memory_remove(enum driver_kind kind, uint64_t key, struct driver_memory *out);
/** The real free failed: as before driver_memory_remove. */
void driver_memory_restore(enum driver_kind kind, uint64_t key, const struct driver_memory *record);
/** The real free answered `result`: where it failed, what driver_memory_remove took (`known`) is restored. Returns
 *  `result`. */
CUresult driver_memory_freed(CUresult result, bool known, enum driver_kind kind, uint64_t key,
                             const struct driver_memory *record);

/** An address that the CPU may read: pinned, registered or plain host memory, and nothing on a device. */
bool driver_memory_is_on_host(CUdeviceptr address);

bool driver_memory_find(enum driver_kind kind, uint64_t key, struct driver_memory *out);
/** All records of a kind. 0 or -ENOMEM. */
int driver_memory_copy(enum driver_kind kind, struct table_copy *out);
/** Everything of a context that has gone. */
void driver_memory_context_gone(CUcontext context);

#endif
