"""Execution of chunks: the only training loop, and the engines that send chunks to workers and return their records.

    from bench.execution.training import execute

    execute(chunk).records  # a list of rows; `bench.run` does this for every chunk of a study

`training` is the loop and `recorder` collects its records. `checkpoints` stores the state of a long training,
`cuda_graph` replays a step on a GPU. `coordinator` submits chunks to an engine and is the only writer; `engines` are
selected by name, `process_pool` and `watchdog` manage the processes of one machine. `estimate` predicts the duration of
a study. This package may import `storage`, `studies`, `metrics` and the packages below them; not `report` or `checks`.
"""
