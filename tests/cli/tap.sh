# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Cases in TAP, for the scripts beside it, which source it. `work` is a folder of the script's own, gone at its end.
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
count=0

# check NAME CONDITION...: one case; the condition is a command. Where it fails, what the script's `explain` prints is shown.
check() {
    name=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        explain | sed 's/^/# /'
    fi
}

# plan: the cases so far were all.
plan() {
    echo "1..$count"
}
