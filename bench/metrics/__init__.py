"""What is measured of a replica: each metric is a function (game, w [R, n], oracle) -> [R] on all replicas at once.

A metric is decorated with the class of game it is for, which way is better, and the worst value, which a failed replica
counts as. It is judged on an oracle and samples of its own, that training never sees: `evaluation`.

    @metric("distance", on=Solvable, better="lower", worst=math.inf)
    def distance(game: Solvable, w: Tensor, F: Oracle) -> Tensor:
        return (w - game.solution()).norm(dim=1)

This package may import `games`, `registry`, `contracts` and `numerics`.
"""
