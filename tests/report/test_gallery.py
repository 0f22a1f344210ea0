"""Figures as files: every one of the report's, whole on their own, the same bytes for the same records."""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench.storage.names import LONGEST, filename

STUDY = {"trials": 0, "seeds": "0-2", "evaluations": 4, "budget": 40}
GAME = "ring8[width=16,batch_size=16]"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    run = bench.run(bench.Study(optimizers="sgd", games=f"dirac,{GAME}", **STUDY), out=folder / "run")
    run.report()
    return run


def test_the_report_has_all_its_figures_beside_it(run):
    files = {path.stem: path for path in (run.path / "figures").glob("*.svg")}
    page = (run.path / "report.html").read_text("utf-8")
    titles = [re.sub("</?h3>", "", words) for words in re.findall(r"<figcaption[^>]*>(.*?)</figcaption>", page)]
    assert len(titles) >= 4
    roots = {name: ElementTree.parse(path).getroot() for name, path in files.items()}
    said = [root.findtext("{http://www.w3.org/2000/svg}title") for root in roots.values()]
    assert sorted(said) == sorted(set(map(unescape, titles)))
    assert {name.partition("-")[0] for name in files} == {"dirac", filename(GAME).partition("-")[0]}
    for path in files.values():
        text = path.read_text("utf-8")
        assert not re.search(r'(?:href="|url\()(?!#|data:)', text), "a figure that needs another file"


@pytest.mark.slow
def test_both_formats_by_command_and_the_report_keeps_what_there_is(run, call, tmp_path):
    code, out, err = call("figures", run.path, "--to", tmp_path / "both")
    assert (code, out, err) == (0, f"{tmp_path / 'both'}\n", "")
    svgs = {path.stem: path.read_bytes() for path in (tmp_path / "both").glob("*.svg")}
    pdfs = {path.stem: path.read_bytes() for path in (tmp_path / "both").glob("*.pdf")}
    assert svgs.keys() == pdfs.keys()
    assert svgs == {path.stem: path.read_bytes() for path in (run.path / "figures").glob("*.svg")}
    for content in pdfs.values():
        assert content.startswith(b"%PDF-")
        assert b"/FontFile2" in content, "letters without their shapes"
        assert b"Date" not in content
    (run.path / "figures" / "old.pdf").write_bytes(b"")  # asked for before: they are kept up to date
    bench.Run(run.path).report()
    assert {path.stem: path.read_bytes() for path in (run.path / "figures").glob("*.pdf")} == pdfs


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--format", "jpg"], "--format is 'jpg'; did you mean png?"),
        (["--to", "mine"], "not written by bench"),
        (["--only", "score"], "--only has 'score'; did you mean scores"),
        (["--only", "ranks"], "which these rules and games do not have; they have curves"),
        (["--optimizers", "adam"], "--optimizers is 'adam'; "),
        (["--highlight", "adam"], "--highlight is 'adam'; "),
        (["--game", "dirac,ring9"], "--game is 'ring9'; "),
        (["--width", "3.25"], "--width is '3.25'; a length with its unit (in, cm, mm, pt) is allowed"),
        (["--width", "3in", "--font", "serf"], "--font is 'serf'; sans-serif, serif, monospace or an installed"),
        (["--label", "sgd"], "--label is 'sgd'; write RULE=Ours"),
        (["--label", "adam=Ours"], "--label is 'adam=Ours'; write RULE=Ours"),
    ],
)
def test_wrong_use_writes_nothing(run, call, tmp_path, args, says):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.svg").write_text("years of work")
    code, out, err = call("figures", run.path, *args)
    assert (code, out) == (2, "")
    assert says in err
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.svg"]


# Names


@given(st.lists(st.text(), unique=True, max_size=8))
def test_names_are_safe_and_unique(labels):
    names = [filename(label) for label in labels]
    assert len({name.lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_.=+-]+", name) and name not in (".", "..") for name in names)
    assert all(len(name) <= LONGEST + 9 for name in names)


def test_names_that_are_plain_stay():
    assert filename("ring8") == "ring8"
    assert filename("gaussian-covariance") == "gaussian-covariance"
    assert filename("ring8[width=16]").startswith("ring8-width=16-")
    assert filename("../../etc/passwd").startswith("etc-passwd-")
    assert filename("A") != filename("a") == "a"
    assert filename("x" * 300) != filename("x" * 301)
