"""The report's time slider: what it shows at a moment is what was recorded there; without a script the strip stands."""

from __future__ import annotations

import re

import pytest

import bench
from bench.report.page import render, write_report

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

RING = "ring8[width=16,batch_size=16]"
STUDY = bench.Study(
    optimizers="sgd,adam", games=f"{RING},digits[width=16,batch_size=16]", seeds="0-1", trials=0, budget=40,
    evaluations=4,
)  # fmt: skip
HOSTILE = "x<script>alert(1)</script>\"'&|<b onclick=alert(1)>{{ 7 * 191 }}"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return bench.run(STUDY, out=tmp_path_factory.mktemp("films") / "run")


@pytest.fixture(scope="module")
def html(run):
    return write_report(run).read_text("utf-8")


def costs(run, game):
    """The costs at which samples were recorded."""
    return next(
        held["samples_cost"].tolist() for chunk, held in run.tensors() if chunk["label"] == game and "samples" in held
    )


def films(html):
    return re.findall(r'<div class="film.*?</div>\n</div>', html, re.DOTALL)


def test_the_moments_are_recorded_ones(run, html):
    found = films(html)
    assert len(found) == 2
    for film, game in zip(found, STUDY.games, strict=True):
        shown = [float(cost) for cost in re.search(r'data-costs="([^"]*)"', film)[1].split("|")]
        recorded = costs(run, game)
        assert set(shown) <= set(recorded)
        assert (shown[0], shown[-1]) == (recorded[0], recorded[-1])
        assert f'max="{len(shown) - 1}"' in film
        assert film.count("<image ") == len(STUDY.optimizers) + ("digits" in game)


def test_every_strip_has_words_and_a_hostile_name_stays_one(run):
    records = run.records.assign(optimizer=run.records["optimizer"].cat.rename_categories({"sgd": HOSTILE}))
    manifest = run.manifest | {"study": run.manifest["study"] | {"optimizers": [HOSTILE, "adam"]}}
    tensors = [
        (chunk | {"optimizer": HOSTILE if chunk["optimizer"] == "sgd" else chunk["optimizer"]}, held)
        for chunk, held in run.tensors()
    ]
    page = render(records, manifest, tensors, {})
    for film in films(page):
        assert "<script" not in film
        assert "<b " not in film
        assert "1337" not in film
        assert len(re.findall(r'<svg [^>]*role="img" aria-label="[^"]+"', film)) == film.count("<svg ")


def test_old_runs_and_runs_without_samples_have_a_report(run):
    bare = [(chunk, {key: held[key] for key in held if not key.startswith(("samples", "spectrum"))})
            for chunk, held in run.tensors()]  # fmt: skip
    page = render(run.records, run.manifest, bare, {})
    assert not films(page)
    few = [(chunk, {key: part[:1] if key.startswith("samples") else part for key, part in held.items()})
           for chunk, held in run.tensors()]  # fmt: skip
    assert all('max="0"' in film for film in films(render(run.records, run.manifest, few, {})))


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture
def page(browser, run, html, request):
    """The report, opened from disk; it must not complain."""
    opened = browser.new_page(**getattr(request, "param", {}))
    heard = []
    opened.on("console", lambda message: heard.append(message.text))
    opened.on("pageerror", lambda error: heard.append(str(error)))
    opened.goto((run.path / "report.html").as_uri())
    yield opened
    assert not heard
    opened.close()


WINDOWS = """[...document.querySelectorAll('.film')].map(
    film => [...film.querySelectorAll('svg')].map(svg => svg.getAttribute('viewBox')))"""


def test_the_slider_moves_all_rules_to_one_moment(page, html):
    time = page.locator(".clock input").first
    said = page.locator(".clock output").first
    shown = re.search(r'data-costs="([^"]*)"', html)[1].split("|")
    assert said.inner_text() == f"cost {shown[-1]}"
    time.focus()
    page.keyboard.press("Home")
    assert said.inner_text() == f"cost {shown[0]}"
    assert {window.split()[0] for window in page.evaluate(WINDOWS)[0]} == {"0"}
    page.keyboard.press("ArrowRight")
    assert said.inner_text() == f"cost {shown[1]}"
    assert time.get_attribute("aria-valuetext") == f"cost {shown[1]}"
    rules, sheets = page.evaluate(WINDOWS)
    assert len(set(rules)) == 1, "the rules are not at the same moment"
    start, _, width, height = map(float, rules[0].split())
    assert start == width == height > 0
    assert {window.split()[0] for window in sheets} > {"0"}, "the other film moved as well, or the real images did"


def test_it_plays_to_the_end_and_stops(page):
    page.clock.install()
    film = page.locator(".film").first
    button, time = film.locator("button"), film.locator("input")
    button.press("Enter")
    assert (button.inner_text(), time.input_value()) == ("Pause", "0")
    page.clock.run_for(60_000)
    assert (button.inner_text(), time.input_value()) == ("Play", time.get_attribute("max"))


def test_in_print_the_whole_strip_stands(page):
    before = page.evaluate(WINDOWS)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for film, count in zip(
        page.evaluate(WINDOWS),
        page.evaluate("[...document.querySelectorAll('.clock input')].map(t => +t.max + 1)"),
        strict=True,
    ):
        sides = [window.split() for window in film]
        assert {float(wide) / float(high) for _, _, wide, high in sides} <= {1.0, float(count)}
        assert float(sides[-1][2]) == count * float(sides[-1][3])
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(WINDOWS) == before


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_without_a_script_the_whole_strip_stands(page):
    assert not page.locator(".clock").first.is_visible()
    assert page.locator(".costs").first.is_visible()
    box = page.locator(".film svg").first.bounding_box()
    moments = page.locator(".film").first.locator(".costs span").count()
    assert box["width"] == pytest.approx(moments * box["height"], rel=0.05)


@pytest.mark.parametrize(
    "page",
    [{"viewport": {"width": 360, "height": 700}}, {"viewport": {"width": 1280, "height": 700}, "color_scheme": "dark"}],
    indirect=True,
)
def test_it_fits_on_a_phone_and_on_a_desk(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    for box in page.locator(".film.live svg").all():
        size = box.bounding_box()
        assert size["width"] == pytest.approx(size["height"], rel=0.02)
        assert size["width"] > 90
