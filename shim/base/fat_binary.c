/* SPDX-License-Identifier: Apache-2.0 */
/* fat_binary.c - see fat_binary.h. */
#include "base/fat_binary.h"

#include <errno.h>
#include <lz4.h>
#include <string.h>

#include "base/pages.h"

/* No image is so large; what says so is garbage, and not to be given memory. */
#define ENTRY_MOST_BYTES ((size_t)1 << 30)

enum {
    PACKED_LZ4 = 0x2000,
    PACKED_ZSTD = 0x8000
};

struct head {
    uint32_t magic;
    uint16_t version;
    uint16_t head_bytes;
    uint64_t bytes; /* behind the head */
};

_Static_assert(sizeof(struct head) == FAT_BINARY_HEAD_BYTES, "as it lies in the file");

struct entry_head {
    uint16_t kind;
    uint16_t version;
    uint32_t head_bytes;
    uint64_t bytes; /* of what is behind it, filled up */
    uint32_t packed_bytes;
    uint32_t options_offset;
    uint16_t minor, major;
    uint32_t arch;
    uint32_t name_offset, name_bytes;
    uint64_t flags;
    uint64_t unused;
    uint64_t unpacked_bytes;
};

_Static_assert(sizeof(struct entry_head) == 64, "as it lies in the file");

size_t fat_binary_bytes(const void *start)
{
    struct head head;

    memcpy(&head, start, sizeof(head));
    return fat_binary_is(head.magic) && head.head_bytes >= sizeof(head) &&
                   head.bytes < SIZE_MAX - head.head_bytes
               ? head.head_bytes + head.bytes
               : 0;
}

static void visit_packed(const struct entry_head *head, const unsigned char *packed, struct fat_entry *entry,
                         fat_entry_visit_fn visit, void *arg)
{
    unsigned char *bytes = NULL;

    if (head->packed_bytes <= head->bytes && head->packed_bytes <= ENTRY_MOST_BYTES && head->unpacked_bytes &&
        head->unpacked_bytes <= ENTRY_MOST_BYTES)
        bytes = pages_take(head->unpacked_bytes);
    if (bytes && LZ4_decompress_safe((const char *)packed, (char *)bytes, (int)head->packed_bytes,
                                     (int)head->unpacked_bytes) == (int)head->unpacked_bytes) {
        entry->bytes = bytes;
        entry->size = head->unpacked_bytes;
    }
    visit(entry, arg);
    if (bytes)
        pages_give(bytes, head->unpacked_bytes);
}

static void visit_entry(const struct entry_head *head, const unsigned char *bytes, fat_entry_wanted_fn wanted,
                        fat_entry_visit_fn visit, void *arg)
{
    struct fat_entry entry = {
        .kind = (enum fat_entry_kind)head->kind,
        .arch = head->arch,
        .is_opaque = head->flags & PACKED_ZSTD,
    };
    bool is_known = (head->kind == FAT_ENTRY_PTX || head->kind == FAT_ENTRY_ELF) && !entry.is_opaque;

    if (!wanted(&entry, arg))
        return;
    if (is_known && head->flags & PACKED_LZ4) {
        visit_packed(head, bytes, &entry, visit, arg);
        return;
    }
    if (is_known) {
        entry.bytes = bytes;
        entry.size = head->bytes;
    }
    visit(&entry, arg);
}

int fat_binary_read(const void *start, size_t size, fat_entry_wanted_fn wanted, fat_entry_visit_fn visit,
                    void *arg)
{
    const unsigned char *bytes = start;
    struct entry_head entry;
    struct head head;
    size_t end, at;

    if (size < sizeof(head) || !(end = fat_binary_bytes(bytes)))
        return -ENOTSUP;
    memcpy(&head, bytes, sizeof(head));
    if (end > size)
        return -EINVAL;
    for (at = head.head_bytes; at < end; at += entry.head_bytes + entry.bytes) {
        if (end - at < sizeof(entry))
            return -EINVAL;
        memcpy(&entry, bytes + at, sizeof(entry));
        if (entry.head_bytes < sizeof(entry) || entry.head_bytes > end - at ||
            entry.bytes > end - at - entry.head_bytes)
            return -EINVAL;
        visit_entry(&entry, bytes + at + entry.head_bytes, wanted, visit, arg);
    }
    return 0;
}
