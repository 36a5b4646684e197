/* SPDX-License-Identifier: Apache-2.0 */
/* cuGetProcAddress: from a base name, a version and flags to an entry. */
#include "driver/entry.h"
#include "machine/options.h"

#include <string.h>

/* Length of the symbol's base name: without _vN and without the per-thread suffix. */
static size_t base_length(const char *symbol)
{
    size_t length = strlen(symbol);

    if (length > 5 &&
        (strcmp(symbol + length - 5, "_ptds") == 0 || strcmp(symbol + length - 5, "_ptsz") == 0))
        length -= 5;
    if (length > 3 && symbol[length - 3] == '_' && symbol[length - 2] == 'v' && symbol[length - 1] >= '2' &&
        symbol[length - 1] <= '9')
        length -= 3;
    return length;
}

/* The newest variant up to the version; one for the per-thread default stream, if wanted, before any other.
 */
static const struct entry *find(const char *name, int version, bool per_thread, bool *known)
{
    const struct entry *best = NULL;
    size_t length = strlen(name);

    for (unsigned i = 0; i < entry_count; i++) {
        const struct entry *entry = &entries[i];

        if (base_length(entry->symbol) != length || strncmp(entry->symbol, name, length) != 0 ||
            entry->version > options.driver_version)
            continue;
        *known = true;
        if (entry->version > version || (entry->stream == PER_THREAD && !per_thread))
            continue;
        if (!best || entry->stream > best->stream ||
            (entry->stream == best->stream && entry->version > best->version))
            best = entry;
    }
    return best;
}

static CUresult look_up(const char *name, void **found, int version, cuuint64_t flags,
                        CUdriverProcAddressQueryResult *status)
{
    const cuuint64_t all = CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    const struct entry *entry;
    bool known = false;

    if (!name || !found || flags & ~all || flags == all || version > options.driver_version)
        return CUDA_ERROR_INVALID_VALUE;
    entry = find(name, version, flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &known);
    *found = entry ? entry->exported : NULL;
    *status = entry   ? CU_GET_PROC_ADDRESS_SUCCESS
              : known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                      : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return CUDA_SUCCESS;
}

CUresult sim_cuGetProcAddress(const char *name, void **found, int version, cuuint64_t flags)
{
    CUdriverProcAddressQueryResult status;
    CUresult result = look_up(name, found, version, flags, &status);

    return result == CUDA_SUCCESS && !*found ? CUDA_ERROR_NOT_FOUND : result;
}

CUresult sim_cuGetProcAddress_v2(const char *name, void **found, int version, cuuint64_t flags,
                                 CUdriverProcAddressQueryResult *status)
{
    CUdriverProcAddressQueryResult own;

    return look_up(name, found, version, flags, status ? status : &own);
}
