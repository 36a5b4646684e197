/* SPDX-License-Identifier: Apache-2.0 */
/* seeded.c - a harness as a plain test: inputs from a seed, the same ones each time. Which failed is in the message. */
#include "fuzz.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum {
    INPUT_BYTES = 8192,
    INPUTS = 300
};

TestSuite(fuzz, .timeout = 36000);

Test(fuzz, no_seeded_input_finds_a_difference_from_the_model)
{
    static uint8_t data[INPUT_BYTES];
    unsigned count = getenv("EBBTIDE_TEST_LONG") ? 1000 * INPUTS : INPUTS;
    uint64_t random = 1;

    for (unsigned input = 0; input < count; input++) {
        for (size_t i = 0; i < sizeof(data); i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            data[i] = (uint8_t)(random >> 56);
        }
        cr_assert_eq(LLVMFuzzerTestOneInput(data, sizeof(data)), 0, "input %u", input);
    }
}
