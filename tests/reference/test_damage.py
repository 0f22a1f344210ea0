"""The table of what each measure sees of damage, quickly: digits, few families, few measures."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from scripts import script

from bench.games.data.classifiers import load
from bench.numerics.distances import debiased_frechet, frechet, gaussian, kernel_distance

COUNT = 600


@pytest.fixture(scope="module")
def damage() -> ModuleType:
    return script("damage")


FAMILIES = [
    "noise, sd", "blur, sd", "shift, 28ths", "junk, share of images", "blend of two, weight", "classes dropped",
    "imbalance, share lost from class to class", "copies, log2 of times", "one image a class, share",
]  # fmt: skip


@pytest.mark.parametrize("title", FAMILIES)
def test_the_frechet_distance_grows_with_damage(damage: ModuleType, title: str) -> None:
    family = damage.families(damage.pool("digits"), COUNT)[title]
    features = load("digits")
    embedded = features.embed(torch.stack([family.make(level) for level in family.levels]))[0]
    assert damage.spearman(frechet(embedded, features.reference)) == 1
    assert damage.spearman(debiased_frechet(embedded, features.reference)) == 1
    assert damage.spearman(kernel_distance(embedded, embedded[0, :300])) >= 0.9


def test_there_are_at_least_ten_families_of_six_levels_from_none_to_much(damage: ModuleType) -> None:
    images = damage.pool("digits")
    found = damage.families(images, COUNT)
    assert len(found) >= 10
    for title, family in found.items():
        assert len(family.levels) == 6
        assert list(family.levels) == sorted(family.levels)
        start, end = family.make(family.levels[0]), family.make(family.levels[-1])
        assert start.shape == end.shape == (COUNT, 64)
        assert torch.equal(end, family.make(family.levels[-1])), f"{title} is not repeatable"
        whole = images.images[: 2 * COUNT]
        assert torch.cdist(start, whole).amin(dim=1).max() < 0.01, f"{title} does not begin undamaged"


def test_images_without_weights_are_judged_too(damage: ModuleType) -> None:
    images = damage.pool("digits")
    family = damage.families(images, COUNT)["noise, sd"]
    reference = gaussian(images.training[:, 10:40])
    noisy = torch.stack([family.make(level) for level in family.levels])[..., 10:40]
    assert damage.spearman(frechet(noisy, reference)) == 1


def test_rank_correlation_and_what_counts_as_blind(damage: ModuleType) -> None:
    assert damage.spearman(torch.tensor([1.0, 2, 3, 9])) == pytest.approx(1)
    assert damage.spearman(torch.tensor([9.0, 3, 2, 1])) == pytest.approx(-1)
    assert damage.spearman(torch.tensor([1.0, 1, 1])) == 0
    assert damage.spearman(torch.tensor([1.0, 1, 2, 2])) == pytest.approx(4 / (20**0.5))
    assert damage.Seen(0.4, 100).blind
    assert damage.Seen(1.0, damage.SEEN).blind
    assert not damage.Seen(0.5, damage.SEEN + 1).blind


def test_the_page_says_what_was_found(damage: ModuleType) -> None:
    table = {"noise, sd": {"FD": damage.Seen(1.0, 50.0)}, "blur, sd": {"FD": damage.Seen(0.3, 50.0)}}
    text = damage.page("digits", 1000, table, 1.0)
    assert "| noise, sd | 1 |" in text
    assert "| blur, sd | (0.30) |" in text
    assert "| FD | 1 of 2 | blur |" in text
    assert "python results/reference/damage.py digits" in text
