/* SPDX-License-Identifier: Apache-2.0 */
/* kind_words.c - the words of kind_figures.h. */
#include "ledger/kind_figures.h"

const char *const kind_key[KIND_COUNT] = {[KIND_BLOCK] = "block",     [KIND_SMALL] = "small",
                                          [KIND_ASYNC] = "async",     [KIND_ASYNC_SMALL] = "async_small",
                                          [KIND_HANDLE] = "handle",   [KIND_NATIVE] = "native",
                                          [KIND_POOL] = "pool",       [KIND_GRAPH] = "graph",
                                          [KIND_MANAGED] = "managed", [KIND_ARRAY] = "array",
                                          [KIND_VMM] = "vmm",         [KIND_RESERVED] = "reserved",
                                          [KIND_IPC] = "ipc"};

const char *const kind_words[KIND_COUNT] = {
    [KIND_BLOCK] = "blocks",
    [KIND_SMALL] = "small allocations",
    [KIND_ASYNC] = "stream-ordered blocks",
    [KIND_ASYNC_SMALL] = "small stream-ordered allocations",
    [KIND_HANDLE] = "the program's handles",
    [KIND_NATIVE] = "the driver's allocations",
    [KIND_POOL] = "pools",
    [KIND_GRAPH] = "graphs",
    [KIND_MANAGED] = "managed memory",
    [KIND_ARRAY] = "arrays",
    [KIND_VMM] = "the program's mappings",
    [KIND_RESERVED] = "reservations",
    [KIND_IPC] = "other processes' memory",
};

#define STAY(name, key, words) [STAY_##name] = key,
const char *const stay_key[STAY_COUNT] = {
#include "ledger/stay.def"
};
#undef STAY

#define STAY(name, key, words) [STAY_##name] = words,
const char *const stay_words[STAY_COUNT] = {
#include "ledger/stay.def"
};
#undef STAY
