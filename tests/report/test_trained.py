"""What is taken home of a run: the networks that were judged, as modules and as files that plain PyTorch loads."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import bench
from bench.analysis.representatives import median, ordered
from bench.errors import UserError
from bench.games.networks.modules import OneReplica, Recorded
from bench.report.sampling import write_samples
from bench.report.trained import Trained, trained
from bench.report.weights import expression, loading, write_weights

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

Call = Callable[..., tuple[int, str, str]]
RING, DIGITS = "ring8[width=16,batch_size=16]", "digits[width=16,depth=1]"
FAILS, HALF = "sgd[lr=1e6]", "adam"
OWN = """
import torch
from torch import nn
import bench


class Make(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.narrow, self.norm = nn.Linear(4, 8), nn.Linear(8, 2), nn.BatchNorm1d(8)

    def forward(self, z):
        h = self.norm(self.wide(z))
        return self.narrow(h + torch.tanh(h))


discriminator = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
game = bench.gan_game(Make(), discriminator, "hinge", torch.randn(64, 2, generator=torch.Generator().manual_seed(0)))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    study = bench.Study(
        optimizers=["adam", FAILS], games=["dirac", RING, DIGITS], trials=0, budget=30, evaluations=2, seeds="0-4"
    )
    return bench.run(study, out=tmp_path_factory.mktemp("trained") / "run", keep_weights="all")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bench.Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_gan.py").write_text(OWN)
    study = bench.Study(optimizers="adam", games="./my_gan.py:game", trials=0, budget=20, evaluations=2, seeds="0-2")
    return bench.run(study, out=tmp_path / "run")


def order_of(run: bench.Run, rule: str, game: str) -> dict[int, bool]:
    records = run.records
    return ordered(records[(records["game"] == game) & (records["optimizer"] == rule)], run.study.primary(game))


# As modules


@pytest.mark.parametrize("game", [RING, DIGITS])
def test_a_generator_gives_the_samples_that_were_judged(run: bench.Run, game: str) -> None:
    """The last picture that the run kept is of its first seed, in half precision."""
    played: Any = bench.get_game(game)
    chunk, pictures = next(
        (chunk, tensors)
        for chunk, tensors in run.tensors()
        if (chunk["label"], chunk["optimizer"], chunk["phase"]) == (game, "adam", "report")
    )
    first = chunk["rows"][0]["seed"]
    latents = played.judged_latents(torch.tensor([first]), played.judged)[0].T
    samples = run.generator("adam", game, seed=first)(latents).flatten(1)
    kept = pictures["samples"][-1].float()
    torch.testing.assert_close(samples[: len(kept)], kept, atol=2e-3, rtol=1e-3)


def test_a_seed_the_best_and_the_median(run: bench.Run) -> None:
    order = order_of(run, "adam", RING)
    for options, seed in (({}, median(order)), ({"best": True}, next(iter(order))), ({"seed": 4}, 4)):
        one = trained(run, "adam", RING, **options)  # type: ignore[arg-type]
        assert one.seed == seed
        state = run.state_dict("adam", RING, **options)  # type: ignore[arg-type]
        assert state.keys() == run.generator("adam", RING, **options).state_dict().keys()  # type: ignore[arg-type]
        for name, tensor in one.modules[0].state_dict().items():
            assert torch.equal(state[name], tensor)
    other = run.state_dict("adam", RING, player=1)
    assert other.keys() == run.discriminator("adam", RING).state_dict().keys()


def test_a_generator_trains_on(run: bench.Run) -> None:
    generator = run.generator("adam", RING)
    assert generator.training
    generator(torch.randn(8, 16)).square().mean().backward()
    assert all(part.grad is not None for part in generator.parameters())
    again = run.generator("adam", RING)
    assert all(part.grad is None for part in again.parameters()), "one is the other"


def test_a_game_of_ones_own_gives_ones_own_module(own: bench.Run) -> None:
    generator = own.generator("adam", "./my_gan.py:game")
    assert type(generator).__name__ == "Make"
    one = trained(own)
    latents = one.game.judged_latents(torch.tensor([0]), 16)[0].T  # type: ignore[attr-defined]
    torch.testing.assert_close(generator(latents), one.samples(16), atol=1e-5, rtol=0)


def test_a_game_that_changed_is_refused_unless_it_is_given(own: bench.Run, tmp_path: Path) -> None:
    game = bench.get_game("./my_gan.py:game")
    given = own.generator("adam", game)
    assert all(torch.equal(tensor, own.state_dict("adam", game)[name]) for name, tensor in given.state_dict().items())
    path = tmp_path / "my_gan.py"
    path.write_text(OWN + "\n# a remark\n")
    with pytest.raises(UserError, match=r"\./my_gan\.py:game has changed since it was trained on"):
        bench.Run(own.path).generator("adam", "./my_gan.py:game")
    bench.Run(own.path).generator("adam", game)
    with pytest.raises(UserError, match="game is ring8"):
        own.generator("adam", bench.get_game("ring8"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"optimizer": "adm"}, "optimizer is 'adm'; did you mean adam"),
        ({"game": "ring"}, r"game is 'ring'; known: digits"),
        ({"game": "dirac"}, "dirac has no networks that can be taken home"),
        ({"optimizer": FAILS}, r"sgd\[lr=1e6\] on ring8\[.*\]: every replica failed"),
        ({"seed": 7}, r"seed is 7; adam on ring8\[.*\] has 0, 1, 2, 3, 4"),
        ({"seed": 1, "best": True}, "seed is 1 and best is true; one of the two is allowed"),
    ],
)
def test_what_is_not_there_is_said(run: bench.Run, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        run.generator(**{"optimizer": "adam", "game": RING} | asked)
    with pytest.raises(UserError, match="player is 2; 0, 1 are allowed"):
        run.state_dict("adam", RING, player=2)


def test_where_the_median_failed_there_is_a_way_out(run: bench.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    order = {2: True, 0: True, 1: False, 3: False, 4: False}
    monkeypatch.setattr("bench.report.trained.ordered", lambda *_: order)
    with pytest.raises(UserError, match="the replica of the median score, seed 1, failed; ask for another by seed"):
        run.generator("adam", RING)
    with pytest.raises(UserError, match="the replica of seed 3 failed; ask for another by seed, or for the best one"):
        run.generator("adam", RING, seed=3)
    assert trained(run, "adam", RING, best=True).seed == 2
    assert trained(run, "adam", RING, seed=0).seed == 0


def test_what_was_dropped_is_said(run: bench.Run, tmp_path: Path) -> None:
    copied = bench.run(run.study, out=shutil.copytree(run.path, tmp_path / "run"), keep_weights="median")
    order = order_of(run, "adam", RING)
    gone = list(order)[-1]
    with pytest.raises(UserError, match=rf"weights of seed {gone} were not kept, those of seed \d, \d were"):
        copied.generator("adam", RING, seed=gone)


# As files


def test_files_load_in_plain_pytorch(run: bench.Run, tmp_path: Path) -> None:
    notes: list[str] = []
    folders = write_weights(run, tmp_path / "taken", tell=notes.append)
    assert [folder.parent.parent for folder in folders] == [tmp_path / "taken"] * 2
    assert len(notes) == 2
    assert all(FAILS in note for note in notes)
    for folder, game in zip(folders, (RING, DIGITS), strict=True):
        one = trained(run, "adam", game)
        for player, module in zip(("generator", "discriminator"), one.modules, strict=True):
            state = load_file(folder / f"{player}.safetensors")
            assert state.keys() == module.state_dict().keys()
            assert all(torch.equal(state[name], tensor) for name, tensor in module.state_dict().items())
        latents = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
        script = (
            "import sys, torch, load\n"
            "samples = load.generator()(torch.randn(5, 16, generator=torch.Generator().manual_seed(0)))\n"
            "load.discriminator()(samples)\n"
            "assert 'bench' not in sys.modules\n"
            "torch.save(samples.detach(), 'samples.pt')\n"
        )
        subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
        loaded = torch.load(folder / "samples.pt", weights_only=True)
        torch.testing.assert_close(loaded, one.modules[0](latents), atol=1e-6, rtol=0)


PLAIN = """
import importlib.util, sys, torch
spec = importlib.util.spec_from_file_location("load", "load.py")
load = importlib.util.module_from_spec(spec)
spec.loader.exec_module(load)
generator = load.generator()
samples = generator(torch.load("latents.pt", weights_only=True))
assert not hasattr(load, "discriminator") or len(load.discriminator()(samples)) == len(samples)
assert "bench" not in sys.modules
torch.save([samples.detach(), generator(torch.load("latents.pt", weights_only=True)[:3]).detach()], "samples.pt")
"""


@pytest.mark.parametrize(
    "name",
    [
        "growing",
        "strings",
        "autoregressive",
        "dcgan-mnist[skip=true]",
        pytest.param("large-scale[conditional=false]", marks=pytest.mark.slow),
        pytest.param("strings[network=gru]", marks=pytest.mark.slow),
    ],
)
def test_networks_that_torch_has_no_layers_for_load_in_plain_pytorch(name: str, tmp_path: Path) -> None:
    """Those whose operations are recorded give the very bits of the game, however many are drawn."""
    keys = ",".join(filter(None, [name.partition("[")[2].rstrip("]"), bench.get_game(name).tried]))
    game: Any = bench.get_game(f"{name.partition('[')[0]}[{keys}]")
    one = Trained(name, "adam", 0, game, game.init(torch.tensor([3]))[0])
    for player, module in zip(("generator", "discriminator"), one.modules, strict=False):
        save_file(
            {key: part.contiguous() for key, part in module.state_dict().items()}, tmp_path / f"{player}.safetensors"
        )
    (tmp_path / "load.py").write_text(loading(one))
    latents = game.judged_latents(torch.tensor([0]), 16)[0].T
    torch.save(latents, tmp_path / "latents.pt")
    subprocess.run([sys.executable, "-c", PLAIN], cwd=tmp_path, check=True)
    many, few = torch.load(tmp_path / "samples.pt", weights_only=True)
    if any(isinstance(part, Recorded) for part in one.modules[0].modules()):
        assert torch.equal(many, one.samples(16))
        assert torch.equal(few, one.modules[0](latents[:3]))
    else:
        torch.testing.assert_close(many, one.samples(16), atol=1e-5, rtol=0)


def test_what_cannot_be_recorded_takes_the_module() -> None:
    def by_value(parts: Any, h: torch.Tensor) -> torch.Tensor:
        return h if h.sum() > 0 else parts[0] * h

    classes: Any = {}
    assert expression(OneReplica(by_value, [torch.ones(1)], (4,)), classes) is None
    assert not classes


def test_a_module_of_ones_own_is_loaded_into_one(own: bench.Run, tmp_path: Path) -> None:
    (folder,) = write_weights(own, tmp_path / "taken")
    names: dict[str, Any] = {"__file__": str(folder / "load.py")}
    exec((folder / "load.py").read_text("utf-8"), names)
    fresh: dict[str, Any] = {}
    exec(OWN, fresh)
    generator, latents = names["generator"](fresh["Make"]()), torch.randn(16, 4)
    torch.testing.assert_close(generator(latents), own.generator("adam", "./my_gan.py:game")(latents))
    assert isinstance(names["discriminator"](), nn.Sequential)


def test_a_text_that_makes_no_module_is_not_written() -> None:
    padded = nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")  # its text has a word that is not quoted
    assert expression(nn.Sequential(padded, nn.ReLU())) is None
    assert expression(nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Flatten())) is not None


def test_a_folder_that_is_there_is_kept_or_replaced(run: bench.Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("all of it")
    with pytest.raises(UserError, match="was not written by bench"):
        write_weights(run, tmp_path / "mine")
    write_weights(run, tmp_path / "taken")
    write_weights(run, tmp_path / "taken", "adam", RING)
    assert len(list((tmp_path / "taken").glob("*/*/generator.safetensors"))) == 1
    for names, says in ((("adm", RING), "optimizer is 'adm'"), ((None, "ring"), "game is 'ring'")):
        with pytest.raises(UserError, match=says):
            write_weights(run, tmp_path / "taken", *names)
    assert len(list((tmp_path / "taken").glob("*/*/generator.safetensors"))) == 1


# Samples


def test_numbers_are_what_the_generator_gives(run: bench.Run, tmp_path: Path) -> None:
    for game, shape in ((RING, (2,)), (DIGITS, (1, 8, 8))):
        one = trained(run, "adam", game)
        found = np.load(write_samples(one, tmp_path / "samples.npy", count=7), allow_pickle=False)
        assert found.shape == (7, *shape)
        latents = one.game.judged_latents(torch.tensor([0]), 7)[0].T  # type: ignore[attr-defined]
        np.testing.assert_allclose(found, one.modules[0](latents).detach().numpy(), atol=1e-5)
        other = np.load(write_samples(one, tmp_path / "other.npy", count=7, draw=1), allow_pickle=False)
        assert np.abs(found - other).max() > 1e-4


@pytest.mark.parametrize("game", [RING, DIGITS])
def test_a_picture_is_the_same_every_time(run: bench.Run, game: str, tmp_path: Path) -> None:
    one = trained(run, "adam", game)
    first, again = (write_samples(one, tmp_path / name, count=10).read_bytes() for name in ("a.png", "b.png"))
    assert first == again
    with Image.open(io.BytesIO(first)) as picture:
        assert min(picture.size) > 300


def test_images_of_ones_own_are_spread_and_others_have_no_picture(tmp_path: Path) -> None:
    class Game:
        def __init__(self, *shape: int) -> None:
            self.shape = shape

        def sample_shape(self) -> tuple[int, ...]:
            return self.shape

        def generate(self, w: torch.Tensor, seeds: torch.Tensor, count: int) -> torch.Tensor:
            return torch.linspace(3, 5, count).view(1, count, 1) * torch.ones(self.shape).flatten()

    def of(*shape: int) -> Trained:
        return Trained("mine", "adam", 0, Game(*shape), torch.zeros(4))  # type: ignore[arg-type]

    with Image.open(write_samples(of(3, 4, 4), tmp_path / "a.png", count=3)) as picture:
        assert picture.mode == "RGB"
        assert {0, 255} <= set(np.asarray(picture).ravel().tolist())
    for shape in ((5,), (2, 4, 4)):
        with pytest.raises(UserError, match=r"no picture shows samples of shape .*; .*\.npy takes all"):
            write_samples(of(*shape), tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


# By command


def test_by_command(run: bench.Run, call: Call, tmp_path: Path) -> None:
    code, out, said = call("weights", run.path, "--to", "taken", "--game", RING)
    assert (code, out.count("\n"), said.count("note:")) == (0, 1, 1)
    assert (tmp_path / out.strip() / "load.py").is_file()
    assert call("weights", run.path, "--to", "one", "--game", RING, "--optimizer", "adam", "--best")[0] == 0
    asked = ["--game", RING, "--optimizer", "adam"]
    assert call("sample", run.path, *asked, "--count", "4", "--out", "a.npy")[:2] == (0, "a.npy\n")
    assert np.load(tmp_path / "a.npy").shape == (4, 2)
    assert call("sample", run.path, *asked, "--out", "a.png", "--seed", "4")[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "a.jpg"], "--out is 'a.jpg'; its suffix: did you mean .png or .npy?"),
        (["--out", "nowhere/a.png"], "--out is 'nowhere/a.png'; a file in a folder that is there is allowed"),
        (["--out", "a.png", "--count", "0"], "--count is 0; a whole number from 1 to 1000000 is allowed"),
        (["--out", "a.png", "--draw", "-1"], "--draw is -1; a whole number from 0 to 4294967295 is allowed"),
        (["--out", "a.png"], "optimizer is not given, and the run has several: adam, sgd[lr=1e6]"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    words: list[str], says: str, run: bench.Run, call: Call, tmp_path: Path
) -> None:
    assert call("sample", run.path, *words) == (2, "", f"bench: {says}\n")
    assert not list(tmp_path.iterdir())


def test_a_dry_run_says_what_networks_take(call: Call) -> None:
    asked = [
        "run",
        "--optimizers",
        "sgd,adam",
        "--trials",
        "0",
        "--seeds",
        "0-4",
        "--budget",
        "4",
        "--dry-run",
        "-o",
        "evaluations=4",
    ]
    columns = sum(bench.get_game(RING).sizes)
    for keep, replicas in (("all", 5), ("median", 2), ("none", 0)):
        code, out, _ = call(*asked, "--games", f"dirac,{RING}", "--keep-weights", keep)
        assert code == 0
        kept = f"{4 * columns * 2 * replicas / 1000:.3g} kB of {4 * columns * 2 * 5 / 1000:.3g} kB"
        assert f"networks kept: {kept}, which are there until a rule is done on a game" in out
    assert "networks kept" not in call(*asked, "--games", "dirac")[1]


def test_what_is_gone_is_said_where_it_is_asked_for(call: Call) -> None:
    asked = ["run", "--optimizers", "adam", "--trials", "0", "--seeds", "0-4", "--budget", "10", "--games", RING]
    asked += ["--jobs", "1", "-o", "evaluations=2", "--out", "run", "--keep-weights"]
    assert "note" not in call(*asked, "median")[2]
    code, _, said = call(*asked, "all")
    assert code == 0
    assert "bench: note: 3 trainings were done before their networks were to be kept" in said
    code, _, said = call(*asked, "most")
    assert (code, said) == (2, "bench: keep_weights: found 'most'; it must be 'none', 'median' or 'all'\n")
