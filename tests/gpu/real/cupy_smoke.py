#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The least that shows CuPy living on a GPU: its pool, a kernel compiled at run time, a sort, a copy back. One JSON
line. Knows nothing of ebbtide."""
import json
import time

started_s = time.monotonic()
import cupy  # noqa: E402 (what it takes is part of the answer)

imported_s = time.monotonic()
numbers = cupy.arange(1 << 26, dtype=cupy.float32)
print("allocated", flush=True)
total = float((numbers * 2).sum(dtype=cupy.float64))
print("compiled at run time, summed", flush=True)
mixed = numbers[::-1].copy()
mixed.sort()
is_sorted = bool((mixed == numbers).all())
runtime = cupy.cuda.runtime
print(json.dumps({"cupy": cupy.__version__, "runtime": runtime.runtimeGetVersion(),
                  "driver": runtime.driverGetVersion(), "sum": total, "sorted": is_sorted, "import_s": imported_s - started_s,
                  "seconds": time.monotonic() - imported_s}), flush=True)
if not is_sorted or total != float((1 << 26) - 1) * (1 << 26):
    raise SystemExit("wrong results")
