#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A document's tables are what a bench measured. Output is TAP.
# usage: test_bench_write.sh WRITE DOCUMENT
#   DOCUMENT   the tree's own
set -u

. "$(dirname "$0")/tap.sh"

write=$1
ours=$2

explain() {
    cat "$work/document"
}

has() {
    grep -qF -- "$1" "$work/document"
}

cat >"$work/launch.json" <<'JSON'
{"name": "launch", "rounds": 3, "groups": [{"group": "launch, 8 pointers", "variants": [
  {"variant": "empty call", "samples_ns": [10, 20, 40]},
  {"variant": "empty call in a mutex", "samples_ns": [16, 26, 46]},
  {"variant": "hot", "samples_ns": [40, 52, 70]}]}]}
JSON
cat >"$work/malloc.json" <<'JSON'
{"name": "malloc", "rounds": 3, "groups": [
  {"group": "64 B, 1 thread", "variants": [{"variant": "libc", "samples_ns": [10, 20, 40]},
    {"variant": "the library", "samples_ns": [5, 10, 20]}]},
  {"group": "64 B, 2 threads", "variants": [{"variant": "libc", "samples_ns": [10, 20, 40]},
    {"variant": "the library", "samples_ns": [8, 16, 32]}]},
  {"group": "program grow", "variants": [{"variant": "libc", "samples_ns": [10, 20, 40]},
    {"variant": "the library", "samples_ns": [20, 40, 80]}]}]}
JSON
printf '%s\n' before '<!-- bench launch -->' 'old figures' '<!-- end -->' between '<!-- bench malloc -->' '<!-- end -->' \
    after >"$work/document"

python3 "$write" "$work/launch.json" "$work/document" && python3 "$write" "$work/malloc.json" "$work/document"
check "what was measured is written" [ $? = 0 ]
check "differences are those of a round, with the middle half" \
    has '| launch hook, 8 pointers, hot | 30.0 ns (30.0 to 31.0) | a mutex locked and unlocked 6.00 ns (6.00 to 6.00) |'
check "a row that was not measured is left out" [ "$(grep -c '^| launch hook' "$work/document")" = 1 ]
check "ratios are those of a round, over all settings" has '| 16 B to 1 KiB | 0.50 to 0.80 | not measured |'
check "programs have their mean beside them" \
    has 'Programs beside glibc: strings that grow by realloc 2.00. Their geometric mean is 2.00.'
check "the noise of the machine is stated" has "rounds is 75 to 75 % of its median wide"
check "what was there before is gone" [ "$(grep -c 'old figures' "$work/document")" = 0 ]
check "the rest stays" [ "$(grep -cxE 'before|between|after' "$work/document")" = 3 ]

cp "$work/document" "$work/once"
python3 "$write" "$work/launch.json" "$work/document"
check "written twice it says the same" cmp -s "$work/once" "$work/document"

printf '%s\n' 'no place for it' >"$work/document"
! python3 "$write" "$work/launch.json" "$work/document" 2>/dev/null
check "a document without a place for it is an error" [ $? = 0 ]
check "and stays as it is" [ "$(cat "$work/document")" = 'no place for it' ]

# has_each_place: every bench that a table is made of finds its place in the tree's document.
has_each_place() {
    cp "$ours" "$work/document"
    for bench in launch alloc api malloc; do
        echo "{\"name\": \"$bench\", \"rounds\": 1, \"groups\": [{\"group\": \"any\", \"variants\": [
            {\"variant\": \"any\", \"samples_ns\": [1]}]}]}" >"$work/any.json"
        python3 "$write" "$work/any.json" "$work/document" || return 1
    done
}
check "the tree's document has a place for each bench" has_each_place

plan
