/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of a result that is read in pieces. Any thread, one digest per thread at a time. */
#ifndef PROGRAMS_DIGEST_H
#define PROGRAMS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct digest;

struct digest *digest_create(void);
void digest_add(struct digest *digest, const void *data, size_t bytes);

/* The 64-bit hash of everything added, in order; the digest is gone. */
uint64_t digest_finish(struct digest *digest);

/* The last two lines of a program: `hash` and `peak_device_bytes`. */
void result_print(uint64_t hash, uint64_t peak_bytes);

#endif
