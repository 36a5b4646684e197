/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fat_binary.h - what lies in a fat binary: the same code as text and for several processors.
 *
 * Shape    one header and the entries behind it, plain or packed by LZ4. Entries that are packed by zstd are not looked
 *          into: the drivers that take those tell the parameters of kernels.
 * Owns     nothing; an entry that was packed lives as long as the call that is shown it.
 *          Never reads outside of the given bytes, whatever they are.
 */
#ifndef EBB_FAT_BINARY_H
#define EBB_FAT_BINARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FAT_BINARY_HEAD_BYTES = 16 /* so much tells what it is and how long */
};

enum fat_entry_kind {
    FAT_ENTRY_PTX = 1,
    FAT_ENTRY_ELF = 2
    /* and others, which are not looked into */
};

struct fat_entry {
    enum fat_entry_kind kind;
    unsigned arch;     /* 75, 90 … */
    bool is_opaque;    /* packed so that it is not looked into */
    const void *bytes; /* NULL: it is opaque, of another kind, or did not unpack to what it says */
    size_t size;
};

/** Is this one to be visited? Before it is unpacked, and `entry->bytes` NULL. */
typedef bool (*fat_entry_wanted_fn)(const struct fat_entry *entry, void *arg);
typedef void (*fat_entry_visit_fn)(const struct fat_entry *entry, void *arg);

/** Does one begin so? */
static inline bool fat_binary_is(uint32_t magic)
{
    return magic == UINT32_C(0xba55ed50);
}

/** How long a fat binary is that begins with these FAT_BINARY_HEAD_BYTES. 0: none does. */
size_t fat_binary_bytes(const void *head);

/** Call `visit` for every entry that `wanted` wants. 0; -ENOTSUP no fat binary; -EINVAL one
 *  that contradicts itself: what came before that was visited. */
int fat_binary_read(const void *bytes, size_t size, fat_entry_wanted_fn wanted, fat_entry_visit_fn visit,
                    void *arg);

#endif
