"""Losses and regularisers for the listing: equation, source, what belongs to each, how it is asked for."""

from __future__ import annotations

from bench.games.harness.losses import LOSSES, Loss
from bench.games.harness.regularisers import REGULARISERS, Regulariser
from bench.registry.listing import entry
from bench.registry.spelling import write


def losses_and_regularisers() -> dict[str, dict[str, str]]:
    """kind -> name -> its entry of the listing."""
    return {
        "losses": {name: _loss(name, loss) for name, loss in LOSSES.items()},
        "regularisers": {name: _regulariser(name, one) for name, one in REGULARISERS.items()},
    }


def _loss(name: str, loss: Loss) -> str:
    facts = [f"asked for as ring8[loss={name}], of any GAN"]
    if loss.regulariser != "none":
        facts.append(f"published with {loss.regulariser}, gamma = {write(loss.gamma)}")
    if loss.clip:
        facts.append(f"the discriminator's parameters are clipped to {write(loss.clip)} after every step")
    return entry(name, f"{loss.equation}\n\nSource: {loss.source}.", facts)


def _regulariser(name: str, regulariser: Regulariser | None) -> str:
    if regulariser is None:
        return entry(name, "Nothing is added.", [f"asked for as ring8[regulariser={name}], of any GAN"])
    doc = f"gamma times the mean of {regulariser.equation}, is added to the discriminator's loss.\n\n"
    asked = f"asked for as ring8[regulariser={name},gamma=1], of any GAN"
    return entry(name, f"{doc}Source: {regulariser.source}.", [asked])
