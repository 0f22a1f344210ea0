"""A loss as a user gives it: by name, as torch's module, or as a pair of functions of logits."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.games.harness.losses import LOSSES, Loss
from bench.games.networks.given_modules import NAME

TRIED = 8  # logits of either kind that a pair of functions is tried on

_SQUARES = Loss(
    lambda real, fake: (fake - 1).square().mean(1),
    lambda real, fake: (real - 1).square().mean(1) + fake.square().mean(1),
    "Mao et al. 2017, arXiv:1611.04076, without its factor of a half, as loops with nn.MSELoss have it",
)


def given_loss(loss: Any) -> tuple[str, Loss]:
    """The name of a loss and what it computes.

    Args:
        loss: a name; ``nn.BCEWithLogitsLoss()`` (the non-saturating loss) or ``nn.MSELoss()`` (least squares); or a
            pair (generator, discriminator) of functions, the first of fake logits [N] or of (real, fake), the second
            of (real, fake), each giving one number.

    Raises:
        UserError: it is none of these, or a function fails or gives no finite number that depends on the logits.
    """
    if isinstance(loss, str):
        return loss, LOSSES.get(loss, LOSSES["non-saturating"])  # the game refuses an unknown name
    if isinstance(loss, nn.BCEWithLogitsLoss):
        _plain(loss, "weight", "pos_weight")
        return "non-saturating", LOSSES["non-saturating"]
    if isinstance(loss, nn.MSELoss):
        _plain(loss)
        return "MSELoss", _SQUARES
    if isinstance(loss, nn.BCELoss):
        raise UserError(
            f"{NAME}: loss is BCELoss(), which takes probabilities; leave the discriminator's sigmoid out and give "
            "nn.BCEWithLogitsLoss()"
        )
    if isinstance(loss, (tuple, list)) and len(loss) == 2 and all(map(callable, loss)):
        return "given", _pair(*loss)
    raise UserError(
        f"{NAME}: loss is a {type(loss).__name__}; a name ({', '.join(LOSSES)}), nn.BCEWithLogitsLoss(), nn.MSELoss() "
        "or a pair of functions (generator, discriminator) of logits is allowed"
    )


def _plain(loss: nn.Module, *weights: str) -> None:
    """Refuse options that change the loss."""
    if getattr(loss, "reduction", "mean") != "mean":
        raise UserError(f"{NAME}: loss is {loss} with reduction {loss.reduction!r}; 'mean' is allowed")
    if given := [name for name in weights if getattr(loss, name, None) is not None]:
        raise UserError(f"{NAME}: loss is {loss} with {given[0]}; give a pair of functions of logits instead")


def _pair(generator: Callable[..., Tensor], discriminator: Callable[..., Tensor]) -> Loss:
    """The functions, each for every replica, after a trial."""
    relative = _arguments(generator) == 2

    def of_generator(real: Tensor, fake: Tensor) -> Tensor:
        pairs = zip(real, fake, strict=True)
        return torch.stack([generator(*([one, other] if relative else [other])).reshape(()) for one, other in pairs])

    def of_discriminator(real: Tensor, fake: Tensor) -> Tensor:
        return torch.stack([discriminator(*pair).reshape(()) for pair in zip(real, fake, strict=True)])

    for who, function in (("generator", of_generator), ("discriminator", of_discriminator)):
        real, fake = (torch.linspace(-2, 2, TRIED).roll(k)[None].requires_grad_() for k in (0, 3))
        try:
            value = function(real, fake)
            slopes = torch.autograd.grad(value.sum(), [real, fake], allow_unused=True, materialize_grads=True)
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise UserError(f"{NAME}: the {who}'s loss on logits ({TRIED},) raised {reason}") from error
        if not bool(value.isfinite().all()) or not bool(slopes[1].isfinite().all()) or not bool(slopes[1].any()):
            raise UserError(
                f"{NAME}: the {who}'s loss gives {float(value.detach()[0]):g} on logits ({TRIED},) and a slope of "
                f"{float(slopes[1].abs().max()):g} by the fake ones; one finite number that depends on them is allowed"
            )
    return Loss(of_generator, of_discriminator, "given by the user", relative=relative)


def _arguments(function: Callable[..., Tensor]) -> int:
    """How many arguments a function must be given."""
    try:
        return sum(one.default is one.empty for one in inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return 1
