/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - one harness, two ways to run it: libFuzzer finds inputs by itself, seeded.c draws them from a seed.
 *
 * A harness aborts where code and model differ.
 */
#ifndef EBBTIDE_TESTS_FUZZ_H
#define EBBTIDE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
