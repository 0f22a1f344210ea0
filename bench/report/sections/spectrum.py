"""The spectrum of the game's Jacobian at the start and the end of training, where it was measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bench.analysis.statistics import Array
from bench.report.figures import spectra
from bench.report.sections.scene import Drawing, Scene

TRUSTED = 0.05  # a Ritz value farther than this share of the largest from an eigenvalue is not drawn
EVERYWHERE = "every rule, start and end"


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """Eigenvalues in the complex plane, first seed, rule beside rule; in one panel where the Jacobian is constant."""
    held = scene.held("spectrum_end")
    found = {rule: eigenvalues(tensors["spectrum_end"][0]) for rule, tensors in held.items()}
    starts = [eigenvalues(tensors["spectrum_start"][0]) for tensors in held.values() if "spectrum_start" in tensors]
    start = starts[0] if starts else np.zeros(0, dtype=complex)
    if not any(values.size for values in found.values()):
        return
    notes = {rule: "none that is finite" for rule, values in found.items() if not values.size}
    whole = all(float(tensors["spectrum_end"][0, :, 2].max()) < 1e-6 for tensors in held.values())
    caption = f"Spectrum of the Jacobian of {scene.label}, first seed: "
    if start.size and all(_same(values, start) for values in found.values()):
        found, notes, start = {EVERYWHERE: start}, {}, start[:0]
        caption += "the same everywhere, for F is linear. "
    else:
        caption += "dots at the end of training, " + ("circles at its start. " if start.size else "not at its start. ")
    caption += (
        "" if whole else "Ritz values of Arnoldi's method that stand close to an eigenvalue, the outermost ones. "
    )
    caption += "In the shaded half −F repels; on its border, the imaginary axis, it turns, and simultaneous steps of "
    caption += "any length spiral out (Mescheder et al. 2017; Berard et al. 2020)."
    yield Drawing("spectrum", caption, spectra.spectra(found, start, scene.look, notes), wide=len(found) > 1)


def eigenvalues(numbers: Tensor) -> Array:
    """Those that can be trusted of [m, 3] real parts, imaginary parts and residuals: complex [m'], sorted."""
    sound = numbers[numbers.isfinite().all(dim=1)]
    values = torch.complex(sound[:, 0], sound[:, 1]).numpy()
    dust = 1e-10 * np.abs(values).max(initial=0.0)  # what rounding leaves beside an axis
    values = np.where(np.abs(values.real) < dust, 0, values.real) + 1j * np.where(
        np.abs(values.imag) < dust, 0, values.imag
    )
    near = sound[:, 2].numpy() <= TRUSTED * np.abs(values).max(initial=0.0)
    return np.asarray(np.sort_complex(values[near]))


def _same(values: Array, others: Array) -> bool:
    """Whether two spectra are the same but for rounding."""
    if values.shape != others.shape:
        return False
    gaps = np.abs(values[:, None] - others[None, :])
    largest = 1e-8 * float(np.abs(others).max(initial=0.0))
    return bool((gaps.min(axis=0) <= largest).all() and (gaps.min(axis=1) <= largest).all())
