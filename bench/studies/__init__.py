"""What is asked for, and what is tried next: a study, its plan, its tuning.

A study is rules x games x seeds; it is checked as a whole, and all its mistakes are told at once. A plan groups the
trainings of a study into chunks that train as one stack. Nothing here trains.

    from bench.studies.study import Study

    Study(optimizers="sgd,extragrad[direction=adam]", games="ring8", seeds="0-9", trials=16)

`study` and `order` are what a user writes, `toml` and `frozen` how files say it, `plan` and `cost` what comes of it,
`tuning` where trials go. This package may import `analysis`, `games`, `registry` and what is below them.
"""
