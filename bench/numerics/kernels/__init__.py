"""Compiled kernels: the field of a GAN, the Jacobian's products and the passes of directions, for stacked replicas.

Eager torch passes through memory between any two operations. A kernel takes a replica at a time, so that a step's
numbers stay in the core's cache, and calls the same BLAS for its products. A replica's bits cannot depend on how it is
packed, because its neighbours are never touched.

    from bench.numerics.kernels.core import compiled, core

    core()  # {"core": "numba, products by torch", "numba": "0.68.1"}, or {"core": "torch"} where there are no kernels

`core` says what computes, without importing numba; `blas` finds the products; `compilation` compiles, and keeps on
disk. `intrinsics`, `functions` and `layers` are what kernels are made of. `field`, `pull`, `push`, `spectral_norm` and
`directions` are called from outside: by `bench.games.harness.compiled` and `bench.numerics.passes`, which fall back on
torch.
"""
