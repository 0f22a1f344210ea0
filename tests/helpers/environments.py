"""Fresh virtual environments, made and filled without a network."""

from __future__ import annotations

import importlib.util
import os
import site
import subprocess
import venv
from pathlib import Path

import bench

LENT = [path for path in [*site.getsitepackages(), site.getusersitepackages()] if Path(path).is_dir()]


def fresh(folder: Path) -> str:
    """A fresh environment that sees what is installed here: its python."""
    builder = venv.EnvBuilder(with_pip=importlib.util.find_spec("pip") is None, symlinks=os.name != "nt")
    paths = builder.ensure_directories(folder)
    builder.create(folder)
    python = str(paths.env_exe)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    home = Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    lines = [f"import site; site.addsitedir({path!r})" for path in LENT]
    (home / "lent.pth").write_text("\n".join([*lines, str(Path(bench.__file__).parents[1])]) + "\n")
    return python


def install(python: str, package: Path) -> None:
    """Build a package and install it there, with nothing that it depends on."""
    command = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    options = ["--disable-pip-version-check", str(package)]
    first = os.environ | {"PYTHONPATH": os.pathsep.join(LENT)}  # a setuptools that came with pip may be too old
    installed = subprocess.run([*command, *options], capture_output=True, text=True, check=False, env=first)
    assert installed.returncode == 0, installed.stderr
