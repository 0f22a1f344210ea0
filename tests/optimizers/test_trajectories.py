"""Every rule against what published implementations of it did, step by step, in float64.

The recordings stand in a folder named by ``BENCH_TRAJECTORIES``, a JSON file a run: the game's matrix, the starts, and
the parameters at some steps. Without the folder these tests skip. The spellings below say which variant a recording is;
where its notes name a bug of the released code, no rule reproduces it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contracts import Game, Oracle
from bench.contracts.introspection import stacked
from bench.registry import get_rule

FOLDER = Path(os.environ.get("BENCH_TRAJECTORIES", "no such folder"))
STEPS, SOON = 200, 50  # the longest recording, and what the plain test command compares
TF_RMSPROP = "direction=rmsprop[alpha=0.8999999761581421,eps=1.000000013351432e-10,v0=1,inside=true]"
GIDEL_ADAM = "adam[beta1=0.5,beta2=0.9,scaled_eps=true]"
GIDEL = f"direction={GIDEL_ADAM}"
LOOKAHEAD = {  # LAGAN's recordings: base, k, alpha, where slow starts
    f"lagan__lookahead_{base}_k{k}_a{alpha}_{start}__{order}": f"lookahead[k={k},alpha={alpha}"
    f"{',lazy=true' * (start == 'lazy')},inner={inner}]"
    for base, order, inner in (
        ("sgd", "sim", "sgd[lr=0.3]"),
        ("sgd", "alt_D_first", "alternating[lr=0.3]"),
        ("adam", "alt_D_first", "alternating[lr=0.02,direction=adam[beta1=0]]"),
        ("extra_sgd", "sim", "extragrad[lr=0.3]"),
    )
    for k, alpha in ((5, 0.5), (6, 0.4))
    for start in ("at_w0", "lazy")
}
TORCH_ADAM = {
    f"torch__adam_b{b1}_{b2}__{order}": f"{scheme}[lr=0.02,direction=adam[beta1={b1},beta2={b2}]]"
    for b1, b2 in ((0.0, 0.9), (0.5, 0.999), (0.9, 0.999))
    for order, scheme in (("sim", "sgd"), ("alt_D_first", "alternating"))
}
MOMENTUM = {
    f"{name}{beta}__{order}": f"{scheme},lr={lr},beta={beta}]"
    for name, betas, lr in (
        ("torch__sgd_momentum", (0.5, 0.9), 0.05),
        ("negmom__sgd_negative_momentum", (-0.3, -0.5), 0.3),
    )
    for beta in betas
    for order, scheme in (
        ("sim", "sgd[direction=momentum"),
        ("alt_D_first", "alternating[direction=momentum"),
        ("alt_G_first", "alternating[direction=momentum,generator_first=true"),
    )
}
SPELLED = {
    "adabelief_official__adabelief__sim": "adabelief[lr=0.02,eps=1e-12]",
    "anchored__eag_c__sim": "eag-c[lr={1/(8*L)}]",
    "anchored__eag_v__sim": "eag-v[lr={0.5/L}]",
    "anchored__feg__sim": "feg[lr={1/L}]",
    "cgds__acgd_tight__sim": "acgd[lr=0.02,iterations=12]",
    "cgds__bcgd_tight__sim": "cgd[lr=0.2,iterations=8]",
    "cgds__gacgd__sim": "acgd[lr=0.02,eps=1e-6,iterations=12]",
    "cooper__extra_adam_b0.5_0.9__sim": f"extragrad[lr=0.02,direction={GIDEL_ADAM}]",
    "cooper__extra_adam_b0.9_0.999__sim": "extragrad[lr=0.02,direction=adam[beta1=0.9,scaled_eps=true]]",
    "cooper__extra_sgd__sim": "extragrad[lr=0.3]",
    "cooper__extra_sgd_momentum0.3__sim": "extragrad[lr=0.09999999999999999,direction=momentum[beta=0.3]]",
    "cooper__nupi_kp1_ki1_ZEROSinit__sim": "nupi[lr=0.15,zero_past=true]",
    "dss__chambolle_pock": "chambolle-pock[lr=0.2,theta=2.5]",
    "dss__double_stepsize_eg__sim": "double-step-extragrad[lr=0.2,gamma=0.5]",
    "dss__gs_double_stepsize_eg__alt": "double-step-extragrad[lr=0.2,gamma=0.5,alternating=true]",
    "dss__gs_gda__alt_G_first": "alternating[lr=0.2,generator_first=true]",
    "dss__jac_og__sim": "optimistic[lr=0.2,optimism=2.5]",
    "gdaam__altAA_k4__alt_G_first": "alternating-gda-am[lr=0.3,generator_first=true,depth=4,reg=1e-9]",
    "gdaam__altAA_k8__alt_G_first": "alternating-gda-am[lr=0.3,generator_first=true,depth=8,reg=1e-9]",
    "gdaam__simAA_k4__sim": "gda-am[lr=0.3,depth=4,reg=1e-8]",
    "gdaam__simAA_k8__sim": "gda-am[lr=0.3,depth=8,reg=1e-8]",
    "gidel__extra_adam_b0.5_0.9__sim": f"extragrad[lr=0.02,direction={GIDEL_ADAM}]",
    "gidel__extra_adam_b0.9_0.999__sim": "extragrad[lr=0.02,direction=adam[beta1=0.9,scaled_eps=true]]",
    "gidel__extra_sgd__sim": "extragrad[lr=0.3]",
    "gidel__extra_sgd_momentum0.3__sim": "extragrad[lr=0.09999999999999999,direction=momentum[beta=0.3]]",
    "gidel__omd__sim": "optimistic[lr=0.18,zero_past=true]",
    "gidel__optimistic_adam__alt_D_first": f"alternating[lr=0.02,direction=optimistic[zero_past=true,{GIDEL}]]",
    "gidel__optimistic_adam__sim": f"optimistic[lr=0.02,zero_past=true,direction={GIDEL_ADAM}]",
    "gidel__past_extra_adam__sim": f"past-extragrad[lr=0.02,direction={GIDEL_ADAM}]",
    "gidel__past_extra_sgd__sim": "past-extragrad[lr=0.18]",
    "iclr2020__oadam__sim": "oadam[lr=0.02]",
    "icr__lcgd__sim": "lcgd[lr=0.2]",
    "lagan_nb__extragrad__sim": "extragrad[lr=0.3]",
    "lagan_nb__gda__sim": "sgd[lr=0.3]",
    "lead__lsdopt__sim": "lead[lr=0.2,beta=0.3,alpha=0.25]",
    "lion_pytorch__lion__sim": "lion[lr=0.005]",
    "odegan__rk2_reg0.05__sim": "ode-gan[lr=0.5,reg=0.05]",
    "odegan__rk2_reg0.0__sim": "ode-gan[lr=0.5,reg=0]",
    "odegan_tf__rk2_reg0.05__sim": "ode-gan[lr=0.5,reg=0.05]",
    "odegan_tf__rk2_reg0.0__sim": "ode-gan[lr=0.5,penalty=false]",
    "odegan_tf__rk4_reg0.05__sim": "ode-gan[lr=0.5,order=4,reg=0.05]",
    "odegan_tf__rk4_reg0.0__sim": "rk4[lr=0.5]",
    "optax__adabelief__sim": "adabelief[lr=0.02,beta2=0.9,eps=1e-16]",
    "optax__adam__sim": "adam[lr=0.02,beta2=0.9]",
    "optax__lion__sim": "lion[lr=0.005]",
    "optax__lookahead_sgd_k5_a0.5__sim": "lookahead[inner=sgd[lr=0.18],k=5,alpha=0.5]",
    "optax__optimistic_adam_v1_opt0.5__sim": "optimistic[lr=0.02,optimism=0.5,direction=adam[beta2=0.9,nesterov=true]]",
    "optax__optimistic_adam_v2_nesterovFalse__sim": "optimistic[lr=0.02,direction=adam[beta2=0.9]]",
    "optax__optimistic_adam_v2_nesterovTrue__sim": "optimistic[lr=0.02,direction=adam[beta2=0.9,nesterov=true]]",
    "optax__optimistic_gradient_descent__alt_D_first": "alternating[lr=0.18,direction=optimistic]",
    "optax__optimistic_gradient_descent_a1.0_b0.5__sim": "optimistic[lr=0.18,optimism=0.5]",
    "optax__optimistic_gradient_descent_a1.0_b1.0__sim": "optimistic[lr=0.18]",
    "optax__schedule_free_sgd_b0.9__sim": "schedule-free[lr=0.18]",
    "optax__sgd__sim": "sgd[lr=0.18]",
    "sos_repo__cgd__sim": "cgd[lr=0.2,iterations=8]",
    "sos_repo__co__sim": "consensus[lr=0.2,gamma=0.3]",
    "sos_repo__eg__sim": "extragrad[lr=0.2]",
    "sos_repo__la__sim": "lcgd[lr=0.2]",
    "sos_repo__lola__sim": "lola[lr=0.2]",
    "sos_repo__lss__sim": "lss[lr=0.2,iterations=8]",
    "sos_repo__nl__sim": "sgd[lr=0.2]",
    "sos_repo__sga__sim": "sga-aligned[lr=0.2]",
    "sos_repo__sos__sim": "sos[lr=0.2]",
    "syrgkanis__OFRL_v1__sim": "optimistic[lr=0.18,zero_past=true]",
    "syrgkanis__OMDA_v1__sim": "optimistic[lr=0.18,zero_past=true]",
    "tf1__altgd_rmsprop__alt_D_first": f"alternating[lr={{LR}},{TF_RMSPROP}]",
    "tf1__conopt_a0.1_rmsprop__sim": f"consensus[lr={{LR}},gamma=0.1,{TF_RMSPROP}]",
    "tf1__conopt_a0.1_sgd__sim": "consensus[lr={LR},gamma=0.1]",
    "tf1__conopt_a0.3_rmsprop__sim": f"consensus[lr={{LR}},gamma=0.3,{TF_RMSPROP}]",
    "tf1__conopt_a0.3_sgd__sim": "consensus[lr={LR},gamma=0.3]",
    "tf1__sga_lam0.5_noalign_rmsprop__sim": f"sga[lr={{LR}},lam=0.5,{TF_RMSPROP}]",
    "tf1__sga_lam0.5_noalign_sgd__sim": "sga[lr={LR},lam=0.5]",
    "tf1__sga_lam1.0_align_rmsprop__sim": f"sga-aligned[lr={{LR}},tensors=2,{TF_RMSPROP}]",
    "tf1__sga_lam1.0_align_sgd__sim": "sga-aligned[lr={LR},tensors=2]",
    "tf1__sga_lam1.0_noalign_rmsprop__sim": f"sga[lr={{LR}},{TF_RMSPROP}]",
    "tf1__sga_lam1.0_noalign_sgd__sim": "sga[lr={LR}]",
    "tf1__simgd_rmsprop__sim": f"sgd[lr={{LR}},{TF_RMSPROP}]",
    "tf1__smoothing_rmsprop__sim": f"smoothing[lr={{LR}},{TF_RMSPROP}]",
    "torch__amsgrad__sim": "amsgrad[lr=0.02,beta2=0.9]",
    "torch__average_ema0.9_of_altsgd": "ema[decay=0.9,inner=alternating[lr=0.05]]",
    "torch__average_uniform_of_altsgd": "average[inner=alternating[lr=0.05]]",
    "torch__rmsprop__sim": "rmsprop[lr=0.01]",
    "torch__sgd__alt_D_first": "alternating[lr=0.1]",
    "torch__sgd__alt_G_first": "alternating[lr=0.1,generator_first=true]",
    "torch__sgd__sim": "sgd[lr=0.1]",
    "torch__sgd_nD2__alt_D_first": "alternating[lr=0.1,discriminator_steps=2]",
    "torch__sgd_nesterov0.5__sim": "nesterov[lr=0.05,beta=0.5]",
    "torch__ttur_adam__alt_D_first": "alternating[lr=0.005:0.02,direction=adam[beta1=0,beta2=0.9]]",
    "torch__ttur_adam__sim": "ttur[lr_g=0.005,lr_d=0.02]",
    "torch_optGAN__optimAdam__sim": "optimistic[lr=0.02,zero_past=true,direction=adam[beta2=0.9]]",
    "torch_optGAN__somd_v1__sim": "optimistic[lr=0.18,zero_past=true]",
    "unroll_gan__unrolled1_sgd__alt_D_first": "unrolled[k=1,lr=0.2,discriminator_first=true]",
    "unroll_gan__unrolled3_sgd__alt_D_first": "unrolled[k=3,lr=0.2,discriminator_first=true]",
    "unroll_gan__unrolled5_sgd__alt_D_first": "unrolled[k=5,lr=0.2,discriminator_first=true]",
    **LOOKAHEAD, **TORCH_ADAM, **MOMENTUM,
}  # fmt: skip

AVERAGED = {"torch__average_ema0.9_of_altsgd", "torch__average_uniform_of_altsgd"}
"""Recordings of the averaged iterates: compared at ``answer``."""

LEFT_OUT = {
    "cgds__acgd_default__sim": "its solver stops at 1e-12 of the squared residual: see cgds__acgd_tight",
    "cgds__bcgd_default__sim": "its solver is capped at n - 1 iterations: see cgds__bcgd_tight",
    "cooper__nupi_kp1_ki1_SGDinit__sim": "a bug: the memory is set to 0 after the first step",
    "dss__gs_og__alt_G_first": "its discriminator remembers a gradient at w_0 that no step of alternating descent asks",
    "gidel__omd_inplace_zero_grad_BUG__sim": "a bug: the remembered gradient is the current one",
    "lagan_nb__lookahead_gda_k6_a0.4__sim": "goes back at the start of the next step: recorded one moment earlier",
    "lagan_nb__unroll_y_first_order_k6__sim": "not unrolling: it does not differentiate through the steps",
    "syrgkanis__optimAdam__sim": "a bug: the old moments lag by two steps",
}

FILES = {path.name.split("__bilinear")[0]: path for path in sorted(FOLDER.glob("*.json"))}
pytestmark = pytest.mark.skipif(not FILES, reason="BENCH_TRAJECTORIES names no folder of recorded trajectories")


@dataclass(frozen=True)
class Recorded(Game):
    """min_x max_y x'Ay from one recorded start."""

    A: Tensor
    start: Tensor

    dtype = torch.float64

    @property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(self.A.shape)

    def init(self, seeds: Tensor) -> Tensor:
        return self.start.repeat(len(seeds), 1)

    def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
        f = torch.einsum("ri,ij,rj->r", players[0], self.A, players[1])
        return f, -f


def spelling(name: str, hyperparameters: dict[str, Any]) -> str:
    """With numbers that stand in the file alone: the Lipschitz constant, TensorFlow's rounded step size."""
    text = SPELLED[name]
    L = hyperparameters.get("L", 1.0)
    for key, value in {"{1/(8*L)}": 1 / (8 * L), "{0.5/L}": 0.5 / L, "{1/L}": 1 / L}.items():
        text = text.replace(key, repr(value))
    return text.replace("{LR}", repr(hyperparameters.get("learning_rate")))


def tolerance(found: dict[str, Any], step: int) -> float:
    """1e-9; but where the notes say that least squares are ill conditioned, 1/reg times a rounding after five steps."""
    reg = found["hyperparameters"].get("reg", 1.0) if any("ill-conditioned" in note for note in found["notes"]) else 1.0
    return max(1e-9, 2.3e-16 / reg) if step > 5 else 1e-9


@pytest.mark.parametrize("most", [SOON, pytest.param(STEPS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", sorted(FILES.keys() - LEFT_OUT))
def test_equals_the_published_implementation(name: str, most: int) -> None:
    found = json.loads(FILES[name].read_text())
    problem, path = found["problem"], found["trajectory"]
    start = torch.tensor([*problem["theta0"], *problem["phi0"]], dtype=torch.float64)
    game = Recorded(torch.tensor(problem["A"], dtype=torch.float64), start)
    rule = stacked(get_rule(spelling(name, found["hyperparameters"])), [{}, {}], game)
    recorded = torch.tensor([[*a, *b] for a, b in zip(path["theta"], path["phi"], strict=True)], dtype=torch.float64)
    horizon = found["parity_horizon"]["last_recorded_step_with_rel_dev<=1e-10_vs_independent_formula"]
    expected = {t: point for t, point in zip(path["step"], recorded, strict=True) if t <= min(horizon, most)}
    assert len(expected) > 2
    F = Oracle(game, [0, 1])
    w = game.init(F.seeds)
    s = rule.init(w)
    for t in range(max(expected) + 1):
        if t in expected:
            at = rule.answer(w, s) if name in AVERAGED else w
            scale = expected[t].abs().max().clamp(min=1)
            assert ((at - expected[t]).abs().max() / scale).item() < tolerance(found, t), f"step {t}"
        w, s = rule.step(F, w, s)


def test_every_recording_is_compared_or_says_why_not() -> None:
    assert FILES.keys() <= SPELLED.keys() | LEFT_OUT.keys(), FILES.keys() - SPELLED.keys() - LEFT_OUT.keys()
