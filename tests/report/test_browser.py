"""The report in a browser: it opens from disk and asks for nothing, sorts, filters, changes its theme, fits a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import HOSTILE, RING, STUDY, Page, hostile_page, rendered

import bench
from bench.analysis.formatting import number

LONG = "lookahead[inner=alternating[direction=adam,lr=0.1],steps=5,alpha=0.5]"


@pytest.fixture
def opened(browser, reported, reported_html):
    """Opens a page from disk; at the end of the test it must have asked for nothing and complained of nothing."""
    pages = []

    def open_page(path=reported.path / "report.html", **settings):
        page = browser.new_page(**settings)
        page.heard = []
        page.on("console", lambda message: page.heard.append(message.text))
        page.on("pageerror", lambda error: page.heard.append(str(error)))
        page.on("dialog", lambda dialog: (page.heard.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: page.heard.append(request.url))
        page.goto(path.as_uri())
        pages.append((page, path))
        return page

    yield open_page
    for page, path in pages:
        kept = [word for word in page.heard if not word.startswith("data:image/png")]
        assert kept == [path.as_uri()]
        page.close()


def unfold(page):
    """Open what is folded."""
    page.evaluate("document.querySelectorAll('main details').forEach(part => { part.open = true; })")


def shown(page, selector):
    """The texts of what is seen."""
    return [part.inner_text().strip() for part in page.locator(selector).all() if part.is_visible()]


def background(page, selector="body"):
    """Red, green, blue as the screen shows it."""
    text = page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).backgroundColor")
    return [float(part) for part in text[text.index("(") + 1 : -1].split(",")[:3]]


@pytest.mark.parametrize("width", [360, pytest.param(1280, marks=pytest.mark.slow)])
def test_it_opens_from_disk(opened, reported_html, width):
    page = opened(viewport={"width": width, "height": 800})
    page.locator(".filters summary").click()
    for part in page.locator("article summary").all():
        part.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("figure > .card").count() == reported_html.count("<figure")
    assert all(page.evaluate("[...document.querySelectorAll('figure svg[role=img]')].map(s => s.getBBox().width > 20)"))


@pytest.mark.slow
def test_every_figure_says_what_it_shows(opened):
    page = opened()
    unfold(page)
    captions = page.locator("figcaption").all_inner_texts()
    for part, words in zip(page.locator("figure > .card > *").all(), captions, strict=True):
        said = page.locator(f"#{part.get_attribute('aria-labelledby')}")
        assert said.inner_text() == words
        assert len(words) > 20
    for part in page.locator("figure .reel svg[role=img]").all():
        assert part.get_attribute("aria-label")


@pytest.mark.slow
def test_a_phone_shows_long_names_too(opened, reported, tmp_path):
    records = reported.records[reported.records["game"] == "dirac"]
    records = records.assign(optimizer=records["optimizer"].cat.rename_categories({"sgd": LONG}))
    manifest = reported.manifest | {"study": reported.manifest["study"] | {"optimizers": [LONG, "ttur"]}}
    (tmp_path / "report.html").write_text(rendered(reported, records, manifest, tensors=[]), "utf-8")
    page = opened(tmp_path / "report.html", viewport={"width": 360, "height": 800})
    page.locator(".filters summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
def test_tables_sort_by_mouse_and_keyboard(opened):
    page = opened()
    column = 2 + STUDY.games.index(RING)
    values = f"[...document.querySelectorAll('#scores tbody tr')].map(r => +r.cells[{column}].dataset.value)"
    given = page.evaluate(values)
    head = page.locator("#scores thead th").nth(column)
    head.locator("button").click()
    assert page.evaluate(values) == sorted(given)
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(values) == sorted(given, reverse=True)
    page.locator("#scores thead button").first.click()
    assert page.locator("#scores tbody th").all_inner_texts() == sorted(STUDY.optimizers)
    assert head.get_attribute("aria-sort") is None


@pytest.mark.slow
def test_a_game_is_hidden_everywhere(opened):
    page = opened()
    page.locator(".filters summary").click()
    page.locator("input[name=game][value=dirac]").uncheck()
    assert page.locator(".filters [role=status]").inner_text() == "all rules, 1 of 2 games"
    for selector in ("main > section > h2", "nav a", "article h3", "#scores thead th", "#costs thead th"):
        texts = shown(page, selector)
        assert not [text for text in texts if text.startswith("dirac")]
        assert [text for text in texts if text.startswith("ring8")]
    assert shown(page, "#scores td[data-game=dirac]") == []
    page.locator("legend button[value=game]").click()
    assert [text for text in shown(page, "main > section > h2") if text.startswith("dirac")]


@pytest.mark.slow
def test_a_rule_is_hidden_in_every_table(opened):
    page = opened()
    page.locator(".filters summary").click()
    rows = len(shown(page, "tbody th[data-value=ttur]"))
    page.locator("input[name=rule][value=sgd]").uncheck()
    assert shown(page, "tbody th[data-value=sgd]") == []
    assert len(shown(page, "tbody th[data-value=ttur]")) == rows > 4
    assert [text for text in shown(page, "#provenance dt") if text == "sgd"] == []


@pytest.mark.slow
def test_a_rule_is_hidden_in_every_figure(opened):
    page = opened()
    unfold(page)
    page.locator(".filters summary").click()
    place = STUDY.optimizers.index("sgd")
    own, other = (page.locator(f"figure .r{k}") for k in (place, 1 - place))
    assert {part.evaluate("part => part.closest('figure') !== null") for part in own.all()} == {True}
    with_rules = page.evaluate(
        f"[...document.querySelectorAll('figure')].map(f => f.querySelectorAll('.r{place}, .r{1 - place}').length)"
    )
    assert all(with_rules), "a figure of which nothing is anybody's"
    page.locator("input[name=rule][value=sgd]").uncheck()
    assert not [part for part in own.all() if part.is_visible()]
    assert other.count() == len([part for part in other.all() if part.evaluate("p => p.checkVisibility()")])
    page.locator("input[name=rule][value=sgd]").check()
    assert own.count() == len([part for part in own.all() if part.evaluate("p => p.checkVisibility()")])


@pytest.mark.slow
def test_marks_are_seen(opened):
    """What many marks have in common stands in their group: they are ink on the screen."""
    page = opened()
    unfold(page)
    marks = page.locator("figure g:has(> use + use)")
    assert marks.count()
    for part in (marks.first, marks.last):
        part.scroll_into_view_if_needed()
        place = part.bounding_box()
        with_marks = page.screenshot(clip=place)
        part.evaluate("part => part.querySelectorAll('use').forEach(mark => mark.remove())")
        assert page.screenshot(clip=place) != with_marks


@pytest.mark.slow
def test_the_overview_shows_another_metric_and_comes_back(opened, reported_html):
    page = opened()
    page.locator(".filters summary").click()
    before = page.locator("#scores").inner_text()
    page.locator("select[name=metric]").select_option("high_quality")
    expected = Page(reported_html).table(f"Other metrics on {RING}")
    for rule in STUDY.optimizers:
        cell = page.locator(f"#scores td[data-rule={rule}]").nth(STUDY.games.index(RING))
        assert cell.inner_text() == expected[rule]["high_quality"][1]
        assert page.locator(f"#scores td[data-rule={rule}]").nth(0).inner_text() == "–"  # dirac has no samples
    heads = shown(page, f"section[data-game='{RING}'] table.metrics thead button")
    assert [head.split(" ↕")[0] for head in heads] == ["optimizer", "high quality"]
    page.locator("select[name=metric]").select_option("")
    assert page.locator("#scores").inner_text() == before
    page.locator("select[name=shows]").select_option("rank")
    assert {text.split()[0] for text in shown(page, "#scores td[data-rule]")} == {"rank"}


@pytest.mark.slow
def test_both_themes_by_the_system_and_by_choice(opened):
    light, dark = (opened(color_scheme=scheme) for scheme in ("light", "dark"))
    assert min(background(light)) > 200
    assert max(background(dark)) < 60
    switch = dark.locator("#theme")
    for words, least, most in (("dark", 0, 60), ("light", 200, 255), ("as the system's", 0, 60)):
        switch.click()
        assert switch.inner_text() == f"Theme: {words}"
        assert least <= min(background(dark)) <= max(background(dark)) <= most


@pytest.mark.slow
def test_all_can_be_reached_by_keyboard(opened):
    page = opened()
    page.locator("#theme").focus()
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(e => e.tagName + (e.name || e.className || e.getAttribute('href')))(document.activeElement)"
            )
        )
        if seen[-1] == "SUMMARYnull" and "INPUTgame" not in seen:
            page.keyboard.press("Enter")
        if seen[-1] == "INPUTgame" and page.locator("input[name=game]:checked").count() == 2:
            page.keyboard.press("Space")
    assert page.locator("input[name=game]:checked").count() == 1
    for part in ("A#verdict", "A#overview", "INPUTrule", "SELECTmetric", "SELECTshows", "DIVscroll broad"):
        assert part in seen


@pytest.mark.slow
def test_paper_shows_all_and_no_controls(opened):
    page = opened(color_scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert min(background(page)) > 200
    for selector in (".filters", "#theme", "nav"):
        assert shown(page, selector) == []
    assert len(shown(page, "article table")) == page.locator("article table").count() > 0


@pytest.mark.slow
def test_a_hostile_report_does_nothing(opened, reported, tmp_path):
    (tmp_path / "report.html").write_text(hostile_page(reported), "utf-8")
    page = opened(tmp_path / "report.html")
    page.locator("#scores thead button").first.click()
    page.locator(".filters summary").click()
    page.locator("input[name=rule]").first.uncheck()
    page.locator("select[name=metric]").select_option(index=1)
    assert page.locator("script").count() == len(list(Path(bench.__file__).parent.glob("report/templates/*.js")))
    assert page.locator("input[name=rule]").first.get_attribute("value") == HOSTILE
    assert shown(page, "#scores tbody th") == ["ttur"]
    assert number(float("nan")) in shown(page, "#scores td[data-rule=ttur]")  # nothing is known of the ring


@pytest.mark.slow
def test_pointing_at_a_rule_lights_it_up_in_every_figure(opened):
    """And only it; a click keeps it lit, another lets it go. Never in the filters, where a click chooses."""
    page = opened(viewport={"width": 1280, "height": 900})

    def dimmed():
        script = "[...document.querySelectorAll('main svg [class^=r]')]"
        script += ".map(part => [part.classList[0], getComputedStyle(part).opacity])"
        return {name for name, opacity in page.evaluate(script) if float(opacity) < 0.5}

    button = page.locator(".legend button", has_text="ttur").first
    place = button.get_attribute("data-pick")
    assert dimmed() == set()
    button.hover()
    others = dimmed()
    assert others
    assert place not in others
    page.mouse.move(2, 2)
    assert dimmed() == set()
    button.click()
    page.mouse.move(2, 2)
    assert dimmed() == others
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    page.mouse.move(2, 2)
    assert dimmed() == set()


@pytest.mark.slow
def test_letters_of_figures_stay_legible_on_a_phone(opened):
    """At least ten pixels at 390: a figure scrolls instead of shrinking."""
    page = opened(viewport={"width": 390, "height": 800})
    unfold(page)
    script = """[...document.querySelectorAll('figure svg[role=img][width] text')]
        .map(t => parseFloat(getComputedStyle(t).fontSize) * Math.hypot(t.getScreenCTM().a, t.getScreenCTM().b))"""
    sizes = page.evaluate(script)
    assert len(sizes) > 20
    assert min(sizes) >= 9.5
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_figures_are_dark_in_the_dark(opened):
    page = opened(color_scheme="dark")
    assert max(background(page, "figure .card")) < 60
    assert "invert" in page.evaluate("getComputedStyle(document.querySelector('.card svg')).filter")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_words_of_a_film_can_be_read(opened, scheme):
    page = opened(color_scheme=scheme)
    paper = background(page, "figure .card")[0]
    for place in (".film .clock label", ".film .clock output", ".film .reel > p"):
        found = page.evaluate("s => getComputedStyle(document.querySelector(s)).color", place)
        ink = [int(part) for part in re.findall(r"\d+", found)[:3]]
        assert abs(ink[0] - paper) > 120, place


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_longest_words_of_the_overview_stay_in_their_cells(opened, width):
    page = opened(viewport={"width": width, "height": 800})
    page.evaluate("""() => document.querySelectorAll('#scores .rank').forEach(part => {
        part.textContent = 'rank none: cannot be trained here';
    })""")
    over = "[...document.querySelectorAll('#scores td')].filter(cell => cell.scrollWidth > cell.clientWidth + 1).length"
    assert page.locator("#scores .rank").count() == 4
    assert page.evaluate(over) == 0
