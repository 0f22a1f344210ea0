"""The output of a run, for people and tools: the page, tables, figures, the terminal, animations, exports.

All of it is made from the run's folder alone; the same records give the same bytes.

    from bench import Run
    from bench.report.page import write_report

    write_report(Run("results/my-run"))  # report.html, tuning.csv, figures/

`page` makes the report from `sections`, `figures` and ``templates``; `gallery` writes its figures as files. `tables`
are for papers, `leaderboard` shows runs of several people side by side, `terminal` and `status` are for the command,
`trainings` and `export` for other tools. This package may import `storage`, `studies`, `analysis`, `games`, `metrics`,
`registry` and the packages below them; it trains nothing.
"""
