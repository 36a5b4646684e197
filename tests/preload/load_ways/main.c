/* SPDX-License-Identifier: Apache-2.0 */
/* Does the work once; WAY says through what. */
#include "way.h"

int main(void)
{
    return way_end(WAY());
}
