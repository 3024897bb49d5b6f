"""The table of gates in docs/pipeline.md is the one in the code."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pages

from honour.records.gates import GateSettings
from honour.release.gate import DATA_GATES, EXPECTATIONS_GATE, MODEL_GATES, Gate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pipeline.md"


def _documented() -> list[list[str]]:
    return [cells for _, cells in pages.table_rows(PAGE.read_text(encoding="utf-8")) if len(cells) == 4 and cells[1].isdigit()]


def test_every_gate_stands_in_order_with_its_exit_code_and_figure() -> None:
    gates: list[Gate[object]] = [EXPECTATIONS_GATE, *DATA_GATES, *MODEL_GATES]  # type: ignore[list-item]  # their figures do not matter here
    assert [cells[:3] for cells in _documented()] == [[f"`{gate.name}`", str(gate.exit_code), gate.what] for gate in gates]


def test_exit_codes_are_their_own_and_apart_from_those_of_errors() -> None:
    codes = [int(cells[1]) for cells in _documented()]
    assert sorted(set(codes)) == codes
    assert min(codes) > 3


def test_the_limit_that_the_page_names_is_the_one_the_gate_reads() -> None:
    gates: list[Gate[object]] = [EXPECTATIONS_GATE, *DATA_GATES, *MODEL_GATES]  # type: ignore[list-item]  # their figures do not matter here
    for gate, cells in zip(gates, _documented(), strict=True):
        limit = cells[3].strip("`")
        if limit.startswith("gates."):
            changed = msgspec.structs.replace(GateSettings(), **{limit.removeprefix("gates."): 123})
            assert gate.limit(changed) == 123
        else:
            assert gate.limit(GateSettings()) == float(limit)
