#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Before and after: two builds of a bench that takes a given time are compared. Output is TAP.
# usage: test_bench_against.sh AGAINST
set -u

. "$(dirname "$0")/tap.sh"

against=$1

# bench FOLDER NAME TIMES VARIANT...: a bench that takes this many nanoseconds; the machine gets slower at each round.
bench() {
    file=$work/$1/bench_$2
    mkdir -p "$work/$1"
    {
        echo '#!/bin/sh'
        echo "echo $2 $1 >>$work/calls"
        echo "round=\$(cat $work/$1/$2.round 2>/dev/null || echo 1); echo \$((round * 2)) >$work/$1/$2.round"
        echo "[ \"\$1 \$2 \$3\" = '--rounds 1 --json' ] || exit 2"
        printf "printf '{\"name\": \"%s\", \"groups\": [{\"group\": \"all\", \"variants\": ['" "$2"
        echo " >\$4"
        ns=$3 comma=
        shift 3
        for variant; do
            echo "printf '$comma{\"variant\": \"$variant\", \"median_ns\": %d}' \$(($ns * round)) >>\$4"
            comma=,
        done
        echo "echo ']}]}' >>\$4"
    } >"$file"
    chmod +x "$file"
}

explain() {
    cat "$work/out"
}

compare() {
    python3 "$against" --rounds 3 --json "$work/out.json" "$work/after" "$work/before" "$@" >"$work/out" 2>&1
}

# says PATTERN: a line of the report, blanks taken together.
says() {
    tr -s ' ' <"$work/out" | grep -qE -- "$1"
}

json() {
    python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' "$work/out.json" "$1"
}

# takes_turns: each bench of one build runs right beside the other build's.
takes_turns() {
    paste -d' ' - - <"$work/calls" | awk '$1 != $3 || $2 == $4 { bad = 1 } END { exit bad || NR != 8 }'
}

bench before one 1000 same
bench after one 500 same
bench before two 1000 kept gone
bench after two 1250 kept new
compare one two
status=$?
check "two builds are compared" [ "$status" = 0 ]
check "a machine that gets slower is in both" says '^all same .* 0\.500 0\.500 0\.500 to 0\.500'
check "what got slower is seen" says '^all kept .* 1\.250 1\.250 1\.250 to 1\.250'
check "what only one build has is named" says '^all gone not compared: only before has it'
check "and the other way round" says '^all new not compared: only after has it'
check "few rounds are called few" says '^3 rounds are few'
check "the file has the ratios" json 'r["benches"][0]["variants"][0]["ratio_median"] == 0.5'
check "the file has each round but the first" json 'r["benches"][1]["variants"][0]["samples_ns"]["before"] == [2000, 4000, 8000]'
check "the builds take turns" takes_turns

bench before one 1000 old
! compare one
check "builds with nothing in common are an error" [ $? = 0 ]
printf '#!/bin/sh\nexit 3\n' >"$work/after/bench_one"
! compare one
check "a bench that fails is an error" [ $? = 0 ]
check "and is named" says 'bench_one of .*after failed with 3'
! compare three
check "so is one that a build lacks" says 'bench_three'

plan
