"""The leaderboard: runs of one protocol side by side, on a page that is inert whatever strangers call their rules."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pages import HOSTILE
from renaming import renamed, with_manifest
from silent import silent_games

import bench
from bench.analysis.ranking import ranks
from bench.report.leaderboard import write_leaderboard
from bench.storage.run_folder import RunFolder
from bench.storage.writer import RunWriter

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

Call = Callable[..., tuple[int, str, str]]
ALIKE: dict[str, Any] = {"trials": 4, "tuning_seeds": 2, "evaluations": 4, "budget": 60}
FIRST, IMAGE = "sgd,extragrad,optimistic", '"><img src=x onerror=alert(1)>'
VERIFIED = {"cells": 20, "agreed": 20, "differ": [], "exact": True, "machine": "AMD EPYC", "protocol": "2.0"}
RULE = '''
from bench import StepSize, UpdateRule

MARKER = None


class Mine(UpdateRule):
    """w+ = w - lr F(w - lr F(w))"""

    lr: StepSize = 0.1
    cost = 2.0

    def step(self, F, w, s):
        return w - self.lr * F(w - self.lr * F(w)), s
'''


def packed(folder: Path, **settings: Any) -> Path:
    with silent_games():  # so small a budget is too small to learn
        run = bench.run(bench.Study(**ALIKE | settings), out=folder, progress=False)
    RunWriter(run).pack()
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packed runs: two of the same budget and seeds, one of other seeds, one of a smaller budget."""
    folder = tmp_path_factory.mktemp("runs")
    packed(folder / "first", optimizers=FIRST, games="dirac,gaussian-mean", seeds="0-5")
    packed(folder / "second", optimizers="sgd,average", games="dirac", seeds="0-5")
    packed(folder / "other-seeds", optimizers="sgd,alternating", games="dirac", seeds="20-28")
    packed(folder / "short", optimizers="sgd,extragrad", games="dirac", seeds="0-5", budget=24)
    (folder / "first" / "verification.json").write_text(json.dumps(VERIFIED))
    (folder / "second" / "verification.json").write_text(json.dumps(VERIFIED | {"agreed": 19, "differ": [HOSTILE]}))
    return folder


@pytest.fixture(scope="module")
def site(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_leaderboard([runs], tmp_path_factory.mktemp("built") / "site", RunFolder).parent


class Read(HTMLParser):
    """A page: its tags, its contests as lists of rows, a row a list of cells' text; the attributes of rows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.contests: dict[tuple[str, str], list[list[str]]] = {}
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.silent, self.cell = 0, False
        self.feed(html)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.tags.append((tag, found))
        self.silent += tag in ("script", "style")
        if tag == "section":
            self.rows = []
            if "data-budget" in found:
                self.contests[str(len(self.contests) + 1), str(found["data-budget"])] = self.rows
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = True

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("script", "style")
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.texts.append(data)
        if self.cell:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]}{data}".split(" ")).replace("\n", " ")

    @property
    def links(self) -> list[str]:
        return [str(found["href"]) for tag, found in self.tags if "href" in found]


def read(site: Path) -> Read:
    return Read((site / "index.html").read_text("utf-8"))


def contest(page: Read, budget: str, head: str) -> list[list[str]]:
    """The rows of the contest at a budget whose scores have this head."""
    (rows,) = [rows[1:] for (_, b), rows in page.contests.items() if b == budget and rows[0][2].startswith(head)]
    return [[" ".join(cell.split()) for cell in row] for row in rows]


# --- what it ranks ---------------------------------------------------------------------------------------------------


def test_a_board_of_one_run_has_its_ranks(runs: Path, tmp_path: Path) -> None:
    run = bench.Run(runs / "first")
    page = read(write_leaderboard([runs / "first"], tmp_path / "site", RunFolder, reports=False).parent)
    expected = ranks(run.table(full=True), run.study)
    for game, head in (("dirac", "distance"), ("gaussian-mean", "mean error")):
        rows = contest(page, "60.0", head)
        shown = {row[1]: row[0].split()[0] for row in rows}
        assert shown == {rule: f"{expected[rule, game].rank:g}" for rule in FIRST.split(",")}
        spans = [
            f"{place.first}–{place.last}"
            for (_, of), place in expected.items()
            if of == game and place.first < place.last
        ]
        assert sorted(row[0].split()[1] for row in rows if " " in row[0]) == sorted(spans)


def test_budgets_are_contests_of_their_own_and_seeds_are_not(site: Path) -> None:
    page = read(site)
    assert [budget for _, budget in page.contests] == ["60.0", "24.0", "60.0"]  # the GAN first, then dirac twice
    long, short = contest(page, "60.0", "distance"), contest(page, "24.0", "distance")
    assert {row[1] for row in long} == {"sgd", "extragrad", "optimistic", "average", "alternating"}
    assert {row[1] for row in short} == {"sgd", "extragrad"}


def test_a_rule_of_several_runs_is_ranked_once(site: Path) -> None:
    """sgd of the first two runs is the very same: one row. It was verified, so it counts before one of more seeds."""
    rows = [row for row in contest(read(site), "60.0", "distance") if row[1] == "sgd"]
    assert [row[0] == "again" for row in rows] == [False, True]
    assert rows[0][5].startswith("first, second verified: 20 of 20 cells")
    assert rows[1][5].startswith("other-seeds not verified")
    assert rows[1][3] == "not ranked: its rule stands above"


def test_what_is_not_as_recorded_has_no_place(site: Path) -> None:
    page = read(site)
    (row,) = [row for row in contest(page, "60.0", "distance") if row[1] == "average"]
    assert (row[0], row[3]) == ("–", "not ranked: not as recorded")
    assert row[5].startswith("second not as recorded: 19 of 20 cells agree")
    assert "4 update rules in 3 contests" in page.text


def test_it_says_how_rules_were_compared(site: Path) -> None:
    page = read(site)
    assert "Report seeds differ between runs" in page.text
    beside = {row[1]: row[3] for row in contest(page, "60.0", "distance")}
    assert re.fullmatch(r"(behind|not told apart) intervals (apart|overlap)", beside["alternating"])
    assert {re.sub(r"p = .+", "p", beside[rule]) for rule in FIRST.split(",")} <= {
        "first",
        "behind p",
        "not told apart p",
    } | {"not ranked: its rule stands above"}
    assert "All on the same seeds" in page.text


def test_verification_is_shown(site: Path) -> None:
    page = read(site)
    assert "4 runs, 1 of 4 verified" in page.text
    assert "verified: 20 of 20 cells, bit for bit, on AMD EPYC" in page.text
    assert "not as recorded: 19 of 20 cells agree, bit for bit, on AMD EPYC" in page.text
    assert HOSTILE in page.text
    assert "not verified" in page.text


def test_the_command_of_a_row_trains_it_again(site: Path, runs: Path, call: Call, tmp_path: Path) -> None:
    page = (site / "index.html").read_text("utf-8")
    (command,) = {line for line in re.findall(r"<code>(bench run .*?)</code>", page) if "alternating" in line}
    shutil.copytree(site / "studies", tmp_path / "studies")
    with silent_games():
        code, _, said = call(*shlex.split(command)[1:], "--jobs", "1")
    assert code == 0, said
    again, before = bench.Run(tmp_path / "results" / "again"), bench.Run(runs / "other-seeds")
    expected = before.scores()
    expected = expected[expected["optimizer"] == "alternating"].reset_index(drop=True)
    assert again.scores().equals(expected)


def test_the_same_runs_give_the_same_bytes(site: Path, runs: Path, tmp_path: Path) -> None:
    orders = (("short", "first", "second", "other-seeds"), ("other-seeds", "second", "short", "first"))
    pages = [
        write_leaderboard([runs / name for name in order], tmp_path / str(at), RunFolder, reports=False)
        for at, order in enumerate(orders)
    ]
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert {path.name for path in (site / "reports").iterdir()} == {f"{path.name}.html" for path in runs.iterdir()}


def test_every_link_leads_somewhere(site: Path) -> None:
    page = read(site)
    ids = {found["id"] for _, found in page.tags if "id" in found}
    assert len(page.links) > 30
    for link in page.links:
        assert link[1:] in ids if link.startswith("#") else (site / link).is_file(), link


def test_a_report_is_made_anew_and_never_copied(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "short", tmp_path / "runs" / "short")
    (tmp_path / "runs" / "short" / "report.html").write_text("<script>alert(1)</script>")
    site = write_leaderboard([tmp_path / "runs"], tmp_path / "site", RunFolder).parent
    assert "alert(1)" not in (site / "reports" / "short.html").read_text("utf-8")


# --- what it refuses -------------------------------------------------------------------------------------------------


def refused(call: Call, *arguments: Any) -> str:
    """The one line that refuses it; nothing is written."""
    code, out, said = call("leaderboard", *arguments, "--out", "site")
    assert (code, out) == (2, "")
    assert not Path("site").exists()
    (line,) = said.splitlines()
    return line


def test_protocols_are_not_mixed(runs: Path, call: Call, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    with_manifest(tmp_path / "runs" / "short", lambda manifest: manifest.update(protocol="1.1"))
    line = refused(call, "runs")
    assert line == (
        "bench: a leaderboard is of one protocol, found 1.1 (short); 2.0 (first, other-seeds, second): "
        "give each its own folder"
    )


def test_what_there_is_to_rank(runs: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no run is there" in refused(call, "empty")
    assert "is no folder" in refused(call, "nothing")
    shutil.copytree(runs / "short", tmp_path / "other" / "first")
    assert "two runs are called 'first'" in refused(call, runs, "other")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    code, _, said = call("leaderboard", runs / "short", "--out", "mine")
    assert code == 2
    assert "was not written by bench" in said
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_an_earlier_page_is_replaced(runs: Path, call: Call, tmp_path: Path) -> None:
    for _ in range(2):
        code, out, _ = call("leaderboard", runs / "short", "--out", "site", "--no-reports")
        assert (code, out) == (0, "site/index.html\n")
    assert not (tmp_path / "site" / "reports").exists()
    assert not [link for link in read(tmp_path / "site").links if link.startswith("reports")]


def describes_nothing(manifest: dict[str, Any]) -> None:
    del manifest["descriptions"]["rules"]["sgd"]


def tried_more(manifest: dict[str, Any]) -> None:
    manifest["study"]["trials"] = 3


def another_budget(manifest: dict[str, Any]) -> None:
    manifest["study"]["budget"] = 1000.0


def no_budget(manifest: dict[str, Any]) -> None:
    manifest["study"]["budget"] = "banana"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (describes_nothing, "it does not say what 'sgd' is"),
        (tried_more, "sgd on dirac had 4 trials, its study says 3"),
        (another_budget, "sgd on dirac had 24 gradient evaluations, its study says 1000"),
        (no_budget, "its budget is 'banana'"),
    ],
)
def test_a_manifest_that_says_otherwise_than_the_records(
    change: Callable[[dict[str, Any]], None], words: str, runs: Path, call: Call, tmp_path: Path
) -> None:
    shutil.copytree(runs / "short", tmp_path / "runs" / "short")
    with_manifest(tmp_path / "runs" / "short", change)
    line = refused(call, "runs")
    assert "is damaged" in line
    assert words in line


def test_a_broken_verification_is_one_line(runs: Path, call: Call, tmp_path: Path) -> None:
    shutil.copytree(runs / "short", tmp_path / "runs" / "short")
    (tmp_path / "runs" / "short" / "verification.json").write_text(json.dumps(VERIFIED | {"agreed": 99}))
    assert "verification.json' is damaged: agreed is 99, more than the 20 cells" in refused(call, "runs")


def test_damaged_records_are_one_line(runs: Path, call: Call, tmp_path: Path) -> None:
    shutil.copytree(runs / "short", tmp_path / "runs" / "short")
    path = tmp_path / "runs" / "short" / "records.zip"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    assert "is damaged" in refused(call, "runs")


# --- other people's runs ---------------------------------------------------------------------------------------------


def test_no_plug_in_is_loaded(call: Call, tmp_path: Path) -> None:
    """A rule and its run; then its file is another's, who would like it to run."""
    (tmp_path / "mine.py").write_text(RULE)
    packed(
        tmp_path / "runs" / "mine", optimizers="./mine.py:Mine[label=Ours],sgd", games="dirac", seeds="0-3", trials=0
    )
    (tmp_path / "mine.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).write_text('it ran')")
    code, _, said = call("leaderboard", "runs")
    assert code == 0, said
    assert not (tmp_path / "ran").exists()
    page = read(tmp_path / "site")
    (row,) = [row for row in contest(page, "60.0", "distance") if "Ours" in row[1]]
    assert re.fullmatch(r"Ours ./mine.py:Mine own code [0-9a-f]{12}…", row[1])
    assert "Plug-ins, with what tells their files from others: ./mine.py:Mine" in page.text


@pytest.fixture(scope="module")
def hostile(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of runs whose rules, labels, folders, machines and games would all like to be code."""
    folder = tmp_path_factory.mktemp("hostile") / "runs"
    folder.mkdir()
    renamed(runs / "short", folder / f"{IMAGE.replace('/', '')}", "sgd", HOSTILE)
    renamed(runs / "second", folder / "javascript:alert(1)", "average", IMAGE)

    def change(manifest: dict[str, Any]) -> None:
        manifest["labels"] = {"sgd": "<script>alert(1)</script>"}
        manifest["command"] = manifest["environment"]["processor"] = HOSTILE
        manifest["descriptions"]["games"]["dirac"]["doc"] = manifest["descriptions"]["metrics"]["distance"]["doc"] = (
            HOSTILE
        )
        manifest["descriptions"]["rules"]["sgd"]["equations"] = [["", HOSTILE, 'javascript:alert("1")']]

    with_manifest(folder / "javascript:alert(1)", change)
    said = VERIFIED | {"machine": HOSTILE, "agreed": 1, "differ": [IMAGE, {HOSTILE: IMAGE}]}
    (folder / "javascript:alert(1)" / "verification.json").write_text(json.dumps(said))
    return write_leaderboard([folder], folder.parent / "site", RunFolder).parent


def test_names_are_text_and_links_are_ours(hostile: Path) -> None:
    pages = sorted(hostile.rglob("*.html"))
    assert len(pages) == 3
    for path in pages:
        page = Read(path.read_text("utf-8"))
        assert not [
            found for tag, found in page.tags if tag == "img" and not str(found.get("src")).startswith("data:image/")
        ]
        assert not [found for _, found in page.tags if any(name.startswith("on") for name in found)]
        ours = r"#[\w-]+" + ("" if path.parent.name == "reports" else r"|(reports|studies)/[a-z0-9_.=+-]+\.(html|toml)")
        assert not [link for link in page.links if not re.fullmatch(ours, link)], path
    page = read(hostile)
    assert HOSTILE in page.text
    assert IMAGE in page.text
    assert "<script>alert(1)</script>" in page.text
    assert "1337" not in page.text, "a name was read as a template"
    assert sum(tag == "script" for tag, _ in page.tags) == 1


def test_a_hostile_name_is_one_word_of_its_command(hostile: Path) -> None:
    page = Read((hostile / "index.html").read_text("utf-8"))
    commands = [line for line in page.texts if line.startswith("bench run ")]
    assert commands
    for line in commands:
        words = shlex.split(line)
        assert words[3::2] == ["--optimizers", "--games", "--out"], line
    assert {shlex.split(line)[4] for line in commands} == {HOSTILE, IMAGE, "sgd", "extragrad"}


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page from disk; at the end of the test it must have asked for nothing and complained of nothing."""
    pages = []

    def open_page(site: Path, **settings: Any) -> Any:
        page, heard = browser.new_page(**settings), []
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: heard.append(request.url))
        path = site / "index.html"
        page.goto(path.as_uri())
        pages.append((page, heard, path))
        return page

    yield open_page
    for page, heard, path in pages:
        assert heard == [path.as_uri()]
        page.close()


def shown(page: Any, selector: str) -> list[str]:
    return [part.inner_text().strip() for part in page.locator(selector).all() if part.is_visible()]


def shade(page: Any) -> list[float]:
    text = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return [float(part) for part in text[text.index("(") + 1 : -1].split(",")[:3]]


def test_it_opens_from_disk_on_a_phone_and_in_the_dark(opened: Callable[..., Any], site: Path) -> None:
    phone = opened(site, viewport={"width": 390, "height": 800})
    for part in phone.locator("summary").all():
        part.click()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    light, dark = (
        opened(site, color_scheme=scheme, viewport={"width": 1280, "height": 800}) for scheme in ("light", "dark")
    )
    assert min(shade(light)) > 200
    assert max(shade(dark)) < 60
    assert light.evaluate("document.documentElement.scrollWidth") <= 1280
    dark.locator("#theme").click()
    dark.locator("#theme").click()
    assert min(shade(dark)) > 200


def test_filters_choose_contests_and_rules(opened: Callable[..., Any], site: Path) -> None:
    page = opened(site)
    says = page.locator(".choices [role=status]")
    assert says.inner_text() == "all 3 contests, all 4 rules"
    heads = shown(page, "#places thead th a")
    page.locator("[name=budget]").select_option("24.0")
    assert says.inner_text() == "1 of 3 contests, 2 of 4 rules"
    assert shown(page, ".contest h2") == ["dirac 24 gradient evaluations"]
    assert shown(page, "#places thead th a") == ["dirac"]
    assert sorted(shown(page, "#places tbody th")) == ["extragrad", "sgd"]
    assert {text.split(" of ")[1] for text in shown(page, "#places .group")} == {"1"}
    page.locator("[name=budget]").select_option("")
    page.locator("[name=kind]").select_option("closed form")
    assert len(shown(page, ".contest h2")) == 2
    page.locator("[name=kind]").select_option("")
    page.locator("[name=rule]").fill("OPTI")
    assert set(shown(page, "#places tbody th")) == {"optimistic"} == set(shown(page, ".entries tbody th"))
    page.locator("[name=rule]").fill("")
    assert shown(page, "#places thead th a") == heads


def test_the_top_group_is_counted_over_what_is_shown(opened: Callable[..., Any], site: Path) -> None:
    page = opened(site)
    levels = "[...document.querySelectorAll('#places tbody tr')].map(r => [r.cells[0].innerText, r.cells[1].innerText])"
    before = dict(page.evaluate(levels))
    marks = "[...document.querySelectorAll('#places tbody tr')].map(r => [r.cells[0].innerText, "
    marks += "`${r.querySelectorAll('[data-level=\"1\"]').length} of ${r.querySelectorAll('[data-level]').length}`])"
    assert before == dict(page.evaluate(marks))
    page.locator("[name=kind]").select_option("closed form")
    page.locator("[name=kind]").select_option("")
    assert dict(page.evaluate(levels)) == before


def test_verified_runs_alone(opened: Callable[..., Any], site: Path) -> None:
    page = opened(site)
    places = dict(
        zip(shown(page, "#contest-1 .entries tbody th"), shown(page, "#contest-1 .entries .place"), strict=True)
    )
    page.locator("[name=verified]").check()
    assert sorted(shown(page, "#places tbody th")) == ["extragrad", "optimistic", "sgd"]
    assert not [text for text in shown(page, ".entries .check") if not text.startswith("verified")]
    after = dict(
        zip(shown(page, "#contest-1 .entries tbody th"), shown(page, "#contest-1 .entries .place"), strict=True)
    )
    assert after == {rule: places[rule] for rule in after}, "a filter changes no place"


def test_a_hostile_page_does_nothing(opened: Callable[..., Any], hostile: Path) -> None:
    page = opened(hostile, viewport={"width": 390, "height": 800})
    for part in page.locator("summary").all():
        part.click()
    page.locator("[name=rule]").fill("<b onclick")
    page.locator("[name=verified]").check()
    page.locator("[name=verified]").uncheck()
    assert HOSTILE in shown(page, "#places tbody th")[0].replace("\u200b", "")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_scripts_all_is_there(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    assert not page.locator(".choices").is_visible()
    assert len(shown(page, ".contest h2")) == 3
    context.close()
