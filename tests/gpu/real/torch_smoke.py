#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The least that shows PyTorch living on a GPU: an allocation of 1 GiB, kernels, cuBLAS, copies both ways and a graph.
One JSON line, then the time to exit is the caller's to see. Knows nothing of ebbtide."""
import json
import time

started_s = time.monotonic()
import torch  # noqa: E402 (what it takes is part of the answer)

imported_s = time.monotonic()
ones = torch.ones(1 << 28, device="cuda")
total = float(ones.sum())
print("allocated and summed", total, flush=True)
matrix = torch.arange(1 << 20, dtype=torch.float32).reshape(1024, 1024).cuda() / (1 << 20)
product = (matrix @ matrix).cpu()
print("multiplied, and copied back", flush=True)
target = torch.zeros(1 << 20, device="cuda")
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    target += 1
graph.replay()
graph.replay()
torch.cuda.synchronize()
print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda, "device": torch.cuda.get_device_name(0),
                  "sum": total, "product": float(product.double().sum()), "replayed": float(target.max()),
                  "memory": torch.cuda.mem_get_info(), "import_s": imported_s - started_s,
                  "seconds": time.monotonic() - imported_s}), flush=True)
if total != 1 << 28 or float(target.min()) != float(target.max()) or float(target.max()) != 2:
    raise SystemExit("wrong results")
