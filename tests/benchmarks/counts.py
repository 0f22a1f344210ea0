"""What a step takes in numbers that noise cannot touch: gradient evaluations, torch operations, bytes allocated.

    python tests/benchmarks/counts.py            # what differs from counts.json; exit code 1 if anything does
    python tests/benchmarks/counts.py --write    # take what is counted for right

Every rule is counted on a small ring8, every game with adam, over as many steps as the slowest rhythm of a rule takes.
Operations are those that reach torch's dispatcher, views among them; bytes are those of storages that an operation
gives and was not given. Where kernels compute, operations are what is left to torch. Counts hold for one version of
torch, and are compared exactly.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from stack import Stack
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.games.data.formats import SETS
from bench.numerics.kernels.core import CORES, VARIABLE
from bench.registry import games, get_game, rules
from bench.registry.build import by_themselves
from bench.registry.discovery import Registry, origin

FILE = Path(__file__).with_name("counts.json")
WARM, STEPS, REPLICAS = 2, 5, 2  # all within a block of random numbers, which is drawn at the first step
RING, RULE = "ring8[width=16,batch_size=16]", "adam"
KINDS = ("gradients", "operations", "bytes")

Counts = dict[str, float]


class Counting(TorchDispatchMode):
    """Counts operations and the bytes that they allocate."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {part.untyped_storage()._cdata for part in _tensors((args, kwargs))}
        made = {part.untyped_storage()._cdata: part.untyped_storage().nbytes() for part in _tensors(out)}
        self.operations += 1
        self.bytes += sum(size for storage, size in made.items() if storage not in given)
        return out


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def counted(stack: Stack) -> Counts:
    """Of ``STEPS`` steps, after a few to warm up."""
    (training,) = stack.trainings
    stack.run(WARM)
    before = training.F.cost
    with Counting() as counting:
        stack.run(STEPS)
    found = (training.F.cost - before, counting.operations, counting.bytes)
    return dict(zip(KINDS, found, strict=True))


def of_rule(name: str) -> Counts:
    return counted(Stack(RING, name, REPLICAS))


def of_game(name: str) -> Counts:
    """On made-up images, where the game is of images: what they show costs nothing."""
    tried = get_game(name).tried
    with patch("bench.games.data.loading.load", made_up):
        return counted(Stack(f"{name}[{tried}]" if tried else name, RULE, REPLICAS))


def made_up(name: str, *_: Any) -> tuple[Tensor, Tensor]:
    """A few images of a set's shape, and their labels."""
    shape = (3, 32, 32) if SETS[name].records else (1, 28, 28)
    return torch.zeros((64, *shape), dtype=torch.uint8), torch.arange(64) % 10


def every_rule(core: str) -> dict[str, Counts]:
    with patch.dict("os.environ", {VARIABLE: core}):
        return {name: of_rule(name) for name in shipped(rules)}


def every_game(core: str) -> dict[str, Counts]:
    with patch.dict("os.environ", {VARIABLE: core}):
        return {name: of_game(name) for name in shipped(games)}


def shipped(registry: Registry[Any]) -> list[str]:
    """The names that are this package's own: a test or a plug-in may have registered others in the same process."""
    names = [name for name in by_themselves(registry) if name not in registry.given]
    return [name for name in names if origin(registry[name]) == "here"]


def committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def version() -> str:
    """Of torch, without what it was built for."""
    return torch.__version__.split("+")[0]


def differences(found: dict[str, Counts], known: dict[str, Counts]) -> list[str]:
    """In a line each."""
    said = []
    for name in dict.fromkeys([*found, *known]):
        if name not in found or name not in known:
            said.append(f"{name}: {'not counted any more' if name in known else 'counted for the first time'}")
            continue
        said += [
            f"{name}: {kind} {known[name][kind]:,.10g} -> {found[name][kind]:,.10g}"
            for kind in KINDS
            if found[name][kind] != known[name][kind]
        ]
    return said


def main(arguments: list[str]) -> int:
    torch.set_num_threads(1)
    found = {f"{core}: rules": every_rule(core) for core in CORES} | {
        f"{core}: games": every_game(core) for core in CORES
    }
    if arguments == ["--write"]:
        what = {"torch": version(), "steps": STEPS, "replicas": REPLICAS} | found
        FILE.write_text(json.dumps(what, indent=1) + "\n")
        return 0
    if arguments:
        print("usage: counts.py [--write]", file=sys.stderr)
        return 2
    known = committed()
    if known["torch"] != version():
        print(f"counts are of torch {known['torch']}; this is {version()}", file=sys.stderr)
        return 2
    said = [f"{what}: {line}" for what in found for line in differences(found[what], known[what])]
    print("\n".join(said) or "as committed")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
