"""What is checked without a study: plug-ins by the laws they obey, the machine, a new plug-in's package.

    from bench import check

    [str(verdict) for verdict in check("extragrad") if verdict.broken]

`laws` and `game_laws` are the laws, `check` runs them on a name, `overhead` times a rule beside sgd. `machine` is
``bench doctor``, `scaffold` is ``bench init``. This package may import `metrics`, `studies`, `games`, `registry` and
what is below them.
"""
