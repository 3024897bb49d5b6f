"""A few seconds of what `make fuzz` does for ten minutes."""

from __future__ import annotations

from pathlib import Path

import fuzz
import pytest


@pytest.mark.slow
def test_of_some_thousand_hostile_requests_none_gets_a_5xx_none_an_exception_and_no_card_number_is_kept(tmp_path: Path) -> None:
    server = fuzz.Server(tmp_path)
    fuzzer = fuzz.Fuzzer(server.url, seed=11)
    try:
        for _ in range(1_500):
            fuzzer.once()
    finally:
        code = server.end()
    assert fuzzer.found == []
    assert fuzzer.statuses["200"] > 20
    assert fuzzer.statuses["422"] > 100
    assert fuzz.unforeseen(server.said()) == []
    assert fuzz.card_numbers_in((tmp_path / "events.db").read_bytes()) == set()
    assert code == 0
