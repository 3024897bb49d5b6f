"""A watch starts a run for a reason that it says, waits after one that failed, and goes on where it was ended."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from honour.errors import BadSettings
from honour.loop import DataDir
from honour.pipeline.result import DriftReport, Sign
from honour.pipeline.watch import MINUTE_US, Due, Ended, Jobs, Known, Watch, ask
from honour.records.attempt import Attempt
from honour.records.event import AttemptReported
from honour.records.instant import from_us
from honour.records.payment import Card, Payment
from honour.records.retrain import RetrainSettings

HOUR_US = 60 * MINUTE_US
STARTS_US = 1_772_366_400_000_000  # 2026-03-01T12:00Z
REGISTERED = Ended(0, None, "registered")
STOPPED = Ended(18, None, "stopped by the gate log_loss")
CALM = Sign(name="drift", figure=0.01, limit=0.1, found="index of route")
DRIFTED = Sign(name="calibration", figure=0.05, limit=0.02, found="calibration error 0.07")


class Scene:
    """A data folder with one event, a clock, and jobs that end as they are told to."""

    def __init__(self, path: Path, *, limits: RetrainSettings | None = None) -> None:
        self.path, self.now_us, self.limits = path, STARTS_US, limits or RetrainSettings(schedule="")
        self.ends: Ended | None = REGISTERED
        self.signs: tuple[Sign, ...] = (CALM,)
        self.runs: list[int] = []
        self.looked: list[Path] = []
        self.is_busy = False
        self.said: list[str] = []
        (path / "pipeline").mkdir()
        card = Card(card_id="crd_1", bin="41111111", network="visa")
        payment = Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=100, currency="BRL", card=card)
        attempt = Attempt(attempt_id="att_1", payment=payment, route="acq_1", attempted_at=from_us(STARTS_US), status="approved")
        with DataDir(path).log(read_only=False) as log:
            log.append_many([(AttemptReported(attempt=attempt), STARTS_US)])

    def watch(self) -> Watch:
        """A watch that begins, or begins again, on what lies in the folder."""
        jobs = Jobs(run=self._run, look=self._look, is_busy=lambda: self.is_busy)
        return Watch(self.path, limits=self.limits, jobs=jobs, now_us=lambda: self.now_us, say=self.said.append)

    def known(self) -> Known:
        """What lies in the folder."""
        return msgspec.json.decode((self.path / "pipeline" / "watch.json").read_bytes(), type=Known)

    def live(self) -> None:
        """A bundle is live: the watch is not the first."""
        (self.path / "bundle").mkdir()
        (self.path / "bundle" / "manifest.json").write_text("{}")

    def _run(self, to_seq: int) -> Ended | None:
        self.runs.append(to_seq)
        return self.ends

    def _look(self, bundle: Path) -> DriftReport:
        self.looked.append(bundle)
        return DriftReport(bundle_id="sha256:1", n_later=5000, hours=48.0, signs=self.signs)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def _scheduled(path: Path) -> Scene:
    scene = Scene(path, limits=RetrainSettings(schedule="0 3 * * *"))
    scene.live()
    return scene


def test_without_any_model_the_first_is_trained_at_once(scene: Scene) -> None:
    assert scene.watch().step() == 0
    assert scene.runs == [1]
    assert "no model is live" in scene.said[0]


def test_an_empty_log_starts_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (tmp_path / "events.db").unlink()
    DataDir(tmp_path).log(read_only=False).__enter__().close()
    assert scene.watch().step() is None
    assert scene.runs == []


def test_a_run_starts_at_the_instant_of_the_schedule_and_once(tmp_path: Path) -> None:
    scene = _scheduled(tmp_path)
    watch = scene.watch()
    scene.now_us += 14 * HOUR_US  # 02:00
    assert watch.step() is None
    scene.now_us += HOUR_US
    assert [watch.step(), watch.step()] == [0, None]
    assert "schedule '0 3 * * *', due 2026-03-02 03:00:00Z" in scene.said[0]


def test_an_instant_of_the_schedule_that_passed_while_nobody_watched_is_made_up_for_once(tmp_path: Path) -> None:
    scene = _scheduled(tmp_path)
    scene.watch()
    scene.now_us += 16 * HOUR_US
    scene.watch().step()
    scene.now_us += 72 * HOUR_US
    watch = scene.watch()
    assert [watch.step(), watch.step()] == [0, None]
    assert len(scene.runs) == 2


def test_drift_past_its_limit_starts_a_run_and_says_which(scene: Scene) -> None:
    scene.live()
    watch = scene.watch()
    assert watch.step() is None  # It looked, and all was calm.
    scene.signs = (CALM, DRIFTED)
    assert watch.step() is None  # Too soon to look again.
    scene.now_us += HOUR_US
    assert watch.step() == 0
    assert "calibration 0.05 > 0.02" in scene.said[0]
    assert scene.looked == [scene.path / "bundle"] * 2


def test_it_looks_at_the_newest_model_and_not_at_the_live_one_that_it_followed(scene: Scene) -> None:
    scene.live()
    newer = scene.path / "pipeline" / "run" / "bundle"
    newer.mkdir(parents=True)
    (newer / "manifest.json").write_text("{}")
    scene.ends, scene.signs = Ended(0, str(newer), "registered"), (DRIFTED,)
    watch = scene.watch()
    watch.step()
    scene.now_us += HOUR_US
    watch.step()
    assert scene.looked == [scene.path / "bundle", newer]


def test_after_a_gate_that_failed_it_waits_longer_each_time_and_forgets_it_after_a_run_that_went_well(scene: Scene) -> None:
    scene.ends = STOPPED
    watch, starts = scene.watch(), []
    for hour in range(16):
        if watch.step() is not None:
            starts.append(hour)
        scene.now_us += HOUR_US
    assert starts == [0, 1, 3, 7, 15]
    assert "again after 4 that failed, the last: stopped by the gate log_loss" in scene.said[-2]
    scene.ends = REGISTERED
    scene.now_us += 24 * HOUR_US
    assert watch.step() == 0
    assert (scene.known().n_failed, scene.known().not_before_us) == (0, 0)


def test_the_wait_is_kept_by_the_next_watch_and_has_an_end(scene: Scene) -> None:
    scene.ends = STOPPED
    scene.watch().step()
    assert scene.watch().step() is None
    for _ in range(12):
        scene.now_us = scene.known().not_before_us
        assert scene.watch().step() == 18
    assert scene.known().not_before_us - scene.now_us == 24 * HOUR_US


def test_who_asks_for_a_run_gets_it_now_even_while_it_waits(scene: Scene) -> None:
    scene.ends = STOPPED
    watch = scene.watch()
    watch.step()
    ask(scene.path, why="new acquirer", by="ana", at_us=scene.now_us)
    scene.ends = REGISTERED
    assert [watch.step(), watch.step()] == [0, None]
    assert "asked for by ana: new acquirer" in scene.said[-2]


def test_a_run_that_was_cut_off_is_taken_up_with_the_same_events(scene: Scene) -> None:
    scene.ends = None
    scene.watch().step()
    assert scene.known().running == Due(why="no model is live, and none was trained here", to_seq=1, n_tries=1)
    with DataDir(scene.path).log(read_only=False) as log:
        first = next(iter(log.read())).event
        assert isinstance(first, AttemptReported)
        later = msgspec.structs.replace(first.attempt, attempt_id="att_2")
        log.append_many([(AttemptReported(attempt=later), STARTS_US)])
    scene.ends = REGISTERED
    assert scene.watch().step() == 0
    assert scene.runs == [1, 1]
    assert "it was cut off and goes on" in scene.said[-2]


def test_a_run_that_ends_the_watch_each_time_counts_as_failed_in_the_end(scene: Scene) -> None:
    scene.ends = None
    for _ in range(3):
        scene.watch().step()
    assert scene.watch().step() == 1
    assert len(scene.runs) == 3
    assert scene.known().not_before_us == scene.now_us + HOUR_US


def test_while_somebody_runs_the_pipeline_by_hand_it_waits_and_says_so_once(scene: Scene) -> None:
    scene.is_busy = True
    watch = scene.watch()
    assert [watch.step(), watch.step()] == [None, None]
    assert [line.split(" ", 2)[2] for line in scene.said] == ["a run that was started otherwise is at work"]
    scene.is_busy = False
    assert watch.step() == 0


@pytest.mark.parametrize("schedule", ["daily", "0 3 * *", "61 3 * * *", "0 0 3 * * *"])
def test_a_schedule_that_is_none_is_refused_with_what_is_allowed(tmp_path: Path, schedule: str) -> None:
    with pytest.raises(BadSettings, match=r"retrain.schedule.*Allowed: minute, hour"):
        Scene(tmp_path, limits=RetrainSettings(schedule=schedule)).watch()
