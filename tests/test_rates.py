"""Growth rates on the bilinear game against their closed forms: the spectral radius of the iteration matrix.

For a game with field F(w) = J w each rule is a linear map. Its matrix is derived here from the equation in the source,
and measured from the rule's own trajectories by least squares over many starts; their spectral radii agree to 1e-8.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch

from bench.laws import go_on, trace
from bench.registry import get_game, get_rule

SEEDS = tuple(range(64))
STEP_SIZES = [0.05, 0.3, 0.5, 0.7, 1.05, 1.9, 2.2]  # inside and outside every stable range: sigma_max = 1


def jacobian(game: object) -> np.ndarray:
    A = game.matrix.numpy()  # type: ignore[attr-defined]
    zero = np.zeros_like(A)
    return np.block([[zero, A], [-A.T, zero]])


def radius(matrix: np.ndarray) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def measured(rule: str, game: str, memory: int) -> float:
    """Spectral radius of the map (w_t, ..., w_{t-memory+1}) -> (w_{t+1}, ...) fitted to the rule's trajectories."""
    at = trace(get_rule(rule), get_game(game), SEEDS, steps=2)
    points = [at.w.numpy()]
    for _ in range(2 * memory):  # several moments: at one moment alone, w_{t-1} is a linear function of w_t
        at = go_on(get_rule(rule), at, steps=1)
        points.append(at.w.numpy())
    n = points[0].shape[1]
    moments = range(memory - 1, len(points) - 1)
    before = np.concatenate([np.concatenate(points[t - memory + 1 : t + 1][::-1], axis=1) for t in moments])
    after = np.concatenate([points[t + 1] for t in moments])
    companion = np.eye(memory * n, k=-n)
    companion[:n] = np.linalg.lstsq(before, after, rcond=None)[0].T
    return radius(companion)


def sgd(J: np.ndarray, lr: float) -> np.ndarray:
    """w+ = (I - lr J) w."""
    return np.eye(len(J)) - lr * J


def alternating(J: np.ndarray, lr: float) -> np.ndarray:
    """The discriminator's rows first, then the generator's, at the new discriminator."""
    half = len(J) // 2
    first, second = np.eye(len(J)), np.eye(len(J))
    first[half:] -= lr * J[half:]
    second[:half] -= lr * J[:half]
    return second @ first


def extragrad(J: np.ndarray, lr: float) -> np.ndarray:
    """w+ = w - lr J (w - lr J w)."""
    identity = np.eye(len(J))
    return identity - lr * J @ (identity - lr * J)


def optimistic(J: np.ndarray, lr: float) -> np.ndarray:
    """(w_t, w_{t-1}) -> (w_t - 2 lr J w_t + lr J w_{t-1}, w_t)."""
    identity, zero = np.eye(len(J)), np.zeros_like(J)
    return np.block([[identity - 2 * lr * J, lr * J], [identity, zero]])


DERIVED = {"sgd": (sgd, 1), "alternating": (alternating, 1), "extragrad": (extragrad, 1), "optimistic": (optimistic, 2)}
GAMES = ["bilinear[dim=1]", "bilinear[dim=3,condition=1.5]", "bilinear[dim=5,condition=4,instance=7]"]


@pytest.mark.parametrize("lr", STEP_SIZES)
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("rule", DERIVED)
def test_contraction_equals_the_spectral_radius(rule: str, game: str, lr: float) -> None:
    matrix, memory = DERIVED[rule]
    expected = radius(matrix(jacobian(get_game(game)), lr))
    assert measured(f"{rule}[lr={lr}]", game, memory) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("lr", STEP_SIZES)
def test_known_closed_forms(lr: float) -> None:
    game, s = "bilinear[dim=1]", lr  # sigma = 1
    assert measured(f"sgd[lr={lr}]", game, 1) == pytest.approx(sqrt(1 + s**2), abs=1e-8)
    assert measured(f"extragrad[lr={lr}]", game, 1) == pytest.approx(sqrt(1 - s**2 + s**4), abs=1e-8)
    if s < 2:
        assert measured(f"alternating[lr={lr}]", game, 1) == pytest.approx(1, abs=1e-8)
    if s <= 0.5:
        ogda = sqrt((1 + sqrt(max(0.0, 1 - 4 * s**2))) / 2)
    else:
        ogda = sqrt(0.25 + (s + sqrt(4 * s**2 - 1) / 2) ** 2)
    tolerance = 1e-6 if s == 0.5 else 1e-8  # four equal roots at s = 1/2
    assert measured(f"optimistic[lr={lr}]", game, 2) == pytest.approx(ogda, abs=tolerance)


def test_the_long_run_is_the_spectral_radius() -> None:
    """The measured maps are what really happens over hundreds of steps, not only in the first few."""
    game = "bilinear[dim=1]"
    for rule, rate in (("sgd[lr=0.1]", sqrt(1.01)), ("extragrad[lr=0.7]", sqrt(1 - 0.49 + 0.49**2))):
        early = trace(get_rule(rule), get_game(game), SEEDS, steps=50)
        start = early.w.norm(dim=1)
        late = go_on(get_rule(rule), early, steps=50).w.norm(dim=1)
        assert torch.allclose((late / start) ** (1 / 50), torch.full_like(start, rate), atol=1e-10)


def test_verdicts_that_everybody_knows() -> None:
    """On xy: simultaneous spirals out, alternating stays bounded, extragradient and optimistic contract."""
    ends = {}
    for rule in DERIVED:
        end = trace(get_rule(f"{rule}[lr=0.3]"), get_game("bilinear[dim=1]"), SEEDS, steps=500)
        start = get_game("bilinear[dim=1]").init(torch.tensor(SEEDS))
        ends[rule] = end.w.norm(dim=1) / start.norm(dim=1)
    assert ends["sgd"].min() > 1e6
    assert ends["alternating"].max() < 2
    assert ends["alternating"].min() > 0.5
    assert ends["extragrad"].max() < 1e-6
    assert ends["optimistic"].max() < 1e-6
