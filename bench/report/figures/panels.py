"""The common parts of the report's figures: the looks of rules, axes and their limits.

A rule has the same look (colour, dash, marker) in all figures, from a palette that colour-blind readers can tell apart
(after Wong 2011, Nature Methods 8:441). Bands are computed elsewhere. Failures are drawn as crosses in a separate strip
at the worse border, so a diverged replica is visible in every figure. The same arrays give the same bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from bench.analysis.statistics import Array
from bench.report.figures.formats import current

BEYOND = " What goes beyond the axis is drawn at its border, a point as a triangle."  # of a caption
COST = "cost (gradient evaluations)"
HEIGHT = 3.1  # inches of a figure on the page
MANY = 12  # the most curves that are all drawn strongly; of tuning, the most in one panel
FEW = 3  # the most decades of an axis with minor ticks
DECADES = 16  # the digits of float64
SEVERAL = 10  # values, of which one may be called far from the others
MARK = 3.6  # points of a marker; one size, so that an SVG holds its shape once
STRIP = "#8080801c"
STRONG = 5  # rules that are drawn strongly where there are more than MANY
FAINT = "#b4b4ae"  # of a rule that is not highlighted
COLOURS = [
    *(seaborn.color_palette("colorblind").as_hex()[i] for i in (0, 1, 2, 4, 9, 3, 5, 7)),
    "#000000",
    "#44358f",
    "#663311",
    "#8877ff",
    "#bbbb55",
    "#550055",
    "#666677",
    "#9900ff",
    "#aa5544",
    "#ddaacc",
    "#554444",
    "#6611bb",
]  # each of the second ten is as far as possible from all before it, also for colour-blind readers
CLOSE = 0.06  # of an axis, within which two lines are not both named
REFERENCE: dict[str, Any] = {"color": "#606060", "ls": ":", "lw": 1.2, "zorder": 1}


class Look(NamedTuple):
    """How a rule is drawn."""

    colour: str
    dash: Any
    marker: str
    key: str = ""
    """The class of its parts of a figure, with which a page hides them."""
    strong: bool = True
    """Whether it is drawn strongly; one that is not is a thin grey line, without band and marks."""

    @property
    def dashes(self) -> Any:
        """The dash in seaborn's form."""
        return "" if self.dash == "-" else self.dash[1]


class Axis(NamedTuple):
    """The axis of a score: its name, which way is better, its unit, the word for a failure, values to read it by."""

    name: str
    better: str
    unit: str = ""
    failed: str = "diverged"
    references: Mapping[str, float] = MappingProxyType({})
    """What known generators have, by name: a perfect one, one that has learned half, the untrained start."""

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")

    def reach(self, *parts: ArrayLike) -> dict[str, float]:
        """The references that an axis of these scores shows: none that would stretch it by more than ten times."""
        scores = np.concatenate([np.ravel(np.asarray(part, dtype=float)) for part in parts])
        scores = scores[np.isfinite(scores)]
        least = float(scores.min()) / 10 if scores.size and scores.min() > 0 else -math.inf
        return {name: value for name, value in self.references.items() if value >= least}

    @property
    def dotted(self) -> str:
        """What the dotted lines are, as a sentence of a caption; "" where there are none."""
        named = {
            "perfect": "a perfect sampler",
            "half": "a perfect one of half of the kinds of data",
            "start": "the untrained start",
        }
        told = [f"{named.get(name, name)} ({value:.3g})" for name, value in self.references.items()]
        return f" Dotted: {', '.join(told)}." if told else ""

    @property
    def label(self) -> str:
        return f"{self.words}{f' ({self.unit})' if self.unit else ''}, {self.better} is better"


def looks(rules: Sequence[str]) -> dict[str, Look]:
    """The look of every rule, by its place in the study; where colours come round again, dash and marker are others."""
    turn, dashes = len(COLOURS), ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
    return {
        rule: Look(COLOURS[i % turn], dashes[(i + i // turn) % 4], "os^Dv<P>h"[i % 9], f"r{i}")
        for i, rule in enumerate(rules)
    }


def emphasised(look: Mapping[str, Look], strong: Iterable[str]) -> dict[str, Look]:
    """The same looks, strong for these alone; a curve of any other is thin and grey."""
    kept = set(strong)
    return {rule: one._replace(strong=rule in kept) for rule, one in look.items()}


def leading(look: dict[str, Look], best_first: Sequence[str]) -> dict[str, Look]:
    """The looks where rules are many: the best are strong, unless a reader has chosen which are."""
    chosen = not all(one.strong for one in look.values())
    return look if chosen or len(best_first) <= MANY else emphasised(look, best_first[:STRONG])


def draw_references(axes: Axes, references: Mapping[str, float], along: str) -> None:
    """Dotted lines at known scores, each with its name at its end; ``along`` is the axis of the scores, "x" or "y".

    The limits of the axes are set before. Of lines that nearly coincide only the first is named.
    """
    named: list[float] = []
    for name, value in references.items():
        (axes.axhline if along == "y" else axes.axvline)(value, **REFERENCE)
        point = (1.0, value) if along == "y" else (value, 1.0)
        at = axes.get_yaxis_transform() if along == "y" else axes.get_xaxis_transform()
        place = float(axes.transAxes.inverted().transform(at.transform(point))[1 if along == "y" else 0])
        if 0 <= place <= 1 and all(abs(place - other) > CLOSE for other in named):
            beside: dict[str, Any] = (
                {"ha": "right", "va": "bottom"} if along == "y" else {"ha": "center", "va": "bottom"}
            )
            axes.annotate(name, point, xycoords=at, fontsize="small", color=REFERENCE["color"], **beside)
            named.append(place)


def highlighted(look: Mapping[str, Look], rules: Sequence[str]) -> dict[str, Look]:
    """The looks with these rules strong and all others grey; without rules as they are."""
    if not rules:
        return dict(look)
    shown = emphasised(look, rules).items()
    return {rule: one if one.strong else one._replace(colour=FAINT, dash="-") for rule, one in shown}


def alpha(most: float, total: float, look: Mapping[str, Look], rules: Iterable[str]) -> float:
    """How opaque a band is: at most ``most``, and less the more of them are drawn."""
    return min(most, total / max(1, sum(look[rule].strong for rule in rules)))


def height() -> float:
    """Inches of a usual panel, in the present format."""
    return HEIGHT * max(current().share, 0.64)


def short(name: str, most: int = 44) -> str:
    """A name, shortened in the middle if it is long; its $ are escaped, so that it is no formula."""
    tail = min(16, most // 3)
    cut = name if len(name) <= most else f"{name[: most - 1 - tail]}…{name[-tail:]}"
    return " ".join(cut.split()).replace("$", r"\$")


def lines(name: str, width: int) -> str:
    """A name on several lines, broken after brackets, commas and hyphens, or anywhere if there are none."""
    lines = [""]
    for part in re.findall(rf"(?:\\\$|[^\[\],…\-]){{1,{width}}}[\[\],…\-]?|[\[\],…\-]", short(name)):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def rows(axes: Axes, rules: Sequence[str], look: Mapping[str, Look]) -> None:
    """Label a row for each rule, from the top down."""
    names, few = [lines(rule, current().most(27)) for rule in rules], not all(look[rule].strong for rule in rules)
    size = "small" if any("\n" in name for name in names) else "medium"
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelsize=size)
    for label, rule in zip(axes.get_yticklabels(), rules, strict=True):
        label.set_gid(look[rule].key)
        if few and look[rule].strong:
            label.set_fontweight("bold")


class Range(NamedTuple):
    """Limits of an axis: logarithmic if no value is negative and they span more than a decade.

    What is far beyond all others is drawn at the border, since one wild seed would squeeze the others into a line: a
    value further from the middle 96 % than these are wide, and on a logarithmic axis one more than `DECADES` beyond 1.
    """

    log: bool
    low: float
    high: float

    @classmethod
    def of(cls, *parts: ArrayLike, keep: ArrayLike = ()) -> Range:
        """Limits around values of any shape; those to ``keep`` set the scale however far they are."""
        values, kept = _finite(*parts, keep), _finite(keep)
        if not values.size:
            return cls(False, 0.0, 1.0)
        positive, never = np.log10(values[values > 0]), np.log10(kept[kept > 0])
        if (values >= 0).all() and positive.size and np.ptp(positive) > 1:
            near = _near(np.clip(positive, min(0, positive.max()) - DECADES, max(0, positive.min()) + DECADES), never)
            if np.ptp(near) > 1:
                log_margin = 0.05 * np.ptp(near)
                return cls(True, float(10 ** (near.min() - log_margin)), float(10 ** (near.max() + log_margin)))
            values = np.concatenate([values[values == 0], 10**near])
        near = _near(values, kept)
        margin = float(0.06 * np.ptp(near)) or 0.1 * abs(float(near.max())) or 0.5
        return cls(False, float(near.min()) - margin, float(near.max()) + margin)

    def inside(self, values: ArrayLike) -> Array:
        return np.asarray(np.clip(np.asarray(values, dtype=float), self.low, self.high))

    def beyond(self, values: ArrayLike) -> NDArray[np.int8]:
        """On which side of the limits each value is: -1 below, 1 above, 0 within them or not finite."""
        given = np.asarray(values, dtype=float)
        return np.where(np.isfinite(given), (given > self.high).astype(np.int8) - (given < self.low), 0).astype(np.int8)

    def cuts(self, *parts: ArrayLike) -> bool:
        """Whether a finite value is outside of the limits."""
        return any(self.beyond(part).any() for part in parts)

    def set(self, axes: Axes, which: str) -> None:
        getattr(axes, f"set_{which}scale")("log" if self.log else "linear")
        getattr(axes, f"set_{which}lim")(self.low, self.high)
        if self.log:
            tick(getattr(axes, f"{which}axis"), self.low, self.high)

    def mark(self, axes: Axes, which: str, places: ArrayLike, values: ArrayLike, **style: Any) -> None:
        """A triangle at the border for each value beyond it; ``places`` [n] are those along the other axis."""
        sides = self.beyond(values)
        for side, border, marker in ((-1, self.low, "v<"), (1, self.high, "^>")):
            along = np.asarray(places, dtype=float)[sides == side]
            ends = np.full(along.shape, border)
            if along.size:
                points = (along, ends) if which == "y" else (ends, along)
                drawn: dict[str, Any] = {"ls": "", "clip_on": False} | style | {"marker": marker[which == "x"]}
                axes.plot(*points, **drawn)

    def mark_leaving(self, axes: Axes, places: Array, values: Array, **style: Any) -> None:
        """A triangle at the border of the vertical axis wherever a curve [T] leaves it."""
        sides = self.beyond(values)
        leaving = sides != np.concatenate([[0], sides[:-1]])
        self.mark(axes, "y", places[leaving], values[leaving], **style)


def _finite(*parts: ArrayLike) -> Array:
    values: Array = np.concatenate([np.ravel(np.asarray(part, dtype=float)) for part in parts])
    return np.asarray(np.clip(values[np.isfinite(values)], -1e300, 1e300))


def _near(values: Array, kept: Array) -> Array:
    """The values that are not further from the middle 96 % than these are wide, with those that are kept."""
    beyond = max(1, int(0.02 * values.size))
    if values.size < SEVERAL:
        return values
    middle: Array = np.sort(values)[beyond:-beyond]
    width = np.ptp(middle)
    near = (values >= middle[0] - width) & (values <= middle[-1] + width)
    return np.concatenate([values[near], kept]) if width else values


def power_of_ten(value: float) -> str:
    """10⁻³, −10², 0."""
    if value == 0:
        return "0"
    raised = str(round(np.log10(abs(value)))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{'−' if value < 0 else ''}10{raised}"


def tick(axis: Any, low: float, high: float) -> None:
    """Label a logarithmic axis: plain numbers near 1, else powers of ten; a few between if there are few decades."""
    plain, decades = low >= 1e-4 and high <= 1e5, np.log10(high / low)
    between = (2, 3, 5) if decades < 1.7 else (2, 5) if decades < 2.4 else ()

    def label(value: float, _: Any) -> str:
        return f"{value:g}" if plain else power_of_ten(value)

    axis.set_major_formatter(label)
    if decades > FEW:
        axis.set_minor_locator(NullLocator())  # too many to be legible, and slow to draw
        return
    axis.set_minor_locator(LogLocator(subs=between or (2, 5)))
    axis.set_minor_formatter(lambda value, position: label(value, position) if plain and between else "")


def blank(strip: Axes) -> None:
    strip.set_facecolor(STRIP)
    strip.grid(False)
    strip.spines[:].set_visible(False)
    strip.tick_params(which="both", left=False, bottom=False, labelbottom=False)
