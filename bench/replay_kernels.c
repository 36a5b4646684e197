/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of replay_program: how long it takes by itself, sixteen pointers, and what it does with each: BYTES | PASSES << 48,
 * with the highest bit set, so that nothing takes that for an address. */
#include "simgpu.h"

enum {
    USES = 16
};

#define WORD(index)                                                                                          \
    {                                                                                                        \
        8 * (index), 8                                                                                       \
    }
#define WORDS_8(index)                                                                                       \
    WORD(index), WORD((index) + 1), WORD((index) + 2), WORD((index) + 3), WORD((index) + 4),                 \
        WORD((index) + 5), WORD((index) + 6), WORD((index) + 7)

SIMGPU_EXPORT extern const struct simgpu_param use_params[];
const struct simgpu_param use_params[] = {WORDS_8(0), WORDS_8(8), WORDS_8(16), WORDS_8(24), WORD(32), {0, 0}};

static uint64_t word(void **params, unsigned index)
{
    return *(uint64_t *)params[index];
}

SIMGPU_EXPORT void use(const struct simgpu_launch *launch, void **params);
void use(const struct simgpu_launch *launch, void **params)
{
    (void)launch;
    for (unsigned i = 0; i < USES; i++) {
        uint64_t what = word(params, 1 + USES + i);

        if (what)
            simgpu_touch_times((const void *)(uintptr_t)word(params, 1 + i), what & ((UINT64_C(1) << 48) - 1),
                               (unsigned)(what >> 48 & 0x7fff));
    }
    simgpu_take(word(params, 0));
}
