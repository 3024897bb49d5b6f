"""`honour pipeline watch` as a process: it says why, ends when told to, goes on, and ends with the code of the gate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from pipeline_shop import Cut

from honour.errors import BadInput, LogContractBroken
from honour.pipeline.folder import alone
from honour.pipeline.jobs import Processes
from honour.pipeline.watch import Known

pytestmark = pytest.mark.slow

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src"), "OMP_NUM_THREADS": "1"}


def _start(cut: Cut, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "honour.cli", "pipeline", *words, "--data", str(cut.shop.path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def _known(cut: Cut) -> Known:
    return msgspec.json.decode((cut.shop.path / "pipeline" / "watch.json").read_bytes(), type=Known)


def test_it_is_ended_in_the_middle_of_a_run_and_the_next_one_takes_the_run_up(cut: Cut) -> None:
    watch = _start(cut, "watch", "--threads", "1")
    assert watch.stdout is not None
    assert "Watching" in watch.stdout.readline()
    assert "run: no model is live" in watch.stdout.readline()
    with pytest.raises(BadInput, match="another `honour pipeline watch` is at work"), alone(cut.shop.path / "pipeline", command="watch"):
        pass
    watch.send_signal(signal.SIGTERM)
    told, _ = watch.communicate(timeout=60)
    assert watch.returncode == 0
    assert "the run is taken up by the next watch" in told
    running = _known(cut).running
    assert running is not None

    again = _start(cut, "watch", "--threads", "1", "--once")
    told, _ = again.communicate(timeout=120)
    # The simulated month is long past: the gate on the age of data stops the run, and its code is that of the command.
    assert again.returncode == 10
    assert "it was cut off and goes on" in told
    assert "stopped by the gate data_age" in told
    assert _known(cut).not_before_us > time.time_ns() // 1_000
    log = (cut.shop.path / "pipeline" / "log.ndjson").read_text()
    assert f'"to_seq":{running.to_seq}' in log


def test_a_look_is_a_command_of_its_own_whose_answer_it_reads(cut: Cut) -> None:
    processes = Processes(cut.shop.path, arguments=["--data", str(cut.shop.path)], threads=1, note=lambda _: None)
    report = processes.jobs.look(cut.folder / "bundle")
    assert report is not None
    assert (report.n_later, report.past) == (0, ())
    with pytest.raises(LogContractBroken, match=r"manifest\.json"):
        processes.jobs.look(cut.shop.path)
