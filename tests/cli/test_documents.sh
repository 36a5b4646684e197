#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Documents name what is there. Output is TAP.
# usage: test_documents.sh CHECK
set -u

. "$(dirname "$0")/tap.sh"

script=$1

explain() {
    printf '%s\n' "$said"
}

# says NAME STATUS TEXT: what the script says of the tree: its status, and all that it prints.
says() {
    said=$(python3 "$script" --tree "$work" 2>&1)
    check "$1" [ "$? $said" = "$2 $3" ]
}

# document LINE...: README.md has these.
document() {
    printf '%s\n' "$@" >"$work/README.md"
}

mkdir -p "$work/shim/room" "$work/build" "$work/scripts" "$work/bench"
echo 'int room_open(void);' >"$work/shim/room/door.h"
echo 'echo run' >"$work/scripts/run"

# shellcheck disable=SC2016
{
    document 'See `shim/room/door.h`, `room/door.h`, `door.h`, `shim/room/` and `shim/room/*.h`.'
    says "a path from the root, of a room, a bare name, a folder and a pattern are there" 0 ""
    document 'one' 'See `shim/room/gone.h`.'
    says "a path that is not there is named, with its line" 1 "README.md:2: there is no shim/room/gone.h"
    document 'See `gone.h`.'
    says "so is a bare name" 1 "README.md:1: there is no gone.h"
    document '`#include "room/gone.h"`'
    says "and an include" 1 "README.md:1: there is no room/gone.h"
    document '[It](shim/room/door.h), [there](https://host/x.h), [lost](room/lost.h)'
    says "and where a link leads" 1 "README.md:1: there is no room/lost.h"
    document 'Run:' '' '    ./scripts/run x   as scripts/gone does' '```' 'sh scripts/lost' '```'
    says "commands are looked at, indented and fenced" 1 "README.md:3: there is no scripts/gone
README.md:5: there is no scripts/lost"
    document '`build/shim/lib.so`, `/var/tmp/x.c` and `EBB_HOME=a/b.c` are none of the tree'
    says "products and paths of the system are not" 1 "README.md:1: nothing is called EBB_HOME"
    document '`room_open()` and `room_shut`'
    says "an identifier is one of the code" 1 "README.md:1: nothing is called room_shut"
    document '## Cost' '' 'It takes 5.0 ns, of 10 ns.' '' '## Next' '' 'Not 7 ns.'
    echo '| it | 5.0 ns (4.9 to 5.1) | 110 ns |' >"$work/bench/README.md"
    says "a figure of cost is one of the tables" 1 "README.md:1: no table has the figure 10 ns"
    document 'nothing'
    rm "$work/bench/README.md"
    echo 'MAY_USE = {"room": ["base", "tier/device.h"]}' >"$work/scripts/rooms.py"
    printf '%s\n' '| room | contract | may use |' '| --- | --- | --- |' '| `shim/room/` | One. | base |' >"$work/CONTRIBUTING.md"
    says "the table of rooms is that of the check, and each room has a document" 1 "CONTRIBUTING.md:1: room has no README.md
CONTRIBUTING.md:1: room may use base tier/device.h, and here base"
    echo 'a room' >"$work/shim/room/README.md"
    sed -i 's/| base |/| tier\/device.h base |/' "$work/CONTRIBUTING.md"
    says "in any order" 0 ""
}

plan
