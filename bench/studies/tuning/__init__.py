"""Tuning: every rule gets the same number of trials, and what is chosen is frozen.

`tuner` is the loop: it gives chunks and is sent their records. `search` says where trials go, `pruning` which are given
up early, `optuna_adapters` runs samplers and pruners of Optuna's instead, `sensitivity` tells what the trials show.
"""
