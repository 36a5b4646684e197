/* SPDX-License-Identifier: Apache-2.0 */
#include "way.h"

__attribute__((visibility("default"))) const char *way_plugin(void);

const char *way_plugin(void)
{
    return way_driver();
}
