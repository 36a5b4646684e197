# SPDX-License-Identifier: Apache-2.0
# programs: python3
# packages: python3 libpython3-testsuite libpython3.11-testsuite libpython3.13-testsuite
# seen: python3
modules='test_bytes test_memoryview test_json'
[ "$LONG" ] && modules="$modules test_os test_threading test_subprocess test_multiprocessing_fork test_decimal"
for python in $([ "$LONG" ] && echo /usr/bin/python3) python3 /usr/bin/python3; do
  "$python" -c 'import test.test_bytes' 2>/dev/null && break
done || exit 77
for module in $modules; do
  echo "== $module"
  # What a test prints may come between its name and its result, so only those are listed that failed.
  "$python" -m test -v $([ "$LONG" ] || echo --ignore '*big*') "$module" >"$module.log" 2>&1 </dev/null
  echo "status $?"
  grep -E '^(FAIL|ERROR): ' "$module.log" | sort
  grep -E '^(Ran [0-9]+ tests|FAILED|OK)' "$module.log" | sed 's/ in .*//'
done
"$python" -c 'import os; print(sorted(os.listdir("/proc/self/fd")))'
