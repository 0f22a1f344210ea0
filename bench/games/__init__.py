"""The games, one file each; a file here is found without being listed anywhere.

A game is a class of `bench.contracts.Game` with the decorator ``@bench.game(name)``. The parts of games are in three
packages: `harness` (GANs on points, on images, of a user's own modules; losses), `networks` (layers for all replicas
at once) and `data` (image sets and the features that judge images).

    from bench import get_game

    get_game("ring8[loss=wgan-gp,batch_size=32]")

This package may import `registry`, `contracts` and `numerics`.
"""
