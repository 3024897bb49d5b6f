"""The notebook tour runs from top to bottom with a kernel, and is kept without its outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TOUR = Path(__file__).resolve().parents[1] / "examples" / "tour.ipynb"


def test_the_tour_is_kept_without_outputs() -> None:
    cells = nbformat.read(TOUR, as_version=4).cells
    assert [cell.id for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)] == []


@pytest.mark.slow
def test_the_tour_runs_and_ends_with_a_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TOUR.parents[1] / "src"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tour = nbformat.read(TOUR, as_version=4)
    NotebookClient(tour, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    last = [cell for cell in tour.cells if cell.cell_type == "code"][-1]
    printed = "".join(output.text for output in last.outputs if output.output_type == "stream")
    assert "attempt on " in printed or "stop" in printed
    pictures = [output for cell in tour.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})]
    assert len(pictures) == 1
