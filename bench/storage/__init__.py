"""A run on disk: append-only, atomic, no pickle; what is read is checked first, for a folder may come from anyone.

    from bench.storage.run_folder import RunFolder

    RunFolder("results/my-run").records  # a row for each replica, evaluation and metric

`run_folder` reads, `writer` is the one that writes. `records` and `archive` are the bytes of a chunk and of many,
`manifest` what a run was made with, `validation` what is refused, `files` and `names` how files are written and named.
`merge` makes one run of several, `baseline` keeps what a comparison needs. This package may import `studies`,
`registry` and what is below them.
"""
