"""The reference study: its file, and the scripts that say what it finds, on a short run of the same rules."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib

import matplotlib
import numpy as np
import pytest
import torch
from scipy.stats import trim_mean
from scripts import FOLDER, script

from bench.analysis.statistics import Band
from bench.api import Run, run
from bench.registry import get_game, get_rule
from bench.studies.study import Study

PARTS = {
    name: tomllib.loads((FOLDER / f"{name}.toml").read_text())
    for name in ("study", "grid25", "losses", "kinds", "pictures")
}
STUDY = PARTS["study"]
"""Its run lies in the folder itself, merged with that of grid25; those of the other parts in folders of their own."""
README = FOLDER.parents[1] / "README.md"
DRAWN_WITH = "3.11.2"
MISSING = get_game("mnist-small").missing
SHORT = {"tune": "none", "trials": 0, "budget": 8, "evaluations": 2, "seeds": [0, 1]}
VARIANT = "ring8[width=16,batch_size=16,loss=hinge]"
PICTURE = "digits[width=16,batch_size=16]"
GAMES = ["bilinear", "dirac", "quadratic", "gaussian-covariance", "ring8[width=16,batch_size=16]"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A short run of the same rules, and two of parts in folders of their own."""
    asked = Study(**STUDY | SHORT | {"games": GAMES})
    there = run(asked, out=tmp_path_factory.mktemp("reference") / "run").path
    for part, game in (("losses", VARIANT), ("pictures", PICTURE)):
        run(Study(**PARTS[part] | SHORT | {"games": [game]}), out=there / part)
    return there


@pytest.fixture(scope="module")
def scripts():
    """findings.py and claims.py, with what lies beside them."""
    sys.path.insert(0, str(FOLDER))
    yield script("findings"), script("claims")
    sys.path.remove(str(FOLDER))


def test_the_study_is_what_it_says():
    study = Study(**STUDY)
    assert len(study.optimizers) >= 24
    assert len({get_rule(rule) for rule in study.optimizers}) == len(study.optimizers)
    assert study.trials == 32
    assert study.tuning_seeds == 3
    assert len(study.seeds) >= 20
    assert len(study.games) >= 6
    assert study.optimizers == Study(**PARTS["grid25"]).optimizers


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_study_is_what_it_says(part):
    study = Study(**PARTS[part])
    assert len(study.seeds) == 20
    assert study.trials >= 16
    assert len({get_rule(rule) for rule in study.optimizers}) == len(study.optimizers) >= 6


def test_the_factorial_part_is_whole(scripts):
    findings, _ = scripts
    combined = {findings.combined(s, d) for s in findings.SCHEMES for d in findings.DIRECTIONS}
    assert combined <= set(Study(**STUDY).optimizers)


def test_every_question_is_answered(tiny, scripts, capsys, monkeypatch):
    findings, _ = scripts
    for module in ("findings", "measured", "defaults"):
        monkeypatch.setattr(f"{module}.RESAMPLES", 200)
    findings.main([str(tiny)])
    said = capsys.readouterr().out
    for question in findings.QUESTIONS:
        part = said.partition(f"## {question.__doc__}\n")[2].partition("\n## ")[0]
        assert part.count("\n|") > 2 or findings.defaults.UNTUNED in part, question.__name__
    assert "nan" not in said
    assert f"| {VARIANT} |" in said


def test_what_larger_pictures_say_of_their_end_is_what_the_records_hold(published, scripts):
    """Counted anew from the records, for each rule and game; scores and losses are means of the middle half."""
    carried = scripts[0].carried
    part = Run(published.path / carried.PICTURES)
    records = part.records
    records = records[records["phase"] == "report"]
    rows = [line.strip("| ").split(" | ") for line in carried.to_the_end(scripts[0].Measured(published)) if "`" in line]
    assert len(rows) == 2 * len(part.study.optimizers)
    for game, rule, half, _, end, better, *losses in rows:
        own = records[(records["game"] == game) & (records["optimizer"] == rule.strip("`"))]
        score, loss = (
            own[own["metric"] == metric].pivot(index="seed", columns="cost", values="value")[[4000.0, 8000.0]]
            for metric in (part.study.primary(game).name, "discriminator_loss")
        )
        for said, values in zip((half, end, *losses), (*score.to_numpy().T, *loss.to_numpy().T), strict=True):
            assert float(said.split()[0]) == pytest.approx(trim_mean(values, 0.25), rel=0.01)
        assert better == f"{(score[8000.0] < score[4000.0]).sum()} of 20"


def test_scores_at_the_whole_budget_are_the_final_ones(published, scripts):
    """And one that failed is infinitely bad from then on, however early that was."""
    findings, _ = scripts
    study = findings.Measured(published)
    for game in study.gans:
        at = {share: findings.practice.scores_at(study, game, share) for share in findings.practice.SHARES}
        np.testing.assert_array_equal(at[1.0], study.scores[game].to_numpy(float))
        assert (np.isinf(at[0.25]) <= np.isinf(at[0.5])).all()
        assert (np.isinf(at[0.5]) <= np.isinf(at[1.0])).all()
        assert np.isinf(at[0.25]).any()


def test_groups_end_where_an_interval_lies_beyond_the_first_ones(scripts):
    findings, _ = scripts
    band = Band(np.array([3.0, 1.0, 2.0, 9.0]), np.array([2.5, 0.0, 0.5, 8.0]), np.array([4.0, 2.0, 8.5, 9.5]))
    assert findings.groups(band) == [[1, 2], [0], [3]]
    x = np.random.default_rng(0).normal(size=(12, 20))
    assert findings.halves(x + 100 * np.arange(12)[:, None]) == 1
    assert abs(findings.halves(x)) < 0.9


@pytest.mark.parametrize(
    ("rule", "made"),
    [
        ("sgd[direction=plain]", ("SGD", 0.3, 0.3)),
        ("alternating[direction=rmsprop]", ("RMSprop", 0.3, 0.3)),
        ("ttur", ("Adam", 0.2, 0.1)),
        ("ema[inner=ttur]", ("Adam", 0.2, 0.1)),
        ("la-gan", None),
        ("oadam", None),
        ("average", None),
    ],
)
def test_a_default_is_lines_that_run(scripts, rule, made):
    """The discriminator's optimizer comes first; a rule that torch.optim does not have gives no line."""
    findings, _ = scripts
    nested = "inner." if "inner=" in rule else ""
    values = {"lr_g": 0.1, "lr_d": 0.2} if "ttur" in rule else {"lr": 0.3}
    lines = findings.defaults.training_script(
        get_rule(rule), {f"{nested}{name}": value for name, value in values.items()}
    )
    if made is None:
        assert lines == []
        return
    networks = {"discriminator": torch.nn.Linear(1, 1), "generator": torch.nn.Linear(2, 2)}
    names = {"torch": torch, **networks}
    exec("\n".join(lines), names)
    name, *rates = made
    assert [type(one).__name__ for one in names["optimizers"]] == [name, name]
    assert [one.param_groups[0]["lr"] for one in names["optimizers"]] == rates
    for one, network in zip(names["optimizers"], networks.values(), strict=True):
        assert one.param_groups[0]["params"] == list(network.parameters())
    assert ("averaged" in names) == rule.startswith("ema")


def test_what_an_earlier_study_judged_otherwise_has_a_reason(published, scripts):
    """And what both judge alike has none."""
    _, claims = scripts
    earlier = {one["said"]: one for one in tomllib.loads(claims.EARLIER.read_text())["claim"]}
    study = claims.measured([str(published.path)])
    for claim in claims.CLAIMS:
        if claim.said in earlier and (verdict := claim.test(study)[0]) != claims.UNTESTED:
            assert ("why" in earlier[claim.said]) == (verdict != earlier[claim.said]["verdict"]), claim.said
    assert set(earlier) <= {claim.said for claim in claims.CLAIMS}


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
def published(tmp_path_factory, scripts):
    """A copy of the published run alone, without what is derived from it."""
    there = tmp_path_factory.mktemp("published") / "reference"
    there.mkdir()
    for part in (".", *scripts[0].carried.PARTS):
        (there / part).mkdir(exist_ok=True)
        for name in ("study.json", "plan.json", "records.zip"):
            if (FOLDER / part / name).is_file():
                shutil.copy(FOLDER / part / name, there / part)
    return Run(there)


def test_the_published_run_is_the_studys(published):
    asked = Study(**STUDY)
    assert published.study.optimizers == asked.optimizers
    assert published.study.games == asked.games + Study(**PARTS["grid25"]).games
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
    start = said.index("| rule | mean rank | better than Adam | diverged, collapsed, not learned | step sizes |")
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
