"""The report's figures: arrays in, a matplotlib figure out; nothing here reads a record.

There is a module for each kind of figure. `panels` and `layout` place and style panels; `svg`, `vector`, `strokes` and
`letters` write a figure as a small SVG. This package may import `analysis.statistics` and `studies.tuning`, for the
numbers that it draws.
"""
