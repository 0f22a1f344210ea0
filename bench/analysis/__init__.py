"""Records in, verdicts out: scores, the table, what is significant, how rules rank, what changed between two runs.

Records are long: a row for each replica, evaluation and metric. Nothing here reads a file or trains.

    from bench.analysis.table import table

    table(run.records, run.study)  # a row for each rule and game, with intervals

`scores` and `outcomes` query the records, `table` and `findings` judge them, `ranking` looks across games, `comparison`
across runs. `statistics` is below them: arrays in, numbers out. This package may import `registry` and `contracts`.
"""
