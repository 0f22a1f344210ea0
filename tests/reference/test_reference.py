"""The reference study: its file, and the scripts that say what it finds, on a short run of the same rules."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib

import matplotlib
import numpy as np
import pytest
from scripts import FOLDER, script

from bench.api import Run, run
from bench.registry import get_game, get_rule
from bench.studies.study import Study

STUDY = tomllib.loads((FOLDER / "study.toml").read_text())
PARTS = {
    name: tomllib.loads((FOLDER / f"{name}.toml").read_text()) for name in ("plain", "losses", "kinds", "pictures")
}
"""Of the study at protocol 2."""
README = FOLDER.parents[1] / "README.md"
DRAWN_WITH = "3.11.2"
MISSING = get_game("mnist-small").missing
SHORT = {"tune": "none", "trials": 0, "budget": 8, "evaluations": 2, "seeds": [0, 1]}
GAMES = ["bilinear", "dirac", "quadratic", "gaussian-covariance", "ring8[width=16,batch_size=16]"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    asked = Study(**PARTS["plain"] | SHORT | {"games": GAMES})
    return run(asked, out=tmp_path_factory.mktemp("reference") / "run").path


@pytest.fixture(scope="module")
def scripts():
    """claims.py imports findings.py, which lies beside it."""
    sys.path.insert(0, str(FOLDER))
    yield script("findings"), script("claims")
    sys.path.remove(str(FOLDER))


def test_the_study_is_what_it_says():
    study = Study(**STUDY)
    assert len(study.optimizers) >= 24
    assert len({get_rule(rule) for rule in study.optimizers}) == len(study.optimizers)
    assert study.trials == 32
    assert study.tuning_seeds == 3
    assert len(study.seeds) >= 10
    assert len(study.games) >= 8


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_study_is_what_it_says(part):
    study = Study(**PARTS[part])
    assert len(study.seeds) == 20
    assert study.trials >= 16
    assert len({get_rule(rule) for rule in study.optimizers}) == len(study.optimizers) >= 8


def test_the_factorial_part_is_whole(scripts):
    findings, _ = scripts
    combined = {findings.combined(s, d) for s in findings.SCHEMES for d in findings.DIRECTIONS}
    assert combined <= set(Study(**STUDY).optimizers)
    assert combined <= set(Study(**PARTS["plain"]).optimizers)


def test_every_question_is_answered(tiny, scripts, capsys, monkeypatch):
    findings, _ = scripts
    for module in ("findings", "measured", "practice"):
        monkeypatch.setattr(f"{module}.RESAMPLES", 200)
    findings.main([str(tiny)])
    said = capsys.readouterr().out
    for question in findings.QUESTIONS:
        part = said.partition(f"## {question.__doc__}\n")[2].partition("\n## ")[0]
        assert part.count("\n|") > 2 or findings.practice.UNTUNED in part, question.__name__
    assert "nan" not in said


def test_every_claim_is_tested_or_it_is_said_why_not(tiny, scripts):
    _, claims = scripts
    study = claims.measured([str(tiny)])
    verdicts = [claim.test(study) for claim in claims.CLAIMS]
    assert len({claim.said for claim in claims.CLAIMS}) == len(claims.CLAIMS) >= 30
    for claim, (verdict, evidence) in zip(claims.CLAIMS, verdicts, strict=True):
        assert "arXiv:" in claim.source or ";" in claim.source
        assert evidence
        assert evidence != "not finished"
        assert verdict.startswith((claims.CONFIRMED, claims.NOT, claims.UNTESTED))
    assert sum(verdict == claims.UNTESTED for verdict, _ in verdicts) <= 2


@pytest.mark.parametrize("failing", [0, 2])
def test_a_criterion_can_go_either_way(tiny, scripts, failing):
    """On scores that were made up: what stays at its start converges nowhere, what came down a thousandfold does."""
    _, claims = scripts
    study = claims.measured([str(tiny)])
    start = study.start("bilinear", "extragrad")
    for factor, expected in ((1.0, claims.NOT), (1e-3, claims.CONFIRMED)):
        wide = study.scores["bilinear"].copy()
        wide.loc["extragrad"] = start * factor
        wide.iloc[wide.index.get_loc("extragrad"), :failing] = np.inf
        study.scores["bilinear"] = wide
        verdict, evidence = claims.converges("extragrad", "bilinear")(study)
        assert verdict == (claims.NOT if failing else expected)
        assert f"{failing} seeds failed" in evidence
        assert claims.cycles("extragrad", "bilinear")(study)[0] == (
            claims.CONFIRMED if factor == 1 and not failing else claims.NOT
        )


def test_a_game_that_is_not_whole_is_left_out(tmp_path, scripts):
    findings, claims = scripts
    asked = Study(**STUDY | SHORT | {"optimizers": ["sgd", "extragrad"], "games": ["bilinear", "dirac"]})
    part = run(asked, out=tmp_path / "run")
    left = part.names()[0]
    for suffix in ("json", "parquet", "safetensors"):
        (part.path / "records" / f"{left}.{suffix}").unlink()
    study = findings.Measured(Run(part.path))
    assert len(study.scores) == 1
    assert any(claim.test(study) == (claims.UNTESTED, "not finished") for claim in claims.CLAIMS)


# --- what is published -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A copy of the published run alone, without what is derived from it."""
    there = tmp_path_factory.mktemp("published") / "reference"
    there.mkdir()
    for name in ("study.json", "plan.json", "records.zip"):
        shutil.copy(FOLDER / name, there)
    return Run(there)


def test_the_published_run_is_the_studys(published):
    asked = Study(**STUDY)
    assert published.study.optimizers == asked.optimizers
    assert published.study.games == asked.games
    assert published.study.seeds == asked.seeds
    assert not published.errors
    assert all(map(published.whole, published.names()))


def test_the_published_run_is_whole(published, scripts):
    assert list(scripts[0].Measured(published).scores) == published.study.games


@pytest.mark.parametrize("name", [pytest.param("findings", marks=pytest.mark.slow), "claims"])
def test_what_is_said_of_the_published_run_is_what_its_records_say(published, scripts, capsys, name):
    next(one for one in scripts if one.__name__ == name).main([str(published.path)])
    assert capsys.readouterr().out == (FOLDER / f"{name}.md").read_text()


def test_the_readmes_table_is_of_the_findings():
    """Its rows are lines of findings.md, and the best rules are all there."""
    said = (FOLDER / "findings.md").read_text().splitlines()
    start = said.index("| rule | mean rank | better than Adam | diverged, collapsed | step sizes |")
    shown = [line for line in README.read_text().splitlines() if line.startswith("| `")]
    assert shown[:5] == said[start + 2 : start + 7]
    assert set(shown) <= set(said)


@pytest.mark.slow
@pytest.mark.skipif(matplotlib.__version__ != DRAWN_WITH, reason=f"it was drawn with matplotlib {DRAWN_WITH}")
@pytest.mark.skipif(bool(MISSING), reason=f"it shows real images: {MISSING}")
def test_the_published_report_is_rebuilt_to_the_last_place(published):
    """Byte for byte where it was drawn; on another processor a logarithm's last place may differ, and nothing else."""
    published.report()
    drawn = {file.name for file in (FOLDER / "figures").glob("*.svg")}
    assert drawn == {file.name for file in (published.path / "figures").glob("*.svg")}
    for name in ("report.html", "table.csv", "tuning.csv", *(f"figures/{file}" for file in sorted(drawn))):
        made, kept = (path.read_bytes() for path in (published.path / name, FOLDER / name))
        if made != kept:
            words, numbers = zip(*(parts(text.decode()) for text in (made, kept)), strict=True)
            different = [(now[:200], before[:200]) for now, before in zip(*words, strict=False) if now != before]
            assert not different, (name, len(different), different[:5])
            assert len(words[0]) == len(words[1]), name
            # Figures are written to a millionth of a point.
            np.testing.assert_allclose(*numbers, rtol=1e-9, atol=2e-6, err_msg=name)


def parts(text):
    """A text without its numbers, and without the names that matplotlib makes of a shape's bytes; its numbers."""
    found = re.split(
        r"(?<![\w#])(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w%])", re.sub(r"\b[a-z]+[0-9a-f]{10}\b", "ID", text)
    )
    return found[::2], np.array(found[1::2], dtype=float)


def test_numbers_and_words_of_a_text():
    words, numbers = parts('<path d="M 1.5 -2e-3" id="p0123456789"/> a1b, 7%')
    assert words == ['<path d="M ', " ", '" id="ID"/> a1b, 7%']
    assert numbers.tolist() == [1.5, -0.002]
