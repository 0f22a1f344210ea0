"""Random single changes of the code that decides answers, each tried against its tests: what survives is printed.

    python tests/mutants.py                       # forty changes, about twenty minutes on one free core
    python tests/mutants.py --sample 10 --seed 3 bench/analysis/comparison.py

A change is one operator turned round, one number moved, one condition negated, one argument taken away. It is tried
first on the tests that name something of its file, and on the others only if these pass. A survivor is to be read:
many change nothing that anybody sees; one that changes an answer asks for a test.

Of the first 32 changes of ``--nearest --sample 60 --seed 24`` 13 survived. Seven changed an answer, and tests were
written that see them: the worst value of a share, a length that vanishes, an oscillation of three evaluations, Holm's
correction of p = 0 and its bound of 1, the end of observation of a survival curve, where tied step sizes began. Six
change nothing that is told: ``observed`` of a groupby whose empty groups nobody asks for, 10,001 resamples, 1,001
images, the names of a trial's values read from the second trial, and two bounds of arguments
that the next call checks, or that no caller comes near.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import copy
import os
import random
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parents[1]
TESTS = {
    "bench/analysis": ["tests/analysis"],
    "bench/metrics": ["tests/metrics", "tests/numerics/test_distances.py", "tests/numerics/test_spectrum.py"],
    "bench/numerics/distances.py": ["tests/numerics/test_distances.py", "tests/metrics"],
    "bench/studies/tuning": ["tests/studies", "tests/report/test_page_tuning.py"],
}
"""A folder or file -> the tests that have to notice its changes."""
TIMEOUT = 900  # seconds; a change may make a loop endless
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.USub: ast.UAdd,
}  # fmt: skip


def sites(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int]]:
    """What can be changed: (node, field, index), in a fixed order; type hints and docstrings are no code."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.BinOp, ast.BoolOp, ast.UnaryOp)) and type(node.op) in SWAPS:
            yield node, "op", 0
        if isinstance(node, ast.Compare):
            yield from ((node, "ops", k) for k, op in enumerate(node.ops) if type(op) in SWAPS)
        if isinstance(node, (ast.If, ast.IfExp, ast.While)):
            yield node, "test", 0
        if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
            yield node, "value", 0
        if isinstance(node, ast.Call):
            yield from ((node, "keywords", k) for k, keyword in enumerate(node.keywords) if keyword.arg)


def changed(source: str, which: int) -> tuple[str, str]:
    """The source with its n-th change, and what it is in words."""
    tree = ast.parse(source)
    for node in ast.walk(tree):  # a hint such as `float | None` decides nothing
        for hint in ("annotation", "returns"):
            if getattr(node, hint, None) is not None:
                setattr(node, hint, ast.Constant(...))
    node, field, k = list(sites(tree))[which]
    before = ast.unparse(copy.deepcopy(node))
    if field == "op":
        node.op = SWAPS[type(node.op)]()  # type: ignore[attr-defined]
    elif field == "ops":
        node.ops[k] = SWAPS[type(node.ops[k])]()  # type: ignore[attr-defined]
    elif field == "test":
        node.test = ast.UnaryOp(ast.Not(), node.test)  # type: ignore[attr-defined]
    elif field == "value":
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1  # type: ignore[attr-defined]
    else:
        del node.keywords[k]  # type: ignore[attr-defined]
    return ast.unparse(ast.fix_missing_locations(tree)), f"line {node.lineno}: {before} -> {ast.unparse(node)}"  # type: ignore[attr-defined]


def count(path: Path) -> int:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        for hint in ("annotation", "returns"):
            if getattr(node, hint, None) is not None:
                setattr(node, hint, ast.Constant(...))
    return sum(1 for _ in sites(tree))


def tests_of(path: str) -> list[str]:
    """The tests of a file, those of the longest entry that it is in."""
    return TESTS[max((place for place in TESTS if path.startswith(place)), key=len)]


def nearest_tests(path: str) -> list[str]:
    """Those of a file's tests that are named like it; where there are none, those that name something it defines."""
    stem, tree = Path(path).stem, ast.parse((ROOT / path).read_text())
    names = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    word = re.compile(rf"\b({'|'.join([*names, rf'import {stem}', rf'[.]{stem} import'])})\b")
    places = [ROOT / place for place in tests_of(path)]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("test_*.py")))]
    alike = [file for file in files if file.stem == f"test_{stem}"]
    return [str(file.relative_to(ROOT)) for file in alike or files if alike or word.search(file.read_text())]


def survives(copy_of_root: Path, path: str, source: str, only_nearest: bool = False) -> bool:
    """Whether all tests of a file, or those nearest to it, pass with this source in its place."""
    file = copy_of_root / path
    original, times = file.read_text(), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_text(source)
    try:
        near = nearest_tests(path)
        if near and not _pass(copy_of_root, near):
            return False
        return bool(near and only_nearest) or _pass(copy_of_root, tests_of(path))
    finally:
        file.write_text(original)
        os.utime(file, ns=times)


def _pass(root: Path, tests: list[str]) -> bool:
    """Whether these tests pass; in a process that starts with the libraries at hand, for importing them takes long."""
    process = get_context("fork").Process(target=_run_tests, args=(root, tests))
    process.start()
    process.join(TIMEOUT)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode == 0


def _run_tests(root: Path, tests: list[str]) -> None:
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.chdir(root)
    os.environ |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))


def main() -> int:
    """Print each change with its fate; exit code 1 if one survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=list(TESTS), help="files or folders; default: all that decide")
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nearest", action="store_true", help="try no other tests; some survivors are killed by these")
    asked = parser.parse_args()
    files = [file for path in asked.paths for file in ([ROOT / path] if path.endswith(".py") else _files(ROOT / path))]
    every = [(file, k) for file in dict.fromkeys(files) for k in range(count(file))]
    chosen = random.Random(asked.seed).sample(every, min(asked.sample, len(every)))
    for library in ("torch", "pandas", "scipy.stats", "optuna", "seaborn", "numba"):
        import_module(library)
    left = []
    with TemporaryDirectory() as folder:
        there = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".git", "__pycache__", "*.egg-info", "*.zip")
        shutil.copytree(ROOT, there, ignore=ignored)
        compileall.compile_dir(there, quiet=2)  # once, for every try imports all of it
        for file, k in chosen:
            path = str(file.relative_to(ROOT))
            source, words = changed(file.read_text(), k)
            alive = survives(there, path, source, asked.nearest)
            print(f"{'SURVIVED' if alive else 'killed'}  {path}, {words}", flush=True)
            left += [path] * alive
    print(f"{len(left)} of {len(chosen)} changes survived, of {len(every)} that there are")
    return int(bool(left))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


if __name__ == "__main__":
    raise SystemExit(main())
