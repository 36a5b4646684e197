/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the driver knows, by address: allocations, mappings of physical handles, pinned host memory,
 * module globals. An allocation or a mapping is one object; it is what operations name, and what pointer
 * attributes describe.
 */
#ifndef SIMGPU_MEMORY_H
#define SIMGPU_MEMORY_H

#include "device/device.h"
#include "driver/sim.h"

enum memory_kind {
    MEMORY_NATIVE,     /* cuMemAlloc */
    MEMORY_POOLED,     /* cuMemAllocAsync */
    MEMORY_MANAGED,    /* cuMemAllocManaged */
    MEMORY_MAPPED,     /* cuMemMap */
    MEMORY_PINNED,     /* cuMemHostAlloc */
    MEMORY_REGISTERED, /* cuMemHostRegister */
    MEMORY_GRAPH,      /* allocation nodes of graphs */
    MEMORY_GLOBAL,     /* a variable of a module */
    MEMORY_IMPORTED,   /* cuIpcOpenMemHandle: of another process */
    MEMORY_ARRAY,      /* bytes of an array, whose address no program knows */
    MEMORY_KINDS
};

enum {
    ACCESS_READ = 1,
    ACCESS_WRITE = 2
};

struct graph_memory;
struct slab;
struct physical;
struct pool;

struct memory {
    uintptr_t start;
    size_t size; /* as asked for; a mapping's is the handle's */
    enum memory_kind kind;
    int device; /* ordinal of the device that holds it, or DEVICE_HOST; managed: of its context */
    struct context *context; /* that allocated it; NULL for mappings */
    uint64_t place;          /* of the first byte */
    uint64_t id;             /* CU_POINTER_ATTRIBUTE_BUFFER_ID, never used twice */
    unsigned flags;          /* as given to cuMemHostAlloc, cuMemHostRegister, cuMemAllocManaged */
    unsigned uses;           /* incomplete operations that name it */
    unsigned refs;           /* those, and one while it is in the map */
    bool freed;              /* in the order of a stream, which has not come to it yet, perhaps */
    bool sync_memops;
    bool read_only;                    /* registered with CU_MEMHOSTREGISTER_READ_ONLY */
    unsigned char access[DEVICES_MAX]; /* mappings, graphs' memory: ACCESS_ bits per device */
    unsigned char host_access;         /* mappings: ACCESS_ bits of the CPU */
    struct physical *physical;         /* mappings: what is mapped */
    struct slab *slab;                 /* small allocations: where they were carved from */
    struct pool *pool;                 /* pooled ones */
    struct graph_memory *graph;        /* allocation nodes */
    size_t held_bytes;                 /* pooled and large ones: physical bytes */
};

/* A piece of known memory or of unknown host memory (memory NULL) that an operation reads or writes. */
struct name {
    struct memory *memory;
    uint64_t place;
    size_t size;
    bool write;
};

/* A new object with one reference, in the map; NULL when memory is out. */
struct memory *memory_add(uintptr_t start, size_t size, enum memory_kind kind, int device, uint64_t place);

/* Takes it out of the map and drops the map's reference. */
void memory_remove(struct memory *memory);

void memory_hold(struct memory *memory);
void memory_drop(struct memory *memory);

/* What contains the address, or NULL. */
struct memory *memory_find(uintptr_t address);

/* What starts exactly there and is of that kind, or NULL. */
struct memory *memory_exact(uintptr_t address, enum memory_kind kind);

/* Index order over all objects, ascending: the first that ends after the address, or NULL. */
struct memory *memory_after(uintptr_t address);

/* Whether code on the device may touch it in that way (peer access and access grants included). */
bool memory_allows(const struct memory *memory, const struct device *device, bool write);

/*
 * Checks one operand of a copy or set by that device: every byte of [start, start + size) must be known
 * memory that the device may touch, or that cuMemAlloc took from another one; host says that the CPU must be
 * able to, and lets unknown host memory pass.
 */
CUresult memory_check(const struct device *device, uintptr_t start, size_t size, bool write, bool host);

/* Whether it is memory of a device, not of the host (managed memory counts as both). */
bool memory_is_device(uintptr_t address);

/* Whether the CPU may hold it as an ordinary pointer without the driver reading it later: nothing the driver
 * knows. */
bool memory_is_pageable(uintptr_t address);

/* Live objects of that kind. */
size_t memory_count(enum memory_kind kind);

#endif
