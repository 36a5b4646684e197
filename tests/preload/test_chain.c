/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other preloads and plugins that look symbols up from where they stand. Run in several orders of LD_PRELOAD:
 * chain_first.so and chain_second.so each add to what the next chain_value() says.
 */
#include "shared_object.h"

#include <criterion/criterion.h>
#include <stdlib.h>

extern int chain_value(void);

Test(chain, each_preload_finds_the_next_one)
{
    /* 1 the library, 10 and 100 the preloads; once each, whatever the order. */
    cr_expect_eq(chain_value(), 111);
}

Test(chain, a_plugin_finds_what_only_its_own_scope_has)
{
    void *plugin = dlopen("plugin_scope.so", RTLD_NOW | RTLD_LOCAL);

    cr_assert(plugin, "%s", dlerror());
    int (*by_default)(void) = (int (*)(void))dlsym(plugin, "plugin_by_default");
    int (*by_next)(void) = (int (*)(void))dlsym(plugin, "plugin_by_next");

    cr_expect_null(dlsym(RTLD_DEFAULT, "plugin_private"));
    cr_expect_eq(by_default(), 42);
    cr_expect_eq(by_next(), 42);
}
