"""The report's figures: arrays in, a matplotlib figure out; nothing here reads a record.

There is a module for each kind of figure. `panels` defines the look of a rule and of an axis, `series` draws the common
parts of figures, `svg` writes a figure as a file and as an element of a page. This package may import
`analysis.statistics` and `studies.tuning`, for the numbers that it draws.
"""
