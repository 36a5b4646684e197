/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native.h - memory that the driver allocates itself: what it charges, and where it lies.
 *
 * Shape    one record per allocation, by address or handle. Allocations up to 1 MiB come out of slabs of 2 MiB: a
 *          slab is charged with the first allocation seen in it and given back with the last.
 * Charges  before the real call the most that it can cost, the rest given back after it; before the real free what
 *          the record says.
 * Threads  any. Nothing here calls malloc or the driver.
 */
#ifndef EBB_NATIVE_H
#define EBB_NATIVE_H

#include "base/table.h"
#include "engine/core.h"
#include "hook/hooks.h"

/** What a record stands for; each kind has its own keys. */
enum native_kind {
    NATIVE_MEMORY, /**< cuMemAlloc and the like, managed and imported memory: by address */
    NATIVE_ASYNC,  /**< from a pool: by address; the pool is charged, not the allocation */
    NATIVE_ARRAY,  /**< by handle */
    NATIVE_MAPPED, /**< the program's own cuMemMap: by address; its handle is charged */
    NATIVE_HOST,   /**< pinned and registered host memory: by address */
    NATIVE_KIND_COUNT
};

struct native {
    uint64_t bytes;   /**< that can be read at the address */
    uint64_t charged; /**< bytes charged for this record alone; 0 for a small one, whose slab is charged */
    int class;        /**< enum device_class, or enum host_class when `on_host` */
    unsigned ordinal;
    bool on_host;
    bool in_slab;
    CUcontext context;
    CUmemoryPool pool; /**< of NATIVE_ASYNC */
};

/** The most that an allocation of `bytes` can cost. */
uint64_t native_cost(uint64_t bytes);

/** What it costs to pin a range of host memory: whole pages. */
uint64_t native_pinned_cost(const void *memory, uint64_t bytes);

/** What it costs to register a range: what host blocks have of it is charged as theirs. */
uint64_t native_registered_cost(const void *memory, uint64_t bytes);

/** A range was registered with the driver or as a host block. Where that makes some of it both, the record gives back
 *  what it charged for that. */
void native_registered_settle(const void *memory, uint64_t bytes);

/** Charge before the real call. 0, or -ENOMEM: refused. */
int native_charge(unsigned ordinal, enum device_class class, uint64_t bytes, const void *call_site);
/** The real call failed: give back what native_charge charged. */
void native_refund(unsigned ordinal, enum device_class class, uint64_t bytes);

/** Between the two no record is removed: its memory can be read. Not nested; the driver may be called. */
void native_visit_begin(void);
void native_visit_end(void);

/** The real call succeeded: remember it, and give back what was charged too much. `record->charged` is what was
 *  charged. Without memory for the record the charge stays for good. */
void native_add(enum native_kind kind, uint64_t key, const struct native *record);
/** Before the real free: forget, and give back. False when it is not known. */
bool native_remove(enum native_kind kind, uint64_t key, struct native *out);
/** The real free failed: as before native_remove. */
void native_restore(enum native_kind kind, uint64_t key, const struct native *record);
/** The real free answered `result`: where it failed, what native_remove took (`known`) is restored. Returns
 *  `result`. */
CUresult native_freed(CUresult result, bool known, enum native_kind kind, uint64_t key,
                      const struct native *record);

bool native_find(enum native_kind kind, uint64_t key, struct native *out);
/** All records of a kind. 0 or -ENOMEM. */
int native_copy(enum native_kind kind, struct table_copy *out);
/** Everything of a context that has gone. */
void native_context_gone(CUcontext context);

#endif
