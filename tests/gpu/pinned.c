/* SPDX-License-Identifier: Apache-2.0 */
/* What a plain pinned copy reaches right now, for the programs whose moves are compared with it. */
#include "link.h"

int main(int argc, char **argv)
{
    double in, out;
    CUdeviceptr words;
    size_t bytes;

    measure_begin(argc, argv, "how fast are plain pinned copies?");
    measure_open();
    bytes = measure_size(256 << 20, 4 << 20);
    MUST(cuMemAlloc, (&words, bytes));
    in = link_rate(bytes, words, LINK_IN);
    out = link_rate(bytes, words, LINK_OUT);
    MUST(cuMemFree, (words));
    return measure_open_verdict("%.1f GB/s in, %.1f out", in, out);
}
