"""Strips of moments, paths and spectra: what is drawn is what was recorded, whatever became of a rule."""

from __future__ import annotations

import base64
import io
import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.report.figures import films, formats, motion, pictures, sheets, spectra
from bench.report.figures.panels import looks
from bench.report.figures.svg import svg
from bench.report.sections.spectrum import eigenvalues

NAMES = [f"{'a-rule-with-a-name-of-sixty-letters' * 2}"[:57] + f"-{k:02}" for k in range(20)]
HOSTILE = "x<script>alert(1)</script>$\\frac$\"'&"
MODES = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def pixels(strip: str) -> np.ndarray:
    """A strip's opacity or ink, [height, width]."""
    picture = Image.open(io.BytesIO(base64.b64decode(strip.removeprefix("data:image/png;base64,"))))
    return np.asarray(picture.convert("RGBA"))


def reel(*places: tuple[float, float], costs: tuple[float, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """All samples at one place, moment by moment."""
    given = np.array([[place] * 5 for place in places], dtype=float)
    return np.array(costs or range(len(places)), dtype=float), given


# --- strips ----------------------------------------------------------------------------------------------------------


def test_a_sample_is_drawn_where_it_is_at_every_moment() -> None:
    film = films.points({"sgd": reel(*map(tuple, MODES))}, MODES, looks(["sgd"]), {})
    (panel,) = film.panels
    assert (panel.moments, film.costs) == (4, (0.0, 1.0, 2.0, 3.0))
    drawn = pixels(panel.strip)
    assert drawn.shape == (film.side, 4 * film.side, 4)
    for k, (x, y) in enumerate(film.marks):
        frame = drawn[:, k * film.side : (k + 1) * film.side, 3]
        rows, columns = np.nonzero(frame)
        assert (columns + 0.5).mean() == pytest.approx(x, abs=0.6)
        assert (rows + 0.5).mean() == pytest.approx(y, abs=0.6)
    assert film.marks[1][1] < film.side / 2 < film.marks[3][1], "up is up"
    strong = drawn[drawn[..., 3] == 255][0, :3]
    assert "#%02x%02x%02x" % tuple(strong) == looks(["sgd"])["sgd"].colour  # noqa: UP031


def test_what_is_outside_is_said_and_what_is_no_number_is_outside() -> None:
    away, lost = reel((0, 0), (50, 0)), reel((0, 0), (np.nan, np.inf))
    film = films.points({"a": away, "b": lost}, MODES, looks(["a", "b"]), {"b": "diverged at cost 1"})
    for panel in film.panels:
        assert panel.outside == (0, 100)
        assert not pixels(panel.strip)[:, film.side :, 3].any()
    assert [panel.note for panel in film.panels] == ["", "diverged at cost 1"]
    film = films.points({"b": reel((np.nan, np.nan))}, None, looks(["b"]), {})
    assert film.panels[0].outside == (100,)


def test_a_rule_that_stopped_early_goes_on_showing_its_end() -> None:
    reels = {"a": reel(*[(0, 0)] * 9), "b": reel((0, 0), (1, 0), costs=(0.0, 2.0))}
    costs, at = films.moments(reels, most=5)
    assert costs.tolist() == [0, 2, 4, 6, 8]
    assert at["a"].tolist() == [0, 2, 4, 6, 8]
    assert at["b"].tolist() == [0, 1, 1, 1, 1]


def test_a_strip_is_as_rich_as_fits() -> None:
    draw = np.random.default_rng(0)
    small, large = draw.uniform(-1, 1, (9, 36, 8, 8)), draw.uniform(-1, 1, (9, 36, 28, 28))
    for noise in (small, large):
        film = films.sheets(None, {"a": (np.arange(9.0), noise)}, looks(["a"]), {})
        (panel,) = film.panels
        assert len(panel.strip) * 3 / 4 <= films.ROOM or len(film.costs) == films.IMAGES[-1][1]
    flat = films.sheets(None, {"a": (np.arange(9.0), np.zeros((9, 36, 8, 8)))}, looks(["a"]), {})
    assert (flat.side, len(flat.costs)) == (6 * 9 + 1, 9)


def test_a_sheet_shows_each_image_in_its_place() -> None:
    ink = np.where(np.arange(4)[:, None, None] == 2, 1.0, -1.0) * np.ones((4, 3, 3))
    page = films.sheet(ink, 2)
    assert page.shape == (9, 9)
    assert (page[5:8, 1:4] == 1).all()
    assert (page == 1).sum() == 9
    film = films.sheets(ink, {"a": (np.zeros(1), ink[None])}, looks(["a"]), {})
    assert [panel.name for panel in film.panels] == ["real", "a"]
    assert (pixels(film.panels[0].strip)[1:4, 9:12, 0] == 0).all(), "ink is black, the third in its row"
    colour = films.sheets(None, {"a": (np.zeros(1), np.ones((1, 4, 3, 3, 3)) * [1, -1, -1])}, looks(["a"]), {})
    assert pixels(colour.panels[0].strip)[2, 2, :3].tolist() == [255, 0, 0]


def test_the_same_samples_give_the_same_strips() -> None:
    draw = np.random.default_rng(1)
    reels = {name: (np.arange(3.0), draw.normal(size=(3, 50, 2))) for name in NAMES}
    first, again = (films.points(reels, MODES, looks(NAMES), {}) for _ in range(2))
    assert first == again
    assert first.columns * -(-len(NAMES) // first.columns) >= len(NAMES)


# --- paths -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=60), st.floats(0.001, 0.5))
def test_a_simplified_path_stays_near_and_keeps_its_ends(points: list[tuple[float, float]], tolerance: float) -> None:
    path = np.array(points)
    kept = pictures.simplified(path, tolerance)
    assert (kept[0] == path[0]).all()
    assert (kept[-1] == path[-1]).all()
    assert len(kept) <= len(path)
    starts, along = (kept, np.zeros_like(kept)) if len(kept) == 1 else (kept[:-1], np.diff(kept, axis=0))
    for point in path:
        length = (along**2).sum(axis=1)
        share = np.clip(((point - starts) * along).sum(axis=1) / np.where(length > 0, length, 1), 0, 1)
        assert np.linalg.norm(starts + share[:, None] * along - point, axis=1).min() <= tolerance + 1e-9


def test_a_straight_path_is_its_ends() -> None:
    assert pictures.simplified(np.arange(100.0)[:, None] * [1, 2], 1e-6).tolist() == [[0, 0], [99, 198]]


def test_a_path_that_leaves_for_good_ends_at_the_border() -> None:
    path = np.array([[0.0, 0.0], [2, 0], [0.5, 0.5], [0.5, 3.5], [9, 9]])
    way, left = pictures.within(path, np.zeros(2), 1.0)
    assert left
    assert way.tolist() == [[0, 0], [2, 0], [0.5, 0.5], [0.5, 1.0]]
    assert pictures.within(path[:3], np.zeros(2), 1.0)[1] is False
    lost = np.array([[0.0, 0.0], [0.1, 0.1], [np.nan, 0.0], [0.2, 0.2]])
    way, left = pictures.within(lost, np.zeros(2), 1.0)
    assert left
    assert len(way) == 2
    way, left = pictures.within(np.full((3, 2), np.inf), np.zeros(2), 1.0)
    assert left
    assert not len(way)


# --- spectra ---------------------------------------------------------------------------------------------------------


def test_eigenvalues_that_can_be_trusted() -> None:
    numbers = torch.tensor(
        [[1.0, 0, 0], [0, 2, 0.01], [0, -2, 0.01], [0.5, 0, 1.0], [1e-17, 1, 0], [float("nan"), 0, 0]]
    )
    found = eigenvalues(numbers.double())
    assert sorted(found.tolist(), key=lambda z: (z.real, z.imag)) == [-2j, 1j, 2j, 1 + 0j]
    assert not eigenvalues(torch.full((4, 3), float("nan"))).size


@pytest.mark.parametrize("count", [1, 2, 20])
def test_spectra_of_any_size_are_drawn(count: int) -> None:
    names = [HOSTILE, *NAMES][:count]
    found = dict.fromkeys(names, np.array([1 + 1j, 1 - 1j]))
    found[names[-1]] = np.zeros(0, dtype=complex)
    drawn = svg(spectra.spectra(found, np.array([0.5j]), looks(names), {names[-1]: "none that is finite"}), "title")
    assert "none that is finite" in drawn
    wide = np.array([1e-9, 1e-3, 1e6, -1e6]) + 0j
    assert svg(spectra.spectra({"a": wide}, wide[:0], looks(["a"]), {}), "title")
    far = np.array([0.1, 0.2, 0.3, 1e3, -1e3]) + 0j
    drawn = svg(spectra.spectra({"a": far}, far[:0], looks(["a"]), {}), "title")
    assert "$" not in drawn
    assert {">0<", ">10³<", ">−10³<"} <= set(re.findall(">[^<>]+<", drawn))
    assert svg(spectra.spectra({"a": wide[:0]}, wide[:0], looks(["a"]), {"a": "none"}), "title")


# --- what moves ------------------------------------------------------------------------------------------------------


def test_points_go_straight_from_moment_to_moment() -> None:
    film = motion.Clouds({"a": reel((0, 0), (1, 0), costs=(0.0, 10.0))}, looks(["a"]), {}, MODES)
    moved = list(film.moved())
    assert [cost for cost, _ in moved] == pytest.approx(np.linspace(0, 10, motion.FRAMES + 1))
    for cost, where in moved:
        assert where["a"][:, 0] == pytest.approx(np.full(5, cost / 10))


def test_paths_show_what_was_there_at_their_cost() -> None:
    path = np.arange(50.0)[:, None, None] * np.ones((1, 2, 2))
    film = motion.Paths({"a": path}, {"a": np.arange(50.0)}, looks(["a"]), {}, np.zeros(2), None)
    for cost, where in film.moved():
        assert where["a"][-1, 0, 0] == np.floor(cost + 1e-9)


@pytest.mark.parametrize("names", [["a"], [HOSTILE, *NAMES[:3]]])
def test_every_frame_has_one_size_and_all_that_failed_are_in_it(names: list[str]) -> None:
    lost = (np.arange(3.0), np.full((3, 4, 2), np.nan))
    notes = dict.fromkeys(names, "diverged at cost 1")
    frames = list(motion.Clouds(dict.fromkeys(names, lost), looks(names), notes, MODES).frames())
    assert len({frame.shape for frame in frames}) == 1
    plain = list(motion.Clouds(dict.fromkeys(names, lost), looks(names), {}, MODES).frames())
    assert (frames[0] != plain[0]).any(), "what became of it is said"
    nowhere = dict.fromkeys(names, np.full((3, 2, 2), np.nan))
    costs = dict.fromkeys(names, np.arange(3.0))
    assert list(motion.Paths(nowhere, costs, looks(names), notes, None, None).frames())
    dark = dict.fromkeys(names, (np.arange(2.0), np.full((2, 36, 4, 4), np.nan)))
    assert len(list(motion.Sheets(dark, looks(names), notes).frames())) == 2


def test_labels_of_a_spectrum_do_not_overlap() -> None:
    names = [f"r{i}" for i in range(8)]
    sizes = np.geomspace(1e-2, 1e2, 30)
    wide = np.concatenate([sizes, -sizes[:25], 1j * sizes[:25]])
    figure = spectra.spectra(dict.fromkeys(names, wide), wide[:3], looks(names), {})
    figure.draw_without_rendering()
    labelled = 0
    for axes in figure.axes:
        boxes = [
            label.get_window_extent() for label in axes.get_xticklabels() if label.get_visible() and label.get_text()
        ]
        boxes.sort(key=lambda box: box.x0)
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
        labelled += len(boxes) >= 3
    assert labelled


# --- images that belong together, and lines of text ------------------------------------------------------------------


@pytest.mark.parametrize("group", [2, 3, 5, 6, 7, 8])
def test_images_that_belong_together_stand_in_a_box(group: int) -> None:
    """Every image is whole, in its order; between those of a strip is a grey line, between strips is white."""
    drawn = np.random.default_rng(group).choice([-1.0, 1.0], (64, 4, 4))
    across = sheets.across_groups(group)
    assert across % group == 0
    page = sheets.sheet(drawn, across, group)
    assert page.shape[0] == page.shape[1]
    places = [
        next((top, left) for top, left in np.ndindex(len(page) - 3, len(page) - 3)
             if (page[top : top + 4, left : left + 4] == picture).all())
        for picture in drawn[: 2 * group]
    ]  # fmt: skip
    (top, left), *others = places[:group]
    assert others == [(top, left + 5 * k) for k in range(1, group)], "one row for a sample"
    grey = 1 - 2 * sheets.GREY
    for start in (left + 5 * k - 1 for k in range(group + 1)):
        assert page[top - 1 : top + 5, start] == pytest.approx(grey)
    assert (page[top - 2] == -1).all() or top < 2
    film = films.sheets(drawn, {"a": (np.arange(2.0), np.stack([drawn] * 2))}, looks(["a"]), {}, group)
    assert len({pixels(panel.strip).shape[0] for panel in film.panels} | {film.side}) == 1


def test_lines_of_text_are_text() -> None:
    letters = np.array([[0, 1, 2], [2, 2, 0]])
    film = films.texts(letters, {"a": (np.arange(2.0), np.stack([letters, letters[::-1]]))}, looks(["a"]), {}, "<&A")
    assert [panel.moments for panel in film.panels] == [1, 2]
    drawn = [base64.b64decode(panel.strip.partition("base64,")[2]).decode() for panel in film.panels]
    found = [re.findall(r">([^<>]+)</text>", strip) for strip in drawn]
    assert found == [["&lt;&amp;A", "AA&lt;"], ["&lt;&amp;A", "AA&lt;", "AA&lt;", "&lt;&amp;A"]]
    for strip, moments in zip(drawn, (1, 2), strict=True):
        assert f'width="{moments * film.side}" height="{film.side}"' in strip
        starts = [float(x) // film.side for x in re.findall(r'<text x="([\d.]+)"', strip)]
        assert starts == sorted([*range(moments)] * 2)


@pytest.mark.parametrize("length", [5, 10, 16])
@pytest.mark.parametrize("width", ["3.25in", "1.5in", ""])
def test_printed_lines_of_text_do_not_meet(width: str, length: int) -> None:
    letters = np.zeros((4, 12, length), dtype=int)
    with formats.formatted(formats.format_of(width)):
        figure = pictures.texts(letters[0], {"a": (np.arange(4.0), letters), "b": (np.arange(4.0), letters)}, "W")
        figure.draw_without_rendering()
        drawn = [text for axes in figure.axes for text in (*axes.texts, axes.title) if text.get_text()]
        boxes = [text.get_window_extent() for text in drawn]
    assert len(boxes) >= 5
    assert all(not one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert min(text.get_fontsize() for axes in figure.axes for text in axes.texts) >= pictures.LEAST_LETTER
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
