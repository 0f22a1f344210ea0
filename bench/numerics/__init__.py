"""Tensor arithmetic whose bits do not depend on how replicas are packed.

Every function takes stacked replicas, [R, ...], and row r of the result depends on row r of the input alone. The same
row gives the same bits whatever its neighbours are, so that a result can be compared bit for bit after a change.

    from bench.numerics.randomness import normal

    normal(seeds, "latent", draw, (16, 64))  # [R, 16, 64]: a function of (seed, stream, draw) alone

`passes` go over all parameters at once where the compiled `kernels` are there. `runtime` sets and describes the
threads, the memory and the processor of the process. This package imports nothing of `bench` but its errors.
"""
