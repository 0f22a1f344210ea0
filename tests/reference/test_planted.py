"""Bugs planted in every rule of the registry: the quality gate sees each that changes anything.

It does so as it compares runs of another processor, which is where it may see least, and lets every rule pass as it is
however its gradients are rounded.

Which bugs a rule gets is decided by its memory and its hyperparameters (`planting`); a new rule gets its own without an
edit, and is compared with what is trained of it now until the baseline knows it. A bug that changes nothing is shown
to: not a bit differs on any game of the study, nor on other small games, nor at ten times the step size. A number that
is read wrongly and matters beyond a threshold alone, which no training of the study crosses, is out of the gate's
sight; the test counts these, prints them, and allows a few.

A sixth of the bugs is planted, which of them depends on the rule, and all of them with ``BENCH_PLANTED=all``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from shutil import copytree
from typing import Any

import planting
import pytest
import torch
from torch import Tensor

from bench.analysis.comparison import FAILS_ON
from bench.contracts import State, UpdateRule, nested
from bench.numerics.runtime import cores
from bench.registry import get_rule
from optimizers.adam import Adam
from optimizers.alternating import DISCRIMINATOR, GENERATOR, Alternating
from optimizers.average import Average
from optimizers.optimistic import OptimisticDirection

ROOT = Path(__file__).parents[2]
WORSE = set(FAILS_ON["worse"])
EVERY = os.environ.get("BENCH_PLANTED") == "all"  # every bug, not a sixth
DRAWS = 10 if EVERY else 1  # of roundings
NONE = 0.12  # of the planted, at most: more would say that the bugs are no bugs
FAR = 0.005  # of the planted: numbers misread that matter beyond a threshold that no training of the study crosses


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# --- over the registry -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def examined() -> list[planting.Examined]:
    """Every rule, then every bug in it, before the gate."""
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
        found = pool.map(partial(planting.examined, share=1 if EVERY else 6), planting.distinct())
        return [one for of_rule in found for one in of_rule]


@pytest.mark.slow
def test_the_gate_lets_every_rule_pass_as_it_is(examined: list[planting.Examined]) -> None:
    assert {one.said for one in examined if not one.what} <= {"identical", "same"}


@pytest.mark.slow
def test_rounding_is_no_change() -> None:
    """Every gradient times 1 + e, e a rounding drawn anew at each call: so another processor computes."""
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
        found = pool.map(partial(planting.alarms, draws=DRAWS), planting.distinct())
        assert [alarm for alarms in found for alarm in alarms] == []


@pytest.mark.slow
def test_the_gate_sees_every_bug_that_changes_anything(examined: list[planting.Examined]) -> None:
    planted = [one for one in examined if one.what]
    said = Counter("seen" if one.seen else one.said for one in planted)
    print(f"\n{len(planted)} bugs in {len(planting.distinct())} rules: {dict(said)}")
    missed = [one for one in planted if not one.seen and not one.none]
    print(*missed, sep="\n")
    assert not [one for one in missed if not one.number]
    assert {one.said for one in missed} <= {"no bit of the study differs"}
    assert len(missed) <= FAR * len(planted)
    assert said["none"] <= NONE * len(planted)


@pytest.mark.slow
def test_every_rule_has_its_bugs_and_most_are_seen(examined: list[planting.Examined]) -> None:
    for rule in planting.distinct():
        own = [one for one in examined if one.rule == rule and one.what]
        assert own, rule
        assert sum(one.seen for one in own) >= len(own) // 2, f"{rule}: {[one.what for one in own if one.seen]}"


def test_every_memory_and_hyperparameter_of_a_rule_gets_bugs() -> None:
    names = {what for what, _ in planting.bugs(get_rule("ttur"))}
    assert {"m has the other sign", "v is never updated", "t comes a step late", "a step of 1.01"} <= names
    assert {"lr_g and lr_d swapped", "direction.beta1 and direction.beta2 swapped", "lr_d a tenth"} <= names


# --- bugs by name ----------------------------------------------------------------------------------------------------


def wrong_sign(self: Any, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
    """Optimism's memory has the other sign."""
    r, memory = self.direction(g, s["direction"], w)
    past = s["past"] if bool(s["begun"][0] > 0) else r
    return r + self.optimism * (r + past), {"past": r, "begun": torch.ones_like(s["begun"]), "direction": memory}


def uncorrected(self: Any, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
    """Adam's bias correction is gone."""
    m = self.beta1 * s["m"] + (1 - self.beta1) * g
    v = self.beta2 * s["v"] + (1 - self.beta2) * g * g
    return m / (v.sqrt() + self.eps), {"m": m, "v": v, "t": s["t"] + 1}


def swapped_betas(self: Any, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
    """Adam's betas are taken for each other."""
    return CALL(Adam(self.beta2, self.beta1, self.eps, self.scaled_eps, self.nesterov), g, s, w)


CALL = Adam.__call__


def behind(self: Any, F: Any, w: Tensor, s: State) -> tuple[Tensor, State]:
    """The generator meets the discriminator of the step before: alternation is off by one."""
    start = w
    for player, name in (DISCRIMINATOR, "discriminator"), (GENERATOR, "generator"):
        d, memory = self.direction(F(start, player), s[name], start)
        w, s = F.within(player, w - self.lr * d, w), s | {name: memory}
    return w, s


def one_more(self: Any, F: Any, w: Tensor, s: State) -> tuple[Tensor, State]:
    """The discriminator takes a step too many: its loop is off by one."""
    return STEP(Alternating(self.lr, self.discriminator_steps + 1, False, self.fresh, self.direction), F, w, s)


STEP = Alternating.step


def shifted(self: Any, F: Any, w: Tensor, s: State) -> tuple[Tensor, State]:
    """The average divides by one too few."""
    w, inner = self.inner.step(F, w, s["inner"])
    t = s["t"] + 1
    return w, {"average": s["average"] + (self.inner.answer(w, inner) - s["average"]) / t, "t": t, "inner": inner}


NAMED: list[tuple[type, str, Callable[..., Any]]] = [
    (OptimisticDirection, "__call__", wrong_sign),
    (Adam, "__call__", uncorrected),
    (Adam, "__call__", swapped_betas),
    (Alternating, "step", behind),
    (Alternating, "step", one_more),
    (Average, "step", shifted),
]


def built_of(rule: Any, kind: type) -> bool:
    """Whether a rule steps by a class: its own, or one nested in it."""
    ahead = getattr(rule, "_ahead", None)
    return (
        isinstance(rule, kind) or isinstance(ahead, kind) or any(built_of(one, kind) for one in nested(rule).values())
    )


def worst(spelled: str, rule: UpdateRule) -> str:
    """The first verdict that --fail-on worse fails on; "" where there is none."""
    verdicts = (str(planting.verdict(spelled, rule, game).verdict) for game in planting.study().games)
    return next((said for said in verdicts if said in WORSE), "")


@pytest.mark.parametrize(("kind", "method", "bug"), NAMED, ids=lambda value: getattr(value, "__name__", value))
def test_a_bug_by_name_is_seen_in_every_rule_that_is_built_of_it(
    monkeypatch: pytest.MonkeyPatch, kind: type, method: str, bug: Callable[..., Any]
) -> None:
    """By ``--fail-on worse``, in every rule that steps by the class as it is by default."""
    concerned = [name for name in planting.distinct() if built_of(get_rule(name), kind)]
    assert concerned
    before = {name: worst(name, get_rule(name)) for name in concerned[:2]}
    monkeypatch.setattr(kind, method, bug)
    assert set(before.values()) == {""}
    assert [name for name in concerned if not worst(name, get_rule(name))] == []


# --- as the CI does it -----------------------------------------------------------------------------------------------

SOURCES = {
    "optimistic.py": ("return r + self.optimism * (r - past)", "return r + self.optimism * (r + past)"),
    "plain.py": ("return g, s", "return 1.01 * g, s"),
    "alternating.py": ("* self.discriminator_steps\n", "* (self.discriminator_steps + 1)\n"),
}
ASKED = ["--optimizers", "sgd,optimistic,alternating", "-o", "games=bilinear[dim=8]", "--jobs", "1"]


def gate(tree: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """The study of some rules by a tree, then its comparison with the committed baseline."""

    def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bench", *arguments]
        return subprocess.run(command, cwd=tree, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    done = bench("run", str(planting.STUDY), *ASKED, "--out", str(out))
    assert done.returncode == 0, done.stderr
    return bench("compare", str(planting.FOLDER), str(out), "--fail-on", "worse", "--allow-missing", "--format", "md")


ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


@pytest.mark.slow
def test_the_commands_pass_this_tree_and_stop_one_with_bugs(tmp_path: Path) -> None:
    for package in ("bench", "optimizers"):
        copytree(ROOT / package, tmp_path / "tree" / package)
    fine = gate(tmp_path / "tree", tmp_path / "fine")
    assert fine.returncode == 0, fine.stdout + fine.stderr
    for file, (right, wrong) in SOURCES.items():
        path = tmp_path / "tree" / "optimizers" / file
        source = path.read_text()
        assert source.count(right) == 1, file
        path.write_text(source.replace(right, wrong))
    bugs = gate(tmp_path / "tree", tmp_path / "bugs")
    assert bugs.returncode == 4, bugs.stdout + bugs.stderr
    assert "identical" not in bugs.stdout
    assert "same" not in bugs.stdout
