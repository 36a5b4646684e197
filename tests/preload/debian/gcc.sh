# SPDX-License-Identifier: Apache-2.0
# programs: gcc make perl
# packages: gcc make perl
# seen: gcc make cc1 as ld
# The library's own policy, optimised and with debug information: what comes out is compared by its sum.
mkdir objects
cat >Makefile <<'M'
sources := $(filter-out %_main.c,$(wildcard $(SOURCE)/policy/*.c))
objects := $(patsubst $(SOURCE)/policy/%.c,objects/%.o,$(sources))
project.so: $(objects)
	@gcc -shared -Wl,--build-id=none -o $@ $(sort $^) && ls /proc/self/fd | wc -l
objects/%.o: $(SOURCE)/policy/%.c
	@gcc -std=gnu11 -O2 -g -fPIC -I$(SOURCE) -I$(SOURCE)/shim -fdebug-prefix-map=$(CURDIR)=. -c -o $@ $<
M
make -j2 project.so || exit
cksum project.so objects/*.o
gcc -O2 -o none none.c 2>&1
