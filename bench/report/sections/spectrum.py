"""The spectrum of the game's Jacobian at the start and the end of training, if it was measured."""

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
    """The eigenvalues in the complex plane, first seed, rule beside rule; one panel if the Jacobian is constant."""
    spectrum_tensors = scene.tensors_with("spectrum_end")
    spectra_by_rule = {rule: eigenvalues(tensors["spectrum_end"][0]) for rule, tensors in spectrum_tensors.items()}
    starts = [
        eigenvalues(tensors["spectrum_start"][0])
        for tensors in spectrum_tensors.values()
        if "spectrum_start" in tensors
    ]
    start = starts[0] if starts else np.zeros(0, dtype=complex)
    if not any(values.size for values in spectra_by_rule.values()):
        return
    notes = {rule: "none that is finite" for rule, values in spectra_by_rule.items() if not values.size}
    is_exact = all(float(tensors["spectrum_end"][0, :, 2].max()) < 1e-6 for tensors in spectrum_tensors.values())
    caption = f"Spectrum of the Jacobian of {scene.label}, first seed: "
    if start.size and all(_same(values, start) for values in spectra_by_rule.values()):
        spectra_by_rule, notes, start = {EVERYWHERE: start}, {}, start[:0]
        caption += "the same everywhere, for F is linear. "
    else:
        caption += "dots at the end of training, " + ("circles at its start. " if start.size else "not at its start. ")
    caption += (
        "" if is_exact else "Ritz values of Arnoldi's method that stand close to an eigenvalue, the outermost ones. "
    )
    caption += "In the shaded half −F repels; on its border, the imaginary axis, it turns, and simultaneous steps of "
    caption += "any length spiral out (Mescheder et al. 2017; Berard et al. 2020)."
    yield Drawing(
        "spectrum", caption, spectra.spectra(spectra_by_rule, start, scene.look, notes), wide=len(spectra_by_rule) > 1
    )


def eigenvalues(numbers: Tensor) -> Array:
    """The trusted eigenvalues of [m, 3] real parts, imaginary parts and residuals: complex [m'], sorted."""
    finite = numbers[numbers.isfinite().all(dim=1)]
    values = torch.complex(finite[:, 0], finite[:, 1]).numpy()
    rounding = 1e-10 * np.abs(values).max(initial=0.0)  # a smaller part is a rounding error
    values = np.where(np.abs(values.real) < rounding, 0, values.real) + 1j * np.where(
        np.abs(values.imag) < rounding, 0, values.imag
    )
    is_trusted = finite[:, 2].numpy() <= TRUSTED * np.abs(values).max(initial=0.0)
    return np.asarray(np.sort_complex(values[is_trusted]))


def _same(values: Array, others: Array) -> bool:
    """Whether two spectra are equal up to rounding."""
    if values.shape != others.shape:
        return False
    gaps = np.abs(values[:, None] - others[None, :])
    largest = 1e-8 * float(np.abs(others).max(initial=0.0))
    return bool((gaps.min(axis=0) <= largest).all() and (gaps.min(axis=1) <= largest).all())
