#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The last line of scripts/test: what counts as a case, and when the script fails. Output is TAP.
# usage: test_summary.sh SUMMARY
set -u

. "$(dirname "$0")/tap.sh"

summary=$1

explain() {
    printf '%s\n' "expected $expected" "got $status $out"
}

# counts NAME STATUS LINE [OPTION...]: the log on stdin gives this last line and this exit status.
counts() {
    case_name=$1
    expected="$2 $3"
    shift 3
    cat >"$work/log"
    out=$(python3 "$summary" "$@" "$work/log")
    status=$?
    check "$case_name" [ "$status $(printf '%s\n' "$out" | tail -n 1)" = "$expected" ]
}

counts "cases of a TAP program are counted one by one" 1 "2 passed, 1 failed, 1 skipped" <<'LOG'
{"name": "a", "result": "FAIL", "returncode": 1, "stdout": "1..4\nok - one  (0.01s)\nnot ok - two\nok 3\nok - four # SKIP no GPU\n"}
LOG

counts "a program without TAP is one case" 0 "1 passed, 0 failed, 1 skipped" <<'LOG'
{"name": "a", "result": "OK", "returncode": 0, "stdout": "hello\n"}
{"name": "b", "result": "SKIP", "returncode": 77, "stdout": ""}
LOG

counts "a program that dies after its good cases has failed" 1 "1 passed, 1 failed, 0 skipped" <<'LOG'
{"name": "a", "result": "ERROR", "returncode": -11, "stdout": "1..2\nok - one\n"}
LOG

counts "a time-out has failed" 1 "0 passed, 1 failed, 0 skipped" <<'LOG'
{"name": "a", "result": "TIMEOUT", "returncode": -15}
LOG

counts "a failure that was expected is no failure" 0 "1 passed, 0 failed, 0 skipped" <<'LOG'
{"name": "a", "result": "EXPECTEDFAIL", "returncode": 1, "stdout": ""}
LOG

counts "nothing run is a failure" 1 "0 passed, 0 failed, 0 skipped" </dev/null

counts "runs that were left out are counted" 0 "1 passed, 0 failed, 2 skipped" --skipped 2 <<'LOG'
{"name": "a", "result": "OK", "returncode": 0, "stdout": ""}
LOG

counts "runs that did not build are failures" 1 "1 passed, 1 failed, 0 skipped" --failed 1 <<'LOG'
{"name": "a", "result": "OK", "returncode": 0, "stdout": ""}
LOG

plan
