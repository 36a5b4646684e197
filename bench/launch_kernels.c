/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of launch_program. */
#include "simgpu.h"

SIMGPU_EXPORT extern const struct simgpu_param nothing_params[];
const struct simgpu_param nothing_params[] = {{0, 8},  {8, 8},  {16, 8}, {24, 8}, {32, 8},
                                              {40, 8}, {48, 8}, {56, 8}, {0, 0}};

SIMGPU_EXPORT void nothing(const struct simgpu_launch *launch, void **params);
void nothing(const struct simgpu_launch *launch, void **params)
{
    (void)launch;
    (void)params;
}
