/* SPDX-License-Identifier: Apache-2.0 */
#include "way.h"

#include <stdio.h>

int way_end(const char *complaint)
{
    puts(complaint ? complaint : "kept");
    return complaint != NULL;
}
