/* SPDX-License-Identifier: Apache-2.0 */
/* crowd.c - see crowd.h. */
#include "crowd.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/options.h"
#include "engine/core.h"
#include "fake_device.h"

struct options crowd_options;
static struct fake_device *fake;
static uint64_t first_address;

uint32_t *crowd_order;

static void must(int error, const char *what)
{
    if (!error)
        return;
    fprintf(stderr, "bench: %s: error %d\n", what, error);
    abort();
}

static void shuffle(uint32_t blocks)
{
    uint64_t random = 1;

    crowd_order = malloc(blocks * sizeof(*crowd_order));
    must(!crowd_order, "no memory");
    for (uint32_t i = 0, other; i < blocks; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        other = (uint32_t)((random >> 33) % (i + 1));
        crowd_order[i] = crowd_order[other];
        crowd_order[other] = i;
    }
}

void crowd_start(uint32_t blocks, const char *const *settings)
{
    struct fake_config config = {.capacity_bytes = 2 * blocks * GRANULE_BYTES, .contentless = true};

    options_init(&crowd_options);
    must(options_set(&crowd_options, "EBBTIDE_PERIOD_MS", "0"), "EBBTIDE_PERIOD_MS");
    for (; settings && *settings; settings += 2)
        must(options_set(&crowd_options, settings[0], settings[1]), settings[0]);
    fake = fake_create(&config);
    must(core_start(&crowd_options, &fake->device), "core_start");
    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t address;

        must(core_allocate(0, GRANULE_BYTES, 0, NULL, true, &address), "core_allocate");
        first_address = i ? first_address : address;
        must(address != first_address + i * GRANULE_BYTES, "blocks lie apart");
    }
    shuffle(blocks);
}

void crowd_finish(void)
{
    core_finish();
    must(fake_violation(fake) != NULL, fake_violation(fake));
    fake_destroy(fake);
    free(crowd_order);
}

uint64_t crowd_address(uint32_t index)
{
    return first_address + index * GRANULE_BYTES;
}
