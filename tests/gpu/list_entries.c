/* SPDX-License-Identifier: Apache-2.0 */
/* For check-entries: each row of libcuda.def as `KIND symbol [older symbol]`, with the versions that cuda.h chose. */
#include <cuda.h>
#include <stdio.h>

#define TEXT(name)         #name
#define EXPANDED(name)     TEXT(name)
#define FUNCTION(name)     puts("FUNCTION " EXPANDED(name));
#define OLDER(name, older) puts("OLDER " EXPANDED(name) " " older);
#define OPTIONAL(name)     puts("OPTIONAL " EXPANDED(name));

int main(void)
{
#include "libcuda.def"
    return 0;
}
