"""The classifiers that judge images: what ships is what was recorded, and their distance grows with damage."""

import dataclasses
from importlib.resources import files

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bench.games.data import classifiers as features
from bench.games.data import loading as data
from bench.games.data.classifiers import RECIPES, accuracy, damage, digits, load, train
from bench.numerics.distances import frechet


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blurred(images: Tensor, times: int) -> Tensor:
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).view(1, 1, 3, 3) / 16
    ink = images.view(-1, 1, 8, 8) + 1
    for _ in range(times):
        ink = functional.conv2d(ink, kernel, padding=1)
    return ink.view(-1, 64) - 1


def family(name: str) -> list[Tensor]:
    """The digits, less and less well."""
    images, labels = digits()
    noise, chance = torch.randn(images.shape, generator=generator()), torch.rand(images.shape, generator=generator(1))
    other = images[torch.randperm(len(images), generator=generator(2))]
    families = {
        "noise": lambda: [images + sd * noise for sd in (0, 0.05, 0.1, 0.2, 0.4, 0.8)],
        "blur": lambda: [blurred(images, times) for times in range(5)],
        "dropped classes": lambda: [images[labels >= least] for least in range(9)],
        "copies": lambda: [images[torch.arange(1797) % kept] for kept in (1797, 900, 300, 100, 30, 10, 3)],
        "flipped pixels": lambda: [torch.where(chance < share, -images, images) for share in (0, 0.02, 0.05, 0.1, 0.3)],
        "contrast": lambda: [(images + 1) * rest - 1 for rest in (1, 0.9, 0.8, 0.6, 0.4, 0.2)],
        "averaging": lambda: [images.lerp(other, share) for share in (0, 0.1, 0.2, 0.3, 0.4, 0.5)],
    }
    return families[name]()


def test_digits_are_scikit_learns_in_a_fixed_order():
    images, labels = digits()
    assert (images.shape, images.dtype, labels.dtype) == ((1797, 64), torch.float32, torch.int64)
    assert (images.min(), images.max()) == (-1, 1)
    assert labels.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert labels[:12].tolist() == [2, 8, 2, 6, 6, 7, 1, 9, 8, 5, 2, 8]
    pixels, origin = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    rows = {(tuple(row), label) for row, label in zip(pixels.tolist(), origin.tolist(), strict=True)}
    assert {(tuple(row), label) for row, label in zip((images * 8 + 8).tolist(), labels.tolist(), strict=True)} == rows


def test_what_ships_is_accurate_on_the_quarter_held_out():
    layers = load("digits").layers
    trained, held = accuracy(layers, RECIPES["digits"])
    assert trained > 0.99
    assert held >= 0.98
    assert [tuple(weight.shape) for weight, _ in layers] == [(128, 64), (64, 128), (10, 64)]


@pytest.mark.parametrize(("name", "least"), [("mnist", 0.985), ("fashion", 0.89)])
def test_what_ships_for_files_is_accurate_on_the_images_held_out(name, least):
    if data.missing(name):
        pytest.skip(data.missing(name))
    evaluator = load(name)
    trained, held = accuracy(evaluator.layers, RECIPES[name])
    assert held > least
    assert trained > held
    assert [tuple(weight.shape) for weight, _ in evaluator.layers] == [(128, 784), (64, 128), (10, 64)]


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_what_ships_as_the_datas_gaussian_is_of_the_images_for_training(name):
    reference = load(name).reference
    assert (reference.mean.dtype, reference.mean.shape, reference.root.shape) == (torch.float64, (64,), (64, 64))
    torch.testing.assert_close(reference.root @ reference.root, reference.covariance)
    assert torch.linalg.eigvalsh(reference.covariance).min() > 1e-4
    if data.missing(name):
        pytest.skip(data.missing(name))
    every = load(name).embed(data.load(name)[0].flatten(1)[None] / 127.5 - 1)[0][0].double()
    torch.testing.assert_close(reference.mean, every.mean(dim=0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(reference.covariance, every.mT.cov(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("name", "most"), [("digits", 100_000), ("mnist", 300_000), ("fashion", 300_000)])
def test_what_ships_is_small(name, most):
    assert len((files("bench.games.data") / "weights" / f"{name}.safetensors").read_bytes()) < most


def test_images_from_files_are_scaled_and_those_held_out_shuffled(monkeypatch):
    images = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1)
    whole = {True: images, False: images + 100}
    monkeypatch.setattr(data, "load", lambda name, train=True: (whole[train], whole[train].flatten().long()))
    found, labels = features.from_files("mnist")
    assert torch.equal(found[:100, 0], torch.arange(100) / 127.5 - 1)
    assert torch.equal(found[:, 0], labels / 127.5 - 1)
    assert labels[100:].sort().values.tolist() == list(range(100, 200))
    assert labels[100:].tolist() != list(range(100, 200))


def test_other_weights_are_refused(monkeypatch):
    raw = (files("bench.games.data") / "weights" / "digits.safetensors").read_bytes()
    flipped = raw[:-1] + bytes([raw[-1] ^ 1])
    with pytest.raises(ValueError, match=f"weights of digits: expected SHA-256 {RECIPES['digits'].digest}, found "):
        features._decode("digits", flipped)
    wrong = dataclasses.replace(RECIPES["digits"], digest="0" * 64)
    monkeypatch.setitem(RECIPES, "digits", wrong)
    with pytest.raises(ValueError, match=f"expected SHA-256 {'0' * 64}, found "):
        load.__wrapped__("digits")


def test_an_unknown_name_answers_with_the_known_ones():
    with pytest.raises(ValueError, match="features: found 'digit'; did you mean digits"):
        load("digit")


def test_features_and_logits_are_those_of_the_layers_written_out():
    images = digits()[0][:6]
    (w1, b1), (w2, b2), (w3, b3) = load("digits").layers
    hidden = functional.leaky_relu(images @ w1.mT + b1, 0.1)
    expected = functional.leaky_relu(hidden @ w2.mT + b2, 0.1)
    found, logits = load("digits").embed(images.view(2, 3, 64))
    torch.testing.assert_close(found, expected.view(2, 3, 64))
    torch.testing.assert_close(logits, (expected @ w3.mT + b3).view(2, 3, 10))
    assert found.dtype == logits.dtype == torch.float32


def test_a_row_alone_is_the_same_bit_for_bit_even_beside_a_broken_one():
    images = digits()[0][: 5 * 300].view(5, 300, 64)
    embed = load("digits").embed
    together = embed(images)
    broken = images.clone()
    broken[1, 7, 3] = torch.nan
    broken[3] = 0
    for whole, part in zip(together, embed(broken), strict=True):
        assert torch.equal(whole[[0, 2, 4]], part[[0, 2, 4]])
        assert part[1, 7].isnan().any()
        assert part[3].isfinite().all()
    for row in range(5):
        for whole, alone in zip(together, embed(images[row : row + 1]), strict=True):
            assert torch.equal(whole[row], alone[0])


def test_a_wrong_shape_says_what_is_allowed():
    with pytest.raises(ValueError, match=r"found shape \(2, 3, 8, 8\), allowed \[R, N, 64\]"):
        load("digits").embed(torch.zeros(2, 3, 8, 8))


def test_reference_is_of_all_digits_and_of_full_rank():
    reference = load("digits").reference
    every = load("digits").embed(digits()[0][None])[0][0].double()
    torch.testing.assert_close(reference.mean, every.mean(dim=0))
    torch.testing.assert_close(reference.covariance, every.mT.cov())
    assert torch.linalg.eigvalsh(reference.covariance).min() > 1e-4
    assert load("digits").reference is reference


@pytest.mark.parametrize(
    "name", ["noise", "blur", "dropped classes", "copies", "flipped pixels", "contrast", "averaging"]
)
def test_distance_grows_with_damage(name):
    evaluator = load("digits")
    values = [frechet(evaluator.embed(images[None])[0], evaluator.reference).item() for images in family(name)]
    assert values[0] == pytest.approx(0, abs=1e-3)
    assert values == sorted(set(values))  # Spearman's correlation with the damage is 1
    assert values[-1] > 10


def test_data_held_out_are_nearer_than_any_visible_damage():
    evaluator, images = load("digits"), digits()[0]
    held = frechet(evaluator.embed(images[None, 1348:])[0], evaluator.reference)
    assert held < frechet(evaluator.embed(blurred(images, 1)[None])[0], evaluator.reference) / 10


def test_recipe_repeats_itself_and_learns():
    short = dataclasses.replace(RECIPES["digits"], epochs=2)
    once, again, other = train(short), train(short), train(short, seed=1)
    assert all(torch.equal(a, b) for x, y in zip(once, again, strict=True) for a, b in zip(x, y, strict=True))
    assert not torch.equal(once[0][0], other[0][0])
    assert accuracy(once, short)[1] > 0.8
    assert all(torch.equal(part, part.half().float()) for layer in once for part in layer)


def test_damage_is_mild_and_each_image_has_its_own():
    images = digits()[0][:1].repeat(50, 1)
    damaged = damage(images, generator())
    assert len(damaged.unique(dim=0)) == 50
    assert 0.01 < (damaged - images).square().mean() < 0.3


def test_command_writes_what_it_says(tmp_path, capsys, monkeypatch):
    short = dataclasses.replace(RECIPES["digits"], epochs=1)
    monkeypatch.setitem(RECIPES, "digits", short)
    threads = torch.get_num_threads()
    features.main(["digits", str(tmp_path / "new.safetensors")])
    torch.set_num_threads(threads)
    said, raw = capsys.readouterr().out, (tmp_path / "new.safetensors").read_bytes()
    digest = features.sha256(raw).hexdigest()
    assert digest in said
    assert "on the data held out" in said
    monkeypatch.setitem(RECIPES, "digits", dataclasses.replace(short, digest=digest))
    assert len(features._decode("digits", raw).layers) == 3


def test_command_ships_the_gaussian_of_the_data_for_training(tmp_path, monkeypatch):
    short = dataclasses.replace(RECIPES["digits"], epochs=1, moments=True)
    monkeypatch.setitem(RECIPES, "digits", short)
    threads = torch.get_num_threads()
    features.main(["digits", str(tmp_path / "new.safetensors")])
    torch.set_num_threads(threads)
    raw = (tmp_path / "new.safetensors").read_bytes()
    monkeypatch.setitem(RECIPES, "digits", dataclasses.replace(short, digest=features.sha256(raw).hexdigest()))
    found = features._decode("digits", raw)
    layers = train(short)
    assert all(torch.equal(a, b) for x, y in zip(found.layers, layers, strict=True) for a, b in zip(x, y, strict=True))
    every = found.embed(digits()[0][None, :1348])[0][0].double()
    torch.testing.assert_close(found.reference.mean, every.mean(dim=0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.reference.covariance, every.mT.cov(), rtol=1e-4, atol=1e-4)
