"""Eigenvalues of the game's Jacobian in the complex plane, rule beside rule; arrays in, a figure out.

For descent on F a point attracts if all of them have a positive real part; the left half of the plane is shaded
(Mescheder et al. 2017, arXiv:1705.10461; Berard et al. 2020, arXiv:1906.04848, figure 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bench.analysis.statistics import Array
from bench.report.figures.formats import current
from bench.report.figures.panels import Look, power_of_ten
from bench.report.figures.pictures import grid, name_panel
from bench.report.figures.svg import styled

REPELS = "#d5513518"
START = "#77776f"
TICKS = 4  # the most powers of ten on an axis
LINEAR = 0.15  # as a share of the typical size of the values: a symlog axis is linear within it
WIDE = 30  # an axis is symlog if its values exceed the linear part by this factor


@styled()
def spectra(end: Mapping[str, Array], start: Array, look: Mapping[str, Look], notes: Mapping[str, str]) -> Figure:
    """A panel for each rule: complex [m] at the end of training (filled) over those at its start (hollow), if any.

    ``notes`` are texts for panels, of rules without eigenvalues for example.
    """
    all_values = np.concatenate([start, *end.values()])
    figure, panels = grid(len(end), height=0.2)
    for axes, (rule, values) in zip(panels, end.items(), strict=True):
        colour = look[rule].colour if rule in look else "#000000"
        axes.plot(start.real, start.imag, ls="", marker="o", ms=4.5, mfc="none", mec=START, mew=0.8, zorder=2)
        axes.plot(values.real, values.imag, ls="", marker="o", ms=3.6, color=colour, mew=0, alpha=0.85, zorder=3)
        name_panel(axes, rule)
        axes.set_gid(look[rule].key if rule in look else None)
        if rule in notes:
            words: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes, "fontsize": "small"}
            axes.text(0.5, 0.75, notes[rule], color="#9a4a00", **words)
    size = float(np.abs(all_values).max(initial=0.0))
    _scale(panels[0], "x", all_values.real, size)
    _scale(panels[0], "y", all_values.imag, size)
    for axes in panels:
        _halves(axes)
    figure.supxlabel("real part", fontsize="medium")
    figure.supylabel("imaginary part", fontsize="medium")
    return figure


def _halves(axes: Axes) -> None:
    """Draw the axes, and shade the half of the plane that repels."""
    axes.axvspan(axes.get_xlim()[0], 0, color=REPELS, lw=0, zorder=0)
    axes.axvline(0, color="#60605a", lw=0.9, zorder=1)
    axes.axhline(0, color="#60605a", lw=0.5, zorder=1)
    axes.grid(False)
    axes.spines[:].set(visible=True, color="#8a8a85")
    axes.tick_params(color="#8a8a85", labelsize="small")


def _scale(axes: Axes, which: Literal["x", "y"], values: Array, size: float) -> None:
    """Set limits around the values, of this size, and the origin; symlog if the sizes differ widely."""
    sizes = np.abs(values[np.abs(values) > 1e-9])
    largest = float(sizes.max()) if sizes.size else 1.0
    typical = float(np.median(sizes)) if sizes.size else 1.0
    low, high = (float(end) for end in (np.min(values, initial=0.0), np.max(values, initial=0.0)))
    if largest > WIDE * LINEAR * typical * 2:
        near = 10 ** np.floor(np.log10(LINEAR * typical))
        getattr(axes, f"set_{which}scale")("symlog", linthresh=near, linscale=0.6)
        limits = min(1.8 * low, -2 * near), max(1.8 * high, 2 * near)
        getattr(axes, f"set_{which}lim")(*limits)
        ticks = _decades(near, *limits)
        getattr(axes, f"set_{which}ticks")(ticks, [power_of_ten(tick) for tick in ticks])
        getattr(axes, f"{which}axis").set_minor_formatter(NullFormatter())
        return
    margin = 0.12 * (high - low) or 0.4 * size or 1.0
    getattr(axes, f"set_{which}lim")(min(low - margin, -margin), max(high + margin, margin))
    axes.locator_params(axis=which, nbins=5 if current().width is None else 3)


def _decades(near: float, low: float, high: float) -> list[float]:
    """The origin and the largest powers of ten, at most `TICKS`; ``near`` itself would be too close to the origin."""
    outward = [10.0**power for power in range(round(np.log10(near)) + 1, int(np.floor(np.log10(max(-low, high)))) + 1)]
    both = [[size for size in outward if size <= end] for end in (-low, high)]
    stride = -(-sum(map(len, both)) // TICKS)
    below, above = (side[::-1][::stride] for side in both)
    return [*(-size for size in below), 0.0, *above[::-1]]
