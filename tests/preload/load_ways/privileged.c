/* SPDX-License-Identifier: Apache-2.0 */
/* Linked to the library itself, since the loader takes no LD_PRELOAD from who starts a privileged program. */
#include "way.h"

#include <stdio.h>
#include <sys/auxv.h>

int main(void)
{
    printf("secure %lu\n", getauxval(AT_SECURE));
    return way_end(way_driver());
}
