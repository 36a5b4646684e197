/* SPDX-License-Identifier: Apache-2.0 */
/* top_no_screen.c - where there was no ncursesw to build with. See top_screen.h. */
#include "base/compiler.h"
#include "cli/cli.h"
#include "cli/top_screen.h"

int top_screen(IGNORED struct top_list *list, IGNORED char *filter, IGNORED size_t filter_bytes)
{
    return cli_fail("this command was built without ncursesw; 'ebbtide top --once' needs none");
}
