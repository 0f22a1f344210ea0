"""The steps of a workflow, run in a folder as GitHub's shell would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any


class Runner:
    """Runs the steps of a job in a folder, but for those that install or use actions.

    Args:
        folder: the repository that was checked out.
        scratch: a folder beside it, for the command ``bench`` and the summary.
        python: that has the suite.
    """

    def __init__(self, folder: Path, scratch: Path, python: str = sys.executable) -> None:
        self.folder, self.summary = folder, scratch / "summary.md"
        self.bin = scratch / "bin"
        self.bin.mkdir(parents=True)
        for name in ("bench", "pytest"):
            shim = self.bin / name
            # -P: as an installed command, the folder's own packages do not stand in for those installed
            shim.write_text(f'#!/bin/sh\nexec "{python}" -P -m {name} "$@"\n')
            shim.chmod(0o755)

    def run(self, job: dict[str, Any], inputs: dict[str, str]) -> dict[str, subprocess.CompletedProcess[str]]:
        """The steps by name: those until the first that fails, and those that run always."""
        env = {
            name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], value)
            for name, value in job["env"].items()
        }
        path = os.pathsep.join([str(self.bin), os.environ["PATH"]])
        env |= {"PATH": path, "GITHUB_STEP_SUMMARY": str(self.summary), "OMP_NUM_THREADS": "1"}
        done: dict[str, subprocess.CompletedProcess[str]] = {}
        for step in job["steps"]:
            failed = any(one.returncode for one in done.values())
            if "run" not in step or "pip install" in step["run"] or (failed and step.get("if") != "always()"):
                continue
            bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done[step["name"]] = subprocess.run(
                bash, cwd=self.folder, env=os.environ | env, capture_output=True, text=True, check=False
            )
        return done
