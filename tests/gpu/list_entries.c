/* SPDX-License-Identifier: Apache-2.0 */
/* For check-entries: each row of libcuda.def as `KIND since symbol [older symbol]`, with the versions that cuda.h chose. */
#include <cuda.h>
#include <stdio.h>

#define TEXT(name)                #name
#define EXPANDED(name)            TEXT(name)
#define FUNCTION(name)            puts("FUNCTION 0 " EXPANDED(name));
#define OLDER(name, since, older) puts("OLDER " TEXT(since) " " EXPANDED(name) " " older);
#define OPTIONAL(name, since)     puts("OPTIONAL " TEXT(since) " " EXPANDED(name));

int main(void)
{
#include "libcuda.def"
    return 0;
}
