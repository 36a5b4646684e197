/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for the library: the loader takes it, and it does nothing. */

__attribute__((visibility("default"))) int stub_is_loaded(void);

int stub_is_loaded(void)
{
    return 1;
}
