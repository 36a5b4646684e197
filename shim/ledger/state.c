/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - see state.h. */
#include "ledger/state.h"

#include "ledger/shrink.h"

struct core core = {.lock = LOCK_INIT(LOCK_CORE), .changed = PTHREAD_COND_INITIALIZER};
struct lock core_starting = LOCK_INIT(LOCK_START);
const struct shrinker *shrinker;
struct arena core_arena;
