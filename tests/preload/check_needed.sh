#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The library needs libc and nothing else, binds at load, and exports only what it stands in front of.
set -eu
library=$1

needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v -e '^libc\.so' -e '^ld-linux' || true)
[ -z "$needed" ] || { echo "needs more than libc: $needed"; exit 1; }
readelf -d "$library" | grep -q 'NOW' || { echo "does not bind at load"; exit 1; }
extra=$(nm -D --defined-only "$library" | awk '{print $3}' | sed 's/@.*//' |
    grep -v -e '^cu[A-Z]' -e '^cuda[A-Z]' -e '^nvml[A-Z]' -e '^dlsym$' -e '^dlopen$' -e '^dlmopen$' -e '^dlclose$' -e '^__register_atfork$' -e '^_Fork$' -e '^ebb_' |
    grep -Evx -e '(m|c|re)alloc|reallocarray|c?free|(posix_)?memalign|aligned_alloc|p?valloc|mallinfo2?' \
        -e 'malloc_(usable_size|trim|stats_print)|mallctl(nametomib|bymib)?|[mrxsdn]allocx|sdallocx' || true)
[ -z "$extra" ] || { echo "exports: $extra"; exit 1; }
