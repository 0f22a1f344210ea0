"""A run on disk: append-only, atomic, no pickle; input is validated first, because a folder may come from anyone.

    from bench.storage.run_folder import RunFolder

    RunFolder("results/my-run").records  # a row for each replica, evaluation and metric

`run_folder` reads a run and `writer` writes it. `records` and `archive` encode a chunk and many chunks, `manifest`
describes how a run was made, `validation` checks content, `files` and `names` write and name files. `merge` joins
several runs, `baseline` stores the part of a run that a comparison needs. This package may import `studies`, `registry`
and the packages below them.
"""
