/* SPDX-License-Identifier: Apache-2.0 */
/* use_list.c - what a call names is noted. See core.h. */
#include <string.h>

#include "base/compiler.h"
#include "engine/core.h"
#include "ledger/managed_range.h"
#include "ledger/state.h"

void use_range(struct use *use, uint64_t address, uint64_t bytes)
{
    uint64_t end = bytes > UINT64_MAX - address ? UINT64_MAX : address + bytes;
    struct block_info info;
    uint32_t count;
    uint8_t all;

    use_word(use, address);
    use->exact = true;
    if (UNLIKELY(core_managed_any()))
        use_managed(use, address, bytes);
    if (!core_owns(address))
        return;
    count = use->count;
    all = use->all;
    for (uint64_t at = address; !use->beyond && at < end; at = info.base + info.bytes) {
        bool is_guest = blocks_guest(&core.blocks, at, &info.base);

        info.bytes = GRANULE_BYTES;
        use->beyond = !is_guest && core_find(at, &info) < 0;
        if (!use->beyond && !is_guest && at != address)
            use_word(use, at);
    }
    if (use->beyond) { /* what is refused needs no room for what lies on the way */
        use->count = use->count < count ? use->count : count;
        use->all = all;
    }
}

static bool is_listed(const uint32_t *list, uint32_t count, uint32_t granule)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == granule)
            return true;
    return false;
}

NO_INLINE void use_crowded(struct use *use, uint32_t granule)
{
    uint32_t kept = 0;

    if (use->all & USE_MORE)
        return;
    for (uint32_t i = 0; i < use->count; i++)
        if (!is_listed(use->granule, kept, use->granule[i]))
            use->granule[kept++] = use->granule[i];
    use->count = kept;
    if (is_listed(use->granule, kept, granule))
        return;
    if (kept < USE_INLINE)
        use->granule[use->count++] = granule;
    else
        use->all |= USE_MORE;
}

void use_managed_words(struct use *use, const void *memory, size_t bytes)
{
    const char *at = memory;
    uint64_t word;

    for (; bytes >= sizeof(word); at += sizeof(word), bytes -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        use_managed(use, word, 0);
    }
}

void use_managed(struct use *use, uint64_t address, uint64_t bytes)
{
    if (managed_range_possible(address) && use->managed_count < USE_MANAGED)
        use->managed[use->managed_count++] = (struct use_managed){address, bytes};
}
