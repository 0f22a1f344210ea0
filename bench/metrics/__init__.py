"""What is measured of a replica: each metric is a function (game, w [R, n], oracle) -> [R] on all replicas at once.

A metric is decorated with the class of game it is for, which way is better, and the worst value, which a failed replica
counts as. It is judged on an oracle and samples of its own, that training never sees.
"""
