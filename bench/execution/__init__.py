"""Trains chunks: the only training loop, and what carries chunks to where they train and their records back.

    from bench.execution.training import execute

    execute(chunk).records  # a list of rows; `bench.run` does this for every chunk of a study

`training` is the loop and `recorder` what it writes down. `checkpoints` keeps the state of a long training,
`cuda_graph` replays a step on a GPU. `coordinator` feeds an engine with chunks and alone writes; `engines` are found by
name, `process_pool` and `watchdog` are the processes of one machine. `estimate` says how long a study would take. This
package may import `storage`, `studies`, `metrics` and what is below them; not `report` and not `checks`.
"""
