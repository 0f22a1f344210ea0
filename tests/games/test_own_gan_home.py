"""From a folder of pictures and two modules to a trained generator: one command each, small."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

MODELS = """
from torch import nn

class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(8, 8, 4, 1, 0, bias=False), nn.BatchNorm2d(8), nn.ReLU(True),
            nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(True),
            nn.ConvTranspose2d(4, 3, 4, 2, 1, bias=False), nn.Tanh())
    def forward(self, x):
        return self.main(x)

class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 4, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(4, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(8, 1, 4, 1, 0, bias=False))
    def forward(self, x):
        return self.main(x)

def weights_init(part):
    if "Conv" in type(part).__name__:
        nn.init.normal_(part.weight.data, 0.0, 0.02)
"""
GAME = """
import bench
from torch import nn
from models import Discriminator, Generator, weights_init

game = bench.gan_game(
    Generator(), Discriminator(), nn.BCEWithLogitsLoss(), bench.image_folder("shapes", size=16), init=weights_init,
    batch_size=16,
)
"""


def bench(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_from_pictures_to_a_generator(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("bright", "dark"):
        (tmp_path / "shapes" / kind).mkdir(parents=True)
        for k in range(40):
            pixels = rng.integers(*((150, 256) if kind == "bright" else (0, 100)), (20, 24, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "shapes" / kind / f"{k}.png")
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "my_gan.py").write_text(GAME)
    rules = "adam,alternating[direction=adam],ttur"
    asked = ["--optimizers", rules, "--budget", "24", "--trials", "4", "--seeds", "0-2", "--out", "run", "--jobs", "2"]
    said = bench("run", "--games", "./my_gan.py:game", *asked, folder=tmp_path)
    assert "./my_gan.py:game: Train it with " in said
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "Samples on ./my_gan.py:game through training" in page
    assert ">real<" in page
    bench("sample", "run", "--optimizer", "ttur", "--out", "sheet.png", folder=tmp_path)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.mode == "RGB"
    bench("sample", "run", "--optimizer", "ttur", "--count", "16", "--out", "samples.npy", folder=tmp_path)
    assert np.load(tmp_path / "samples.npy").shape == (16, 3, 16, 16)
    bench("weights", "run", "--to", "home", "--optimizer", "ttur", folder=tmp_path)
    (weights,) = (tmp_path / "home").rglob("generator.safetensors")
    spec = importlib.util.spec_from_file_location("models_at_home", tmp_path / "models.py")
    assert spec is not None
    assert spec.loader is not None
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    plain: nn.Module = models.Generator()
    plain.load_state_dict(load_file(weights), strict=False)
    script = "import bench, torch; run = bench.Run('run'); torch.manual_seed(0); z = torch.randn(16, 8, 1, 1);"
    script += "torch.save(run.generator('ttur', './my_gan.py:game')(z).detach(), 'theirs.pt')"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    torch.manual_seed(0)
    own = plain.train()(torch.randn(16, 8, 1, 1)).detach()
    assert torch.equal(own, torch.load(tmp_path / "theirs.pt", weights_only=True))
    (tmp_path / "models.py").write_text(MODELS.replace("0.2, inplace", "0.3, inplace"))
    before = sorted((tmp_path / "run" / "records").iterdir())
    bench("run", "--games", "./my_gan.py:game", *asked, folder=tmp_path)
    assert len(list((tmp_path / "run" / "records").iterdir())) > len(before), "an edit beside the file trains anew"
