"""The tutorials on the public files, where these are there: import, train, judge, replay, a live run over HTTP, parity."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
CUT = "2019-02-04T23:00:00"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def honour(*arguments: object, fails_with: int = 0) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "honour.cli", *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert run.returncode == fails_with, run.stderr
    return run.stdout


def told(*arguments: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(honour(*arguments, "--json"))
    return answer


@contextmanager
def served(data: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "honour.cli", "serve", "--data", str(data), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield found[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def live_run(file: Path, mapping: Path, url: str) -> dict[str, int]:
    spec = importlib.util.spec_from_file_location("live_run", REPOSITORY / "examples" / "live_run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    counts: dict[str, int] = module.run(file, mapping=mapping, url=url, since=module.datetime.fromisoformat(f"{CUT}+00:00"))
    return counts


def test_a_file_of_attempts_goes_through_the_whole_loop(shared_data: Path, tmp_path: Path) -> None:
    file, mapping, data = shared_data / "psp_routing" / "attempts.csv", REPOSITORY / "examples/psp_routing/mapping.toml", tmp_path / "shop"
    imported = told("import", file, "--mapping", mapping, "--data", data, "--until", CUT)
    assert (imported["n_logged"], imported["n_routes"], imported["quality"]["n_rows"]) == (30453, 4, 39488)

    trained = told("train", "--data", data)
    assert trained["n_rows"] == 30453

    judged = told("evaluate", "--model", data / "bundle", "--data", file, "--mapping", mapping)
    assert judged["n"] == 9035
    assert judged["log_loss"]["value"] < 0.475  # The base rate's is 0.498 on these days.
    assert judged["gains"]["base_rate"]["low"] > 0.02
    assert judged["calibration_error"]["value"] < 0.03
    assert [curve["name"] for curve in judged["curves"]] == ["all", "retry", "step-up"]
    assert 0.9 < judged["curves"][1]["operating"]["sent"]["value"] < 1.0  # Fees and margin are those that the import wrote.

    with served(data) as url:
        counts = live_run(file, mapping, url)
    assert counts["asked"] == 9035
    assert counts["followed"] > 200
    parity = told("features", "verify", "--data", data)
    assert parity["decisions"] == 9035
    assert all((one["mismatch"], one["missing"], one["extra"]) == (0, 0, 0) for one in parity["features"])

    replayed = told("replay", "--data", data, "--fee-route", "Simplecard")
    assert replayed["propensities"] == "estimated"
    logged, best = (next(one for one in replayed["policies"] if one["policy"] == name) for name in ("logged", "greatest_value"))
    assert logged["difference_minor"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert best["difference_minor"]["low"] > 0.0
    assert set(replayed["fees"]) == {"0.5", "1", "2", "4"}


def test_where_there_is_nothing_to_gain_the_evaluation_says_so(shared_data: Path, tmp_path: Path) -> None:
    file, mapping, data = shared_data / "globepay" / "acceptance.csv", REPOSITORY / "examples/globepay/mapping.toml", tmp_path / "control"
    told("import", file, "--mapping", mapping, "--data", data, "--until", "2019-05-01")
    told("train", "--data", data)
    judged = told("evaluate", "--model", data / "bundle", "--data", file, "--mapping", mapping)
    assert judged["nothing_to_gain"] is True
    assert "othing to gain" in judged["verdict"]
