"""Inception v3: the published network with the weights of a file, and a line for each file that is none."""

from __future__ import annotations

import math
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from bench.errors import UserError
from bench.games.data import inception
from bench.games.data.inception import FID, TORCHVISION, Inception, load

Shape = tuple[int, ...]
State = dict[str, Tensor]


# --- the published network, as tables --------------------------------------------------------------------------------

STEM: dict[str, Shape] = {
    "Conv2d_1a_3x3": (32, 3, 3, 3),
    "Conv2d_2a_3x3": (32, 32, 3, 3),
    "Conv2d_2b_3x3": (64, 32, 3, 3),
    "Conv2d_3b_1x1": (80, 64, 1, 1),
    "Conv2d_4a_3x3": (192, 80, 3, 3),
}
BLOCKS: dict[str, tuple[str, int, int]] = {  # kind, planes in, and what sets one block of a kind apart
    "Mixed_5b": ("A", 192, 32),
    "Mixed_5c": ("A", 256, 64),
    "Mixed_5d": ("A", 288, 64),
    "Mixed_6a": ("B", 288, 0),
    "Mixed_6b": ("C", 768, 128),
    "Mixed_6c": ("C", 768, 160),
    "Mixed_6d": ("C", 768, 160),
    "Mixed_6e": ("C", 768, 192),
    "Mixed_7a": ("D", 768, 0),
    "Mixed_7b": ("E", 1280, 0),
    "Mixed_7c": ("E", 2048, 0),
}
BRANCHES = {  # in the order of their outputs; `|` stands between two convolutions of the same input
    "A": "branch1x1, branch5x5_1 branch5x5_2, branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3, branch_pool",
    "B": "branch3x3, branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3, pool",
    "C": "branch1x1, branch7x7_1 branch7x7_2 branch7x7_3, "
    "branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5, branch_pool",
    "D": "branch3x3_1 branch3x3_2, branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4, pool",
    "E": "branch1x1, branch3x3_1 branch3x3_2a|branch3x3_2b, "
    "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a|branch3x3dbl_3b, branch_pool",
}
AUXILIARY: dict[str, Shape] = {"AuxLogits.conv0": (128, 768, 1, 1), "AuxLogits.conv1": (768, 128, 5, 5)}


def block(kind: str, x: int, n: int) -> dict[str, Shape]:
    return {
        "A": {
            "branch1x1": (64, x, 1, 1),
            "branch5x5_1": (48, x, 1, 1),
            "branch5x5_2": (64, 48, 5, 5),
            "branch3x3dbl_1": (64, x, 1, 1),
            "branch3x3dbl_2": (96, 64, 3, 3),
            "branch3x3dbl_3": (96, 96, 3, 3),
            "branch_pool": (n, x, 1, 1),
        },
        "B": {
            "branch3x3": (384, x, 3, 3),
            "branch3x3dbl_1": (64, x, 1, 1),
            "branch3x3dbl_2": (96, 64, 3, 3),
            "branch3x3dbl_3": (96, 96, 3, 3),
        },
        "C": {
            "branch1x1": (192, x, 1, 1),
            "branch7x7_1": (n, x, 1, 1),
            "branch7x7_2": (n, n, 1, 7),
            "branch7x7_3": (192, n, 7, 1),
            "branch7x7dbl_1": (n, x, 1, 1),
            "branch7x7dbl_2": (n, n, 7, 1),
            "branch7x7dbl_3": (n, n, 1, 7),
            "branch7x7dbl_4": (n, n, 7, 1),
            "branch7x7dbl_5": (192, n, 1, 7),
            "branch_pool": (192, x, 1, 1),
        },
        "D": {
            "branch3x3_1": (192, x, 1, 1),
            "branch3x3_2": (320, 192, 3, 3),
            "branch7x7x3_1": (192, x, 1, 1),
            "branch7x7x3_2": (192, 192, 1, 7),
            "branch7x7x3_3": (192, 192, 7, 1),
            "branch7x7x3_4": (192, 192, 3, 3),
        },
        "E": {
            "branch1x1": (320, x, 1, 1),
            "branch3x3_1": (384, x, 1, 1),
            "branch3x3_2a": (384, 384, 1, 3),
            "branch3x3_2b": (384, 384, 3, 1),
            "branch3x3dbl_1": (448, x, 1, 1),
            "branch3x3dbl_2": (384, 448, 3, 3),
            "branch3x3dbl_3a": (384, 384, 1, 3),
            "branch3x3dbl_3b": (384, 384, 3, 1),
            "branch_pool": (192, x, 1, 1),
        },
    }[kind]


CONVOLUTIONS = STEM | {
    f"{name}.{inner}": shape for name, kind in BLOCKS.items() for inner, shape in block(*kind).items()
}


def table(classes: int, convolutions: dict[str, Shape] = CONVOLUTIONS) -> dict[str, Shape]:
    """Name and shape of each parameter and buffer."""
    every = {}
    for name, shape in convolutions.items():
        every[f"{name}.conv.weight"] = shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            every[f"{name}.bn.{part}"] = shape[:1]
    return every | {"fc.weight": (classes, 2048), "fc.bias": (classes,)}


def blank(classes: int = FID) -> State:
    """A state dict whose file is small, for all numbers of a parameter are one."""
    return {name: torch.zeros(()).expand(shape) for name, shape in table(classes).items()}


def random_state() -> State:
    """Weights that keep the scale of what goes through them, from a generator whose stream numpy keeps for good."""
    stream = np.random.RandomState(0)
    state = {}
    for name, shape in table(FID).items():
        if name.startswith("fc"):
            drawn = np.zeros(shape)
        elif len(shape) == 4:
            drawn = stream.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
        elif name.endswith(("bn.weight", "running_var")):
            drawn = stream.uniform(0.5, 1.5, shape)
        else:
            drawn = 0.1 * stream.standard_normal(shape)
        state[name] = torch.tensor(drawn, dtype=torch.float32)
    return state


def centred(state: State) -> State:
    """With convolutions whose kernels are zero but at their centre: what is constant stays so, where none is padded."""
    found = {}
    for name, part in state.items():
        found[name] = part
        if part.ndim == 4:
            height, width = part.shape[2:]
            found[name] = torch.zeros_like(part)
            centre = part[:, :, height // 2, width // 2] * math.sqrt(height * width)
            found[name][:, :, height // 2, width // 2] = centre
    return found


def pictures(*shape: int) -> Tensor:
    """Waves in [-1, 1], ever shorter from image to image."""
    at = torch.arange(math.prod(shape), dtype=torch.float64)
    return (0.2 * at + 1e-4 * at.square()).sin().view(shape).float()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with weights of both kinds, emptied at the end: it is large."""
    folder = tmp_path_factory.mktemp("inception")
    state = random_state()
    torch.save(state, folder / "fid.pth")
    safetensors.torch.save_file(state | {"fc.weight": torch.zeros(TORCHVISION, 2048)}, folder / "other.safetensors")
    torch.save(centred(state), folder / "centred.pth")
    torch.save(centred(state) | {"fc.weight": torch.zeros(TORCHVISION, 2048)}, folder / "centred other.pth")
    yield folder
    for path in folder.iterdir():
        path.unlink()


@pytest.fixture(scope="module")
def fid(place: Path) -> Inception:
    return load(place / "fid.pth")


# --- the network -----------------------------------------------------------------------------------------------------


def test_the_table_has_as_many_parameters_as_is_published_of_the_network_with_its_auxiliary_classifier():
    every = table(TORCHVISION, CONVOLUTIONS | AUXILIARY) | {
        "AuxLogits.fc.weight": (1000, 768),
        "AuxLogits.fc.bias": (1000,),
    }
    assert sum(math.prod(shape) for name, shape in every.items() if "running" not in name) == 27_161_264


@pytest.mark.parametrize("classes", [FID, TORCHVISION])
def test_convolutions_are_those_of_the_table(classes):
    assert dict(inception._shapes(inception.architecture(classes), 3)) == CONVOLUTIONS


PUBLISHED = {  # features 7, 298, ... 2044 of two images, and the mean of all
    "fid.pth": (
        FID,
        [1.3769, 16.3502, 0.5404, 2.1252, 5.7574, 29.2611, 0.0159, 9.5474],
        [1.4940, 15.8910, 0.5170, 1.7636, 5.5287, 27.3732, 0.0011, 9.1494],
        [4.0465, 3.9060],
    ),
    "other.safetensors": (
        TORCHVISION,
        [1.2186, 16.5262, 0.5311, 2.0852, 5.6115, 28.4481, 0.0176, 5.3515],
        [1.3684, 16.0853, 0.4974, 1.8040, 5.3474, 26.6448, 0.0039, 5.0497],
        [3.7885, 3.6530],
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_features_are_those_of_the_published_code(place, name):
    """Recorded from torchvision's code, and from it with pytorch-fid's changes, in evaluation on these weights."""
    classes, first, second, means = PUBLISHED[name]
    found = load(place / name)
    features = found.embed(pictures(1, 2, 3, 40, 30))
    assert (features.shape, features.dtype, found.classes) == ((1, 2, 2048), torch.float32, classes)
    torch.testing.assert_close(features[0, :, 7::291], torch.tensor([first, second]), rtol=1e-4, atol=2e-4)
    torch.testing.assert_close(features[0].mean(dim=1), torch.tensor(means), rtol=1e-4, atol=1e-4)


def pointwise(state: State, colour: Tensor) -> Tensor:
    """The network on a constant image, where convolutions are matrices and pools do nothing: [3] -> [2048]."""

    def layer(name: str, x: Tensor) -> Tensor:
        weight = state[f"{name}.conv.weight"]
        matrix = weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2].double()
        gamma, beta, mean, variance = (
            state[f"{name}.bn.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (gamma * (matrix @ x - mean) / (variance + 0.001).sqrt() + beta).relu()

    x = colour.double()
    for name in STEM:
        x = layer(name, x)
    for name, (kind, _, _) in BLOCKS.items():
        outputs = []
        for branch in BRANCHES[kind].split(", "):
            *chain, last = branch.split()
            inner = x
            for link in chain:
                inner = layer(f"{name}.{link}", inner)
            outputs += [inner if end == "pool" else layer(f"{name}.{end}", inner) for end in last.split("|")]
        x = torch.cat(outputs)
    return x


def test_a_constant_stays_one_where_average_pools_leave_the_padding_out(place):
    colours = torch.tensor([[0.3, -0.7, 0.9], [-1.0, 1.0, 0.1]])
    images = colours[None, :, :, None, None].expand(1, 2, 3, 8, 9)
    state = torch.load(place / "centred.pth", weights_only=True)
    expected = torch.stack([pointwise(state, colour) for colour in colours]).float()
    assert expected.std() > 0.1
    torch.testing.assert_close(load(place / "centred.pth").embed(images)[0], expected, rtol=1e-3, atol=1e-4)
    padded = load(place / "centred other.pth").embed(images)[0]
    assert (padded - expected).abs().mean() > 0.01 * expected.abs().mean()


def test_grey_is_colour_with_equal_planes(fid):
    grey = pictures(1, 2, 1, 28, 28)
    assert torch.equal(fid.embed(grey), fid.embed(grey.expand(1, 2, 3, 28, 28)))


def test_a_row_alone_is_the_same_bit_for_bit_even_beside_a_broken_one(fid):
    images = pictures(3, 2, 1, 16, 16)
    together = fid.embed(images)
    broken = images.clone()
    broken[1, 1, 0, 3, 3] = torch.inf
    beside = fid.embed(broken)
    assert beside[1].isnan().all()
    for row in (0, 2):
        assert torch.equal(together[row], beside[row])
        assert torch.equal(together[row], fid.embed(images[row : row + 1])[0])
    assert not torch.equal(together[0], together[2])


def test_numbers_too_large_for_single_precision_are_broken(fid):
    assert fid.embed(torch.full((1, 1, 1, 8, 8), 1e300, dtype=torch.float64)).isnan().all()


def test_batches_come_back_in_their_order(fid, monkeypatch):
    images = pictures(1, 3, 1, 16, 16)
    whole = fid.embed(images)
    monkeypatch.setattr(inception, "BATCH", 2)
    torch.testing.assert_close(fid.embed(images), whole, rtol=1e-4, atol=1e-5)


def test_features_have_no_graph(fid):
    assert not fid.embed(pictures(1, 1, 1, 8, 8).requires_grad_()).requires_grad


@pytest.mark.parametrize("shape", [(2, 3, 28, 28), (1, 2, 2, 28, 28)])
def test_a_wrong_shape_says_what_is_allowed(fid, shape):
    with pytest.raises(ValueError, match=r"found shape \(.*\), allowed \[R, N, 1 or 3, H, W\]"):
        fid.embed(torch.zeros(shape))


# --- files -----------------------------------------------------------------------------------------------------------


def test_digest_is_of_the_file(fid, place):
    assert fid.digest == sha256((place / "fid.pth").read_bytes()).hexdigest()


def test_a_file_is_read_again_only_when_it_changed(tmp_path):
    path = tmp_path / "w.pth"
    torch.save(blank(FID), path)
    first = load(path)
    assert load(str(path)) is first
    torch.save(blank(TORCHVISION), path)
    os.utime(path, (0, 0))
    assert (first.classes, load(path).classes) == (FID, TORCHVISION)


def test_half_precision_and_what_else_a_file_holds_are_allowed(tmp_path):
    extra = {"AuxLogits.fc.weight": torch.zeros(1), "Conv2d_1a_3x3.bn.num_batches_tracked": torch.tensor(1)}
    torch.save({name: part.half() for name, part in blank().items()} | extra, tmp_path / "w.pth")
    assert {weight.dtype for layer in load(tmp_path / "w.pth").layers.values() for weight in layer} == {torch.float32}


class Harmful:
    """Would leave a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def torchscript(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("data.pkl", pickle.dumps({})), ("constants.pkl", pickle.dumps(())), ("version", b"3\n")):
            archive.writestr(f"archive/{name}", content)


def half(path: Path) -> None:
    torch.save(blank(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


UNREADABLE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no file": ("cannot be opened (No such file or directory)", lambda path: None),
    "a folder": ("cannot be opened (Is a directory)", Path.mkdir),
    "nothing": ("cannot be read as weights", Path.touch),
    "noise": ("cannot be read as weights", lambda path: path.write_bytes(bytes(range(256)))),
    "half a file": ("cannot be read as weights", half),
    "code": ("cannot be read as weights", lambda path: torch.save(Harmful(path.parent / "harm"), path)),
    "old code": (
        "cannot be read as weights",
        lambda path: path.write_bytes(pickle.dumps(Harmful(path.parent / "harm"))),
    ),
    "TorchScript": (
        "cannot be read as weights (RuntimeError)",
        torchscript,
    ),  # without the warning that torch gives
    "a list": ("holds a list", lambda path: torch.save([1], path)),
}
WRONG: dict[str, tuple[str, dict[str, object]]] = {
    "lacking": ("lacks parameter 'Mixed_7c.branch_pool.bn.running_var'", {"Mixed_7c.branch_pool.bn.running_var": None}),
    "misshapen": (
        "has float32[64, 192, 3, 3] as 'Mixed_5b.branch1x1.conv.weight', where float[64, 192, 1, 1] is known",
        {"Mixed_5b.branch1x1.conv.weight": torch.zeros(()).expand(64, 192, 3, 3)},
    ),
    "whole numbers": (
        "has int64[32] as 'Conv2d_1a_3x3.bn.bias', where float[32] is known",
        {"Conv2d_1a_3x3.bn.bias": torch.zeros(32, dtype=torch.int64)},
    ),
    "no tensor": ("has str as 'fc.weight', where float[1000, 2048] or [1008, 2048] is known", {"fc.weight": "none"}),
    "ten classes": (
        "has float32[10, 2048] as 'fc.weight', where float[1000, 2048] or [1008, 2048] is known",
        {"fc.weight": torch.zeros(10, 2048)},
    ),
    "not finite": (
        "has numbers in 'Mixed_6e.branch1x1' that are not finite",
        {"Mixed_6e.branch1x1.bn.running_var": torch.full((192,), -1.0)},
    ),
}


def refusal(path: Path | str) -> str:
    """What is said of a file, without its name and what is allowed."""
    with pytest.raises(UserError) as caught:
        load(path)
    line = str(caught.value)
    assert line.startswith(f"features: {path} ")
    assert line.endswith("; allowed is a state dict of Inception v3")
    assert "\n" not in line
    return line.removeprefix(f"features: {path} ").rsplit(";", 1)[0]


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("what", UNREADABLE)
def test_a_file_that_is_no_state_dict_is_refused_in_a_line(tmp_path, what, suffix):
    path = tmp_path / f"w.{suffix}"
    said, make = UNREADABLE[what]
    make(path)
    found = refusal(path)
    if suffix == "safetensors" and "opened" not in said:
        said = "cannot be read as weights (SafetensorError)"
    assert said in found
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("what", WRONG)
def test_a_state_dict_of_something_else_is_refused_in_a_line(tmp_path, what):
    said, changes = WRONG[what]
    torch.save({name: part for name, part in (blank() | changes).items() if part is not None}, tmp_path / "w.pth")
    assert refusal(tmp_path / "w.pth") == said


def test_a_path_that_no_file_can_have_is_refused_in_a_line():
    assert "null byte" in refusal("a\0b")
    assert refusal("") == "cannot be opened (Is a directory)"


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(blank(), tmp_path / "w.pth")
    assert load("~/w.pth").classes == FID
