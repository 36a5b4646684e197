/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include "failure.h"

#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct digest {
    XXH64_state_t state;
};

struct digest *digest_create(void)
{
    struct digest *digest = failure_malloc(sizeof(*digest));

    XXH64_reset(&digest->state, 0);
    return digest;
}

void digest_add(struct digest *digest, const void *data, size_t bytes)
{
    XXH64_update(&digest->state, data, bytes);
}

uint64_t digest_finish(struct digest *digest)
{
    uint64_t hash = XXH64_digest(&digest->state);

    free(digest);
    return hash;
}

void result_print(uint64_t hash, uint64_t peak_bytes)
{
    printf("hash %016llx\npeak_device_bytes %llu\n", (unsigned long long)hash,
           (unsigned long long)peak_bytes);
    if (fflush(stdout))
        failure_exit(FAILURE_OTHER, "stdout", "cannot write the result");
}
