"""The report's figures: arrays in, a matplotlib figure out; nothing here reads a record.

There is a module for each kind of figure. `panels` says how a rule and an axis look, `series` draws what figures have
in common, `svg` writes a figure as a file and as an element of a page. This package may import `analysis.statistics`
and `studies.tuning`, for the numbers that it draws.
"""
