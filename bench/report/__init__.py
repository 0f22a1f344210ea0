"""What people and tools are shown of a run: the page, tables, figures, the terminal, animations, exports.

Everything is made of a run's folder alone; the same records give the same bytes.

    from bench import Run
    from bench.report.page import write_report

    write_report(Run("results/my-run"))  # report.html, tuning.csv, figures/

`page` is the report, made of `sections`, `figures` and ``templates``; `gallery` writes its figures as files. `tables`
are for papers, `terminal` and `status` for the command, `trainings` and `export` for other tools. This package may
import `storage`, `studies`, `analysis`, `games`, `metrics`, `registry` and what is below them; it trains nothing.
"""
