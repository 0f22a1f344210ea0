"""What each game is: its equation, its spectrum, its data, by formulas of the test's own."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.game_laws import GAME_LAWS
from bench.contracts import Game, Generative, Oracle
from bench.errors import UserError
from bench.execution.training import execute
from bench.metrics.evaluation import Evaluator
from bench.registry import games, get_game, get_metric, get_rule
from bench.registry.build import spell
from bench.registry.discovery import origin
from bench.studies.plan import Row, Task

VARIANTS = [
    "quadratic[rotation=0]", "quadratic[rotation=1,mu=0]", "quadratic[dim=1]", "bilinear[dim=1]",
    "dirac[saturating=false]", "dirac[loss=wgan,clip=0.3]", "dirac[regulariser=r1]", "dirac[regulariser=r2]",
    "dirac[loss=wgan,regulariser=gradient-penalty]", "dirac[regulariser=instance-noise]",
    "gaussian-covariance[dim=1]", "gaussian-covariance[dim=5]", "grid25[loss=hinge]", "swiss-roll[loss=minimax]",
]  # fmt: skip


@pytest.mark.parametrize("law", GAME_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("spelled", VARIANTS)
def test_every_setting_obeys_the_laws(spelled: str, law: Any) -> None:
    law(get_game(spelled))


SHIPPED = [name for name in games.names() if origin(games[name]) == "here" and not get_game(name).missing]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_game_says_from_which_score_on_a_replica_has_learned(name: str) -> None:
    """Or a rule may be tuned to stand still. The law of scores holds a GAN's against generators that are known."""
    played = get_game(name)
    assert played.learned is not None
    if not isinstance(played, Generative):
        seeds = torch.arange(500)
        metric = get_metric(played.score)
        starts = metric(played, played.init(seeds), Evaluator(played, seeds)).numpy()
        assert (starts <= played.learned).mean() <= 0.01
        typical = float((starts**2).mean() ** 0.5)
        assert played.learned == pytest.approx(typical / 10, rel=0.1)


PACKED = [
    "dirac",
    "dirac[loss=non-saturating]",
    "dirac[regulariser=instance-noise]",
    "quadratic",
    "gaussian-covariance",
]


@pytest.mark.parametrize("spelled", PACKED)
def test_a_replicas_bits_do_not_depend_on_how_many_are_beside_it(spelled: str) -> None:
    game, seeds = get_game(spelled), torch.arange(67)
    w = game.init(seeds)
    whole = Oracle(game, seeds)(w)
    for count in (2, 5, 17, 64):
        assert torch.equal(Oracle(game, seeds[:count])(w[:count]), whole[:count])
        assert torch.equal(Oracle(game, seeds[-count:])(w[-count:]), whole[-count:])


def jacobian(game: Game, w: Tensor) -> Tensor:
    """J at w [n], column by column, from the oracle's products."""
    n = len(w)
    _, push, _ = Oracle(game, range(n)).linear(w.expand(n, n).clone())
    return push(torch.eye(n, dtype=w.dtype)).T


def ordered(values: Tensor) -> Tensor:
    """Complex numbers sorted by imaginary, then real part, [n, 2]."""
    pairs = [(round(z.imag, 9), z.real) for z in values.tolist()]
    return torch.tensor(sorted(pairs), dtype=torch.float64)


# --- quadratic -------------------------------------------------------------------------------------------------------

TURNS = (0.0, 0.4, 0.9, 1.0)


def quadratic(rotation: float, mu: float = 0.05) -> Any:
    return get_game(f"quadratic[dim=4,condition=5,mu={mu},rotation={rotation},instance=3]")


@pytest.mark.parametrize("rotation", TURNS)
def test_quadratic_has_the_field_and_the_spectrum_of_its_formula(rotation: float) -> None:
    game = quadratic(rotation)
    w = game.init(torch.tensor([1, 2]))
    J = jacobian(game, w[0])
    assert torch.allclose(Oracle(game, [1, 2])(w), w @ J.T)
    assert torch.allclose(jacobian(game, 3 * w[1]), J)
    assert torch.allclose(J @ J.T, J.T @ J)
    angle, lengths = rotation * math.pi / 2, 5.0 ** -(torch.arange(4).double() / 3)
    expected = torch.cat([torch.polar(lengths, torch.full_like(lengths, sign * angle)) for sign in (1, -1)]) + 0.05
    assert torch.allclose(ordered(torch.linalg.eigvals(J)), ordered(expected), atol=1e-7)
    monotone = torch.linalg.eigvalsh((J + J.T) / 2).min().item()
    assert monotone == pytest.approx(0.05 + math.cos(angle) / 5)


def test_quadratic_goes_from_potential_to_hamiltonian() -> None:
    w, eye = torch.zeros(8, dtype=torch.float64), 0.05 * torch.eye(8, dtype=torch.float64)
    potential, hamiltonian = jacobian(quadratic(0), w), jacobian(quadratic(1), w) - eye
    assert torch.allclose(potential, potential.T, atol=1e-15)
    assert torch.allclose(hamiltonian, -hamiltonian.T, atol=1e-15)
    between = jacobian(quadratic(0.4), w) - eye
    angle = 0.4 * math.pi / 2
    assert torch.allclose(between, math.cos(angle) * (potential - eye) + math.sin(angle) * hamiltonian)
    assert potential[:4, 4:].abs().max() == 0
    assert hamiltonian[:4, :4].abs().max() == 0


@pytest.mark.parametrize("rotation", TURNS)
def test_quadratic_contracts_under_simultaneous_descent_exactly_below_the_bound(rotation: float) -> None:
    game = quadratic(rotation)
    spectrum, vectors = torch.linalg.eig(jacobian(game, torch.zeros(8, dtype=torch.float64)))
    start = vectors.real.T.contiguous()  # J is normal: along each, the distance shrinks or grows by |1 - lr z| a step
    bound = float((2 * spectrum.real / spectrum.abs().square()).min())
    for factor in (0.9, 1.1):
        lr = factor * bound
        rule, F, w = get_rule(f"sgd[lr={lr}]"), Oracle(game, range(8)), start
        for _ in range(5):
            w, _ = rule.step(F, w, {})
        rates = (w.norm(dim=1) / start.norm(dim=1)) ** 0.2
        assert torch.allclose(rates, (1 - lr * spectrum).abs(), rtol=1e-6)
        assert (rates.max().item() < 1) == (factor < 1)


# --- bilinear --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "condition"), [(1, 3.0), (2, 1.0), (6, 100.0)])
def test_bilinear_has_the_size_and_conditioning_asked_for(dim: int, condition: float) -> None:
    game = get_game(f"bilinear[dim={dim},condition={condition}]")
    J = jacobian(game, torch.zeros(2 * dim, dtype=torch.float64))
    assert torch.allclose(J, -J.T)
    sizes = torch.linalg.svdvals(J)
    assert sizes.max().item() == pytest.approx(1)
    assert sizes.min().item() == pytest.approx(1 / condition if dim > 1 else 1)


# --- Dirac-GAN -------------------------------------------------------------------------------------------------------


def roots(c: float, slope: float) -> Tensor:
    """c/2 +- sqrt(c^2/4 - f'(0)^2), complex."""
    half = torch.sqrt(torch.tensor(c * c / 4 - slope**2, dtype=torch.complex128))
    return torch.stack([c / 2 + half, c / 2 - half])


SPECTRA = [
    ("dirac", 0.0, 0.5),
    ("dirac[loss=non-saturating]", 0.0, 0.5),
    ("dirac[loss=wgan]", 0.0, 1.0),
    ("dirac[loss=wgan,regulariser=instance-noise,noise=3]", 0.0, 1.0),
    *(
        (f"dirac[loss={loss},regulariser=instance-noise,noise={sd}]", sd**2 / 2, 0.5)
        for loss in ("minimax", "non-saturating")
        for sd in (0.3, 0.7, 2.0)
    ),
    *((f"dirac[regulariser={kind},gamma={g}]", g, 0.5) for kind in ("r1", "r2") for g in (0.3, 1.0, 2.5)),
    ("dirac[loss=wgan,regulariser=r1,gamma=2.5]", 2.5, 1.0),
]


@pytest.mark.parametrize(("spelled", "c", "slope"), SPECTRA)
def test_dirac_has_the_papers_eigenvalues(spelled: str, c: float, slope: float) -> None:
    J = jacobian(get_game(spelled), torch.zeros(2, dtype=torch.float64))
    found = torch.linalg.eigvals(J)
    assert torch.allclose(ordered(found), ordered(roots(c, slope)), atol=1e-7)


def test_gamma_1_is_critical_for_r1() -> None:
    for gamma, turns in ((0.99, True), (1.01, False)):
        values = torch.linalg.eigvals(
            jacobian(get_game(f"dirac[regulariser=r1,gamma={gamma}]"), torch.zeros(2).double())
        )
        assert (values.imag.abs().max() > 1e-3) == turns


def test_the_default_dirac_is_the_papers_and_has_not_changed() -> None:
    w = torch.tensor([[0.3, -1.2], [2.0, 0.5]], dtype=torch.float64)
    t, slope = w[:, 0] * w[:, 1], torch.sigmoid(-w[:, 0] * w[:, 1])
    expected = torch.stack([w[:, 1] * slope, -w[:, 0] * slope], dim=1)
    F = Oracle(get_game("dirac"), [0, 1])
    assert torch.allclose(F(w), expected, rtol=1e-14)
    assert torch.allclose(torch.stack(F.losses(w)), torch.stack([t.sigmoid().log(), -t.sigmoid().log()]), rtol=1e-14)
    other = Oracle(get_game("dirac[saturating=false]"), [0, 1])(w)
    assert torch.allclose(other[:, 0], w[:, 1] * torch.sigmoid(t), rtol=1e-14)
    assert torch.equal(other[:, 1], F(w)[:, 1])
    start = [[-1.077310747799921, -0.5690916577516317], [-0.34449149266239987, 1.5144266562593254]]
    assert torch.allclose(get_game("dirac").init(torch.tensor([0, 1])), torch.tensor(start, dtype=torch.float64))


def test_one_dirac_has_one_full_spelling() -> None:
    assert spell(get_game("dirac[saturating=false]")) == spell(get_game("dirac[loss=non-saturating]"))
    assert spell(get_game(spell(get_game("dirac[saturating=false]")))) == spell(get_game("dirac[saturating=false]"))
    assert spell(get_game("dirac")) == spell(get_game("dirac[loss=minimax]"))


def test_dirac_with_instance_noise_is_the_expectation() -> None:
    theta, psi, sd = 0.8, -1.3, 0.7
    w = torch.tensor([[theta, psi]] * 2, dtype=torch.float64)
    noise = sd * torch.randn(400_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fake, real = torch.sigmoid(psi * (theta + noise)).log().mean(), torch.sigmoid(-psi * noise).log().mean()
    found = Oracle(get_game(f"dirac[regulariser=instance-noise,noise={sd}]"), [0, 1]).losses(w)
    assert found[0][0].item() == pytest.approx(fake.item(), abs=4e-3)
    assert found[1][0].item() == pytest.approx(-(fake + real).item(), abs=8e-3)
    silent = Oracle(get_game("dirac[regulariser=instance-noise,noise=0]"), [0, 1])
    assert torch.allclose(silent(w), Oracle(get_game("dirac"), [0, 1])(w))


def test_dirac_penalties_by_their_definition() -> None:
    w = torch.tensor([[0.8, -1.5], [0.2, 0.4]], dtype=torch.float64)
    plain = Oracle(get_game("dirac"), [0, 1]).losses(w)
    for kind, added in (("r1", [1.125, 0.08]), ("r2", [1.125, 0.08]), ("gradient-penalty", [0.25, 0.36])):
        found = Oracle(get_game(f"dirac[regulariser={kind},gamma=2]"), [0, 1]).losses(w)
        assert torch.equal(found[0], plain[0])
        factor = 2 * torch.tensor(added, dtype=torch.float64)
        assert torch.allclose(found[1] - plain[1], factor)


def test_clipping_holds_the_discriminator_and_leaves_the_generator() -> None:
    game: Any = get_game("dirac[loss=wgan,clip=0.3]")
    w = torch.tensor([[5.0, 5.0], [-5.0, -0.2]], dtype=torch.float64)
    assert game.project(w).tolist() == [[5.0, 0.3], [-5.0, -0.2]]
    plain: Any = get_game("dirac[loss=wgan]")
    assert plain.project(w) is w
    task = Task("sgd[lr=0.1]", "dirac[loss=wgan,clip=0.3]", 300, evaluations=3, device="cpu")
    (chunk,) = task.chunks([Row(1, ())], "report")
    psi = execute(chunk).tensors["path"][1:, 0, 1]
    assert psi.abs().max().item() == pytest.approx(0.3)


@pytest.mark.parametrize("wrong", ["loss=hinge", "regulariser=r3", "gamma=-1", "noise=-1", "clip=-1"])
def test_wrong_dirac_settings_are_refused(wrong: str) -> None:
    with pytest.raises(UserError, match=wrong.split("=")[0]):
        get_game(f"dirac[{wrong}]")


# --- data in the plane -----------------------------------------------------------------------------------------------


class PerfectGenerator:
    """A game's own data in place of a generator."""

    def __init__(self, game: Any, count: int) -> None:
        self.data: Tensor = game.data(torch.tensor([11, 12]), "perfect", 0, count, 1).transpose(1, 2)

    def samples(self, w: Tensor, count: int) -> Tensor:
        return self.data

    def cached(self, w: Tensor, key: object, compute: Any) -> Any:
        return compute()


@pytest.mark.parametrize(("name", "count", "apart"), [("ring8", 8, 2 * math.sin(math.pi / 8)), ("grid25", 25, 2.0)])
def test_mixtures_have_their_modes_and_a_perfect_sampler_its_score(name: str, count: int, apart: float) -> None:
    game: Any = get_game(name)
    gaps = torch.cdist(game.modes, game.modes) + 9 * torch.eye(count)
    assert game.modes.shape == (count, 2)
    assert gaps.min().item() == pytest.approx(apart, rel=1e-5)
    many: Any = PerfectGenerator(game, 200_000)
    w = torch.zeros(2, 1)
    share = get_metric("high_quality")(game, w, many)
    assert share.tolist() == pytest.approx([1 - math.exp(-4.5)] * 2, abs=1e-3)  # 0.9889, four deviations
    few: Any = PerfectGenerator(game, 2500)
    assert get_metric("modes_strict")(game, w, few).tolist() == [count, count]
    assert get_metric("mode_kl")(game, w, few).max() < 0.02


def test_grid25_is_veegans_grid() -> None:
    modes = get_game("grid25").modes  # type: ignore[attr-defined]
    assert {tuple(mode) for mode in modes.tolist()} == {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}


def test_the_swiss_rolls_points_lie_on_the_roll() -> None:
    game: Any = get_game("swiss-roll")
    points = game.data(torch.tensor([3]), "real", 0, 20_000, 1)[0].double().T * 7.5
    t = torch.linspace(1.5 * math.pi, 4.5 * math.pi, 3000, dtype=torch.float64)
    curve = torch.stack([t * t.cos(), t * t.sin()], dim=1)
    gap, place = torch.cdist(points, curve).min(dim=1)
    inside = (place > 50) & (place < 2950)  # at the ends the nearest point is the end
    assert gap[inside].square().mean().sqrt().item() == pytest.approx(0.25, rel=0.03)  # noise across the curve
    counts = torch.histc(t[place[inside]], 10, t[50].item(), t[2949].item())
    assert (counts / counts.mean() - 1).abs().max() < 0.1  # uniform in t
    assert 0.85 < (points / 7.5).std(dim=0).min() < (points / 7.5).std(dim=0).max() < 0.95


def test_the_swiss_roll_has_the_toys_penalty() -> None:
    roll: Any = get_game("swiss-roll")
    assert (roll.loss, roll.gamma, roll.coordinates) == ("wgan-gp", 0.1, 2)


# --- the covariance of a Gaussian ------------------------------------------------------------------------------------


def test_the_covariance_game_is_still_where_the_covariances_agree() -> None:
    game: Any = get_game("gaussian-covariance[dim=4,condition=6,instance=2]")
    values = torch.linalg.eigvalsh(game.covariance)
    assert torch.allclose(values, 6.0 ** -(torch.arange(3, -1, -1).double() / 3))
    root = torch.linalg.cholesky(game.covariance)
    turned = root @ torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    skew = torch.randn(4, 4, dtype=torch.float64)
    rows = [(root, torch.zeros_like(root)), (turned, skew - skew.T)]
    w = torch.stack([torch.cat([v.flatten(), c.flatten()]) for v, c in rows])
    F = Oracle(game, [0, 1])
    assert F(w).abs().max() < 1e-12
    assert get_metric("covariance_error")(game, w, F).max() < 1e-12


def test_the_covariance_games_field_and_score_by_their_formulas() -> None:
    game: Any = get_game("gaussian-covariance")
    F = Oracle(game, [0, 1])
    w = game.init(F.seeds)
    v, critic = (part.view(2, 3, 3) for part in w.split(9, dim=1))
    missing = game.covariance - v @ v.mT
    expected = torch.cat([(-(critic + critic.mT) @ v).flatten(1), -missing.flatten(1)], dim=1)
    assert torch.allclose(F(w), expected)
    assert torch.allclose(get_metric("covariance_error")(game, w, F), missing.flatten(1).norm(dim=1))


def test_optimism_learns_the_covariance_and_simultaneous_descent_does_not() -> None:
    game = get_game("gaussian-covariance")
    for spelled, learns in (("optimistic[lr=0.1]", True), ("sgd[lr=0.03]", False)):
        error = _after(game, spelled, 2000)
        assert (error < 0.01).all() if learns else (error > 0.1).all()


# --- the mean of a Gaussian ------------------------------------------------------------------------------------------


def test_the_mean_games_minibatches_have_their_noise_and_its_field_its_formula() -> None:
    game: Any = get_game("gaussian-mean[dim=2,mean=1.5,batch_size=25]")
    batches = [game.batch(torch.arange(50), draw) for draw in range(20)]
    real, latent = (torch.cat([batch[key] for batch in batches]) for key in ("real", "latent"))
    assert real.mean().item() == pytest.approx(1.5, abs=0.02)
    assert latent.mean().item() == pytest.approx(0, abs=0.02)
    assert torch.cat([real - 1.5, latent]).std().item() == pytest.approx(0.2, rel=0.05)
    F = Oracle(game, [0, 1])
    w, batch = game.init(F.seeds), game.batch(F.seeds, 0)
    theta, phi = w.split(2, dim=1)
    assert torch.allclose(F(w), torch.cat([-phi, -(batch["real"] - batch["latent"] - theta)], dim=1))
    assert torch.allclose(get_metric("mean_error")(game, w, F), (theta - 1.5).norm(dim=1))


def test_optimism_learns_the_mean_to_its_noise_and_simultaneous_descent_does_not() -> None:
    game = get_game("gaussian-mean")
    start = get_metric(game.score)(game, game.init(torch.arange(3)), Oracle(game, range(3)))
    optimism, descent = (_after(game, spelled, 1000) for spelled in ("optimistic[lr=0.2]", "sgd[lr=0.2]"))
    assert (optimism < start / 5).all()
    assert (descent > start).all()


def _after(game: Game, spelled: str, steps: int, w: Tensor | None = None) -> Tensor:
    """The score of each replica after so many steps."""
    rule, F = get_rule(spelled), Oracle(game, range(3))
    w = game.init(F.seeds) if w is None else w
    s = rule.init(w)
    for _ in range(steps):
        w, s = rule.step(F, w, s)
        F.new_batch()
    return get_metric(game.score)(game, w, F)


# --- a solution behind a limit cycle ---------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["sgd[lr=0.02]", "extragrad[lr=0.05]", "optimistic[lr=0.05]"])
def test_the_forsaken_solution_attracts_only_its_neighbourhood(spelled: str) -> None:
    """The paper's picture: from beside the solution it is reached, from outside a cycle, at a distance of its own."""
    game = get_game("forsaken")
    beside = game.solution() + torch.tensor([[0.05, 0.0], [0.0, 0.05], [-0.05, 0.0]], dtype=torch.float64)  # type: ignore[attr-defined]
    outside = torch.tensor([[1.3, 1.3], [-1.2, 0.5], [0.0, -1.4]], dtype=torch.float64)
    assert (_after(game, spelled, 2000, beside) < 0.05 / 3).all()
    caught = _after(game, spelled, 2000, outside)
    assert ((caught > 0.5) & (caught < 3)).all()
