/* SPDX-License-Identifier: Apache-2.0 */
int plugin_private(void);

__attribute__((visibility("default"))) int plugin_private(void)
{
    return 42;
}
