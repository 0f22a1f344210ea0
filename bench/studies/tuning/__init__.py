"""Tuning: every rule gets the same number of trials, and what is chosen is frozen.

`tuner` is the loop: it gives chunks and is sent their records. Every rule and game is an Optuna study (`optuna_study`).
`search` says where trials go and `samplers` makes it a sampler of Optuna's, beside Optuna's own; `pruning` says which
are given up early and `pruners` makes it a pruner. `judging` says what a trial is judged by, `sensitivity` what all of
them show.
"""
