"""The trained networks of a run as files for plain PyTorch.

FOLDER/<game>/<rule>/generator.safetensors      the state of the torch module
FOLDER/<game>/<rule>/discriminator.safetensors
FOLDER/<game>/<rule>/load.py                    makes the modules and loads them; needs torch and safetensors alone
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import getsource
from pathlib import Path
from textwrap import indent

from safetensors.torch import save_file
from torch import Tensor, nn

from bench.errors import UserError
from bench.games.networks.modules import Plus, Recorded
from bench.report.recorded import source
from bench.report.trained import PLAYERS, NoNetworks, Trained, finished, trained
from bench.storage.files import whole_folder
from bench.storage.names import filename
from bench.storage.run_folder import RunFolder
from bench.storage.weights import kept

LOAD = "load.py"
WHOLES: dict[type[nn.Module], str] = {nn.Sequential: "nn.Sequential", Plus: Plus.__name__}
"""Modules that are made of their parts, in order."""
Classes = dict[str, tuple[str, set[str]]]
"""Classes that stand in ``load.py``: name -> the text, and lines of imports."""


def write_weights(
    run: RunFolder,
    to: Path,
    optimizer: str | None = None,
    game: str | None = None,
    seed: int | None = None,
    best: bool = False,
    tell: Callable[[str], object] = lambda line: None,
) -> list[Path]:
    """Write the networks of one replica of each rule on each game; returns the folder of each.

    Args:
        run: the run.
        to: the folder; an earlier one of this function's is replaced, any other refused.
        optimizer: one of its rules, by spelling or label; None for all.
        game: one of its games; None for all.
        seed: of the replica; None for that of the median score.
        best: the replica of the best score.
        tell: called with a line for each pair that is left out, and why.

    Raises:
        UserError: there is nothing to write, or a name or a seed is none of the run's.
    """
    study, optimizer = run.study, optimizer and run.rule(optimizer)
    pairs = [(label, rule) for label in study.games for rule in study.optimizers]
    pairs = [pair for pair in pairs if game in (None, pair[0]) and optimizer in (None, pair[1])]
    if not pairs:
        trained(run, optimizer or study.optimizers[0], game or study.games[0])  # says which of the names is none
    there, everything = set(finished(run.records)), kept(run)
    found, refusals, without = [], [], []
    for label, rule in pairs:
        if len(pairs) > 1 and (label, rule) not in there:
            continue
        try:
            found.append(trained(run, rule, label, seed, best, everything))
        except NoNetworks as error:
            without.append(str(error))
        except UserError as error:
            refusals.append(str(error))
    if not found:
        reasons = [*refusals, *without, f"{str(run.path)!r}: nothing of the report is trained yet"]
        raise UserError(reasons[0])
    for refusal in refusals:
        tell(refusal)
    with whole_folder(to) as folder:
        for one in found:
            _write(one, folder / _place(one))
    return [to / _place(one) for one in found]


def _place(one: Trained) -> Path:
    return Path(filename(one.label), filename(one.optimizer))


def _write(one: Trained, folder: Path) -> None:
    folder.mkdir(parents=True)
    for player, module in zip(PLAYERS, one.modules, strict=False):
        save_file(_state(module), folder / f"{player}.safetensors")
    (folder / LOAD).write_text(loading(one), "utf-8")


def _state(module: nn.Module) -> dict[str, Tensor]:
    """Its state with every tensor in memory of its own, as safetensors wants it."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()}


# --- a file that loads them ------------------------------------------------------------------------------------------


def loading(one: Trained) -> str:
    """The text of ``load.py``."""
    classes: Classes = {}
    functions = []
    for player, module in zip(PLAYERS, one.modules, strict=False):  # of a game of one player the first alone
        functions += ["", "", *_function(player, module, classes)]
    imports = {line for _, lines in classes.values() for line in lines}
    lines = [
        f"# {one.optimizer} on {one.label}, seed {one.seed}.",
        "from pathlib import Path",
        "",
        *sorted(line for line in imports if line.startswith("import")),
        "from safetensors.torch import load_file",
        *sorted({"from torch import nn", *(line for line in imports if line.startswith("from"))}),
        "",
        "FOLDER = Path(__file__).parent",
    ]
    for text, _ in classes.values():
        lines += ["", "", *text.splitlines()]
    return "\n".join([*lines, *functions]) + "\n"


def _function(player: str, module: nn.Module, classes: Classes) -> list[str]:
    made = expression(module, classes)
    load = f'load_state_dict(load_file(FOLDER / "{player}.safetensors")'
    if made is not None:
        return [
            f"def {player}():",
            f"    module = {indent(made, '    ').lstrip()}",
            f"    module.{load})",
            "    return module",
        ]
    return [
        f"def {player}(module):",
        f"    # {type(module).__name__}, as it was made for the run; running averages are not trained and not here",
        f"    module.{load}, strict=False)",
        "    return module.train()",
    ]


def expression(module: nn.Module, classes: Classes | None = None) -> str | None:
    """The Python that makes a module anew of torch's own layers and of classes that are written beside it.

    Args:
        module: of a trained player.
        classes: takes what the Python needs of these.

    Returns:
        None where it has other modules, or where torch's text of one does not make it.
    """
    classes = {} if classes is None else classes
    if type(module) in WHOLES:
        if type(module) is Plus:
            classes[Plus.__name__] = getsource(Plus), {"from torch import Tensor"}
        parts = [expression(part, classes) for part in module.children()]
        if any(part is None for part in parts):
            return None
        return f"{WHOLES[type(module)]}(\n" + "".join(f"{indent(str(part), '    ')},\n" for part in parts) + ")"
    if isinstance(module, Recorded):
        return _recorded(module, classes)
    return _of_torch(module)


def _recorded(module: Recorded, classes: Classes) -> str | None:
    name = f"Recorded{sum(one.startswith('Recorded') for one in classes) + 1}"
    try:
        classes[name] = source(module, name)
    except Exception:  # what a network of somebody's own does may depend on the numbers
        return None
    return f"{name}()"


def _of_torch(module: nn.Module) -> str | None:
    if not type(module).__module__.startswith("torch.nn.modules.") or any(True for _ in module.children()):
        return None
    text = f"nn.{module!r}".replace(", bias=True", "")  # the default, which some layers of some versions do not take
    try:
        made = eval(text, {"nn": nn, "__builtins__": {"True": True, "False": False, "None": None}})
    except Exception:  # a text for people, e.g. with a word that is not quoted
        return None
    shapes = [{name: part.shape for name, part in one.state_dict().items()} for one in (made, module)]
    return text if shapes[0] == shapes[1] else None
