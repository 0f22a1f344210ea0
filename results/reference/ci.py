"""The quality gate: does every rule train as it did? The study of ci.toml, compared with what is committed of it.

    python results/reference/ci.py              # exit code 4 where a rule changed, 0 where none did
    python results/reference/ci.py --format md  # the same for a summary of a CI
    python results/reference/ci.py --renew      # take what is trained now for right: after a change that was meant

It trains in a fresh folder, for a folder's finished chunks are not trained again: about two minutes on two cores. A
rule that is not in results/reference/ci yet is told as new; ``--renew`` takes it in. Exit code 2: the baseline is of
another protocol or budget, or there is none.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.api import Run, run
from bench.errors import UserError
from bench.numerics.runtime import cores
from bench.storage.baseline import write_baseline
from bench.studies.request import make_request
from bench.studies.toml import read_toml

HERE = Path(__file__).parent
STUDY, BASELINE = HERE / "ci.toml", HERE / "ci"
ROUNDINGS = 3  # trainings of everything once more, so that the baseline says what rounding alone may do elsewhere


def trained(out: Path, roundings: int = 0) -> Run:
    """The study's run by this tree."""
    study = make_request(read_toml(STUDY)).study.model_copy(update={"roundings": roundings})
    return run(study, out=out, jobs=cores(), errors="keep")  # a cell that ended in an error is named below


def judged(out: Path, style: str) -> int:
    """What ``bench compare`` says of it, and its exit code."""
    from bench.cli import app

    arguments = ["compare", str(BASELINE), str(out), "--fail-on", "changed", "--format", style]
    try:
        return int(app(args=arguments, prog_name="bench", standalone_mode=False) or 0)
    except (
        UserError
    ) as error:  # no baseline, or one of another protocol or budget: after a change that was meant, --renew
        print(f"{error}; --renew makes the baseline anew", file=sys.stderr)
        return 2


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Does every rule train as it did? Exit code 4 where one does not.")
    parser.add_argument("--renew", action="store_true", help="take what is trained now for right")
    parser.add_argument("--format", default="text", help="text, or md for a summary of a CI")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "ci"
        made = trained(out, ROUNDINGS if given.renew else 0)
        if made.errors:
            print("\n".join(f"{path.stem}: {last}" for path, last in made.failures.items()), file=sys.stderr)
            return 1
        if given.renew:
            print(write_baseline(made, BASELINE))
            return 0
        return judged(out, given.format)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
