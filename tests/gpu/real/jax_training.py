#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A jitted training step with JAX, for a comparison to the bit: prints one JSON line with every loss and a hash of all
parameters. Knows nothing of ebbtide.

usage: jax_training.py [--steps N] [--seed N] [--small] [--cpu]
"""
import argparse
import hashlib
import json
import os
import time

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def main():
    """Trains a deep perceptron."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    if options.cpu:
        os.environ["JAX_PLATFORMS"] = "cpu"
    else:
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
        os.environ.setdefault("JAX_PLATFORMS", "cuda")

    import jax
    import numpy
    from jax import numpy as jnp

    width, layers, batch = (32, 3, 16) if options.small else (4096, 8, 4096)
    random = numpy.random.default_rng(options.seed)

    def draw(*shape):
        return jnp.asarray(random.standard_normal(shape, dtype=numpy.float32))

    weights = [draw(width, width) / width ** 0.5 for _ in range(layers)]
    given, wanted = draw(batch, width), draw(batch, width)

    def loss_of(weights):
        x = given
        for weight in weights:
            x = jnp.tanh(x @ weight)
        return jnp.mean((x - wanted) ** 2)

    @jax.jit
    def step(weights):
        loss, slopes = jax.value_and_grad(loss_of)(weights)
        return loss, [weight - 0.5 * slope for weight, slope in zip(weights, slopes)]

    started_s = time.monotonic()
    losses = []
    for _ in range(options.steps):
        loss, weights = step(weights)
        losses.append(float(loss).hex())
    result = hashlib.sha256(b"".join(numpy.asarray(weight).tobytes() for weight in weights))
    stats = jax.devices()[0].memory_stats() or {}
    print(json.dumps({"losses": losses, "hash": result.hexdigest(), "seconds": time.monotonic() - started_s,
                      "peak_bytes": stats.get("peak_bytes_in_use", 0)}))


if __name__ == "__main__":
    main()
