"""What a notebook does: the lecture's cells are executed by Jupyter's own client, and what they show is looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from test_documents import DOCS, FENCED

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
client = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

ROOT = Path(__file__).parents[2]
SHOWS = "run"
COMPARES = "bench.compare(run, run)"
FAILS = """
class Raises(bench.UpdateRule):
    lr: bench.StepSize = 0.1
    def step(self, F, w, s):
        raise ValueError("no step today")
failing = bench.Study(optimizers=[Raises, "sgd"], games=["dirac"], trials=0, seeds="0-1", budget=20)
try:
    bench.run(failing, out="results/failing")
except RuntimeError as error:
    print(error)
kept = bench.run(failing, out="results/failing", errors="keep")
kept
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Cell -> its outputs, of the lecture and of what a reader does with its run."""
    folder = tmp_path_factory.mktemp("notebook")
    sources = [
        text for language, text in FENCED.findall((DOCS / "lecture.md").read_text("utf-8")) if language == "python"
    ]
    sources += [SHOWS, COMPARES, "run.report(); run", FAILS]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        client.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return {cell.source: cell.outputs for cell in book.cells}


def shown(outputs: list[Any], kind: str) -> str:
    """What a cell shows of this kind."""
    return "\n".join(str(output["data"][kind]) for output in outputs if kind in output.get("data", {}))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
class TestNotebook:
    def test_a_run_is_its_table_its_warnings_and_its_report(self, cells: dict[str, list[Any]]) -> None:
        html = shown(cells[SHOWS], "text/html")
        assert "look ahead" in html
        assert html.count("<table>") == 1
        assert "Nothing was tuned" in html
        assert html.count("<li>") <= 5
        assert "run.report()" in html
        assert "href='results/lecture/report.html'" in shown(cells["run.report(); run"], "text/html")

    def test_figures_and_animations_are_seen(self, cells: dict[str, list[Any]]) -> None:
        pictures = [shown(outputs, "image/png") for source, outputs in cells.items() if "run.figure(" in source]
        assert pictures
        assert all(len(picture) > 1000 for picture in pictures)
        (film,) = [shown(outputs, "text/html") for source, outputs in cells.items() if "run.animate(" in source]
        assert "data:image/gif;base64," in film

    def test_a_bar_goes_along_and_leaves(self, cells: dict[str, list[Any]]) -> None:
        (outputs,) = [outputs for source, outputs in cells.items() if 'out="results/lecture"' in source]
        assert any(output["output_type"] == "display_data" for output in outputs)
        assert "starting" not in shown(outputs, "text/html")

    def test_comparisons_are_short(self, cells: dict[str, list[Any]]) -> None:
        assert "3 identical" in shown(cells[COMPARES], "text/html")

    def test_a_failure_is_raised_with_its_cause_or_kept(self, cells: dict[str, list[Any]]) -> None:
        printed = "".join(output.get("text", "") for output in cells[FAILS])
        assert "ValueError: no step today" in printed
        assert "errors='keep'" in printed
        assert "failed, the first with ValueError: no step today" in shown(cells[FAILS], "text/html")
