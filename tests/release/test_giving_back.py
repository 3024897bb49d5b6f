"""A bundle that does not load, or whose guardrail breaks, goes back by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from release_kit import MakeBundle, change, engine_on, events_of, look, pay, settings_of

from honour.approval.calibration import Platt
from honour.errors import BundleRefused
from honour.outcomes.state import State
from honour.records.release import ReleaseChanged
from honour.release.store import BundleStore
from honour.serving.bundles import Bundles
from honour.serving.hot_path import Engine
from honour.serving.recovery import restore
from honour.stores.memory import MemoryLog


@pytest.mark.slow
def test_a_bundle_that_does_not_load_in_the_server_is_given_back_and_the_log_says_so(tmp_path: Path, bundle: MakeBundle) -> None:
    old, new = bundle(1), bundle(2)
    engine, bundles = engine_on(tmp_path, old[0])
    store = BundleStore(tmp_path)
    store.install(new[0])
    (store.path(new[1]) / "model.onnx").write_bytes(b"no model")
    engine.take_release(change("promote", new[1]))
    look(bundles)
    assert engine.bundle_id == old[1]
    assert bundles.counted == {"taken": 0, "refused": 1, "rolled_back": 1}
    assert engine.state.stages.live == old[1]
    (_, _, rollback) = [one for one in events_of(engine) if isinstance(one, ReleaseChanged)]
    assert (rollback.action, rollback.by) == ("rollback", "load check")
    assert "model.onnx: SHA-256 differs" in rollback.why


@pytest.mark.slow
def test_a_promoted_bundle_whose_probabilities_do_not_hold_goes_back_by_itself(tmp_path: Path, bundle: MakeBundle) -> None:
    old, sure_of_all = bundle(1), bundle(2, calibrator=Platt(slope=0.0, intercept=5.0))
    engine, bundles = engine_on(tmp_path, old[0])
    pay(engine, n=200, approved=lambda number: number % 2 == 0)
    engine.take_release(change("promote", sure_of_all[1]), unless_changed_since=None)
    BundleStore(tmp_path).install(sure_of_all[0])
    look(bundles)
    assert engine.bundle_id == sure_of_all[1]
    pay(engine, n=150, approved=lambda number: number % 2 == 0)
    look(bundles)
    assert engine.state.stages.live == old[1]
    look(bundles)
    assert engine.bundle_id == old[1]
    rollback = [one for one in events_of(engine) if isinstance(one, ReleaseChanged)][-1]
    assert rollback.by == "guardrail calibration"
    assert "its probabilities do not hold" in rollback.why


@pytest.mark.slow
def test_a_promoted_bundle_that_does_as_well_as_the_one_before_stays(tmp_path: Path, bundle: MakeBundle) -> None:
    old, new = bundle(1, calibrator=Platt(slope=0.0, intercept=0.0)), bundle(2, calibrator=Platt(slope=0.0, intercept=0.0))
    engine, bundles = engine_on(tmp_path, old[0])
    pay(engine, n=200, approved=lambda number: number % 2 == 0)
    BundleStore(tmp_path).install(new[0])
    engine.take_release(change("promote", new[1]))
    look(bundles)
    pay(engine, n=300, approved=lambda number: number % 2 == 0)
    look(bundles)
    assert (engine.bundle_id, engine.state.stages.before) == (new[1], old[1])


@pytest.mark.slow
def test_a_server_that_starts_on_a_live_bundle_that_broke_goes_back_to_the_one_before(tmp_path: Path, bundle: MakeBundle) -> None:
    old, new = bundle(1), bundle(2)
    engine, _ = engine_on(tmp_path, old[0])
    store = BundleStore(tmp_path)
    store.install(new[0])
    engine.take_release(change("promote", new[1]))
    (store.path(new[1]) / "encoder.json").unlink()
    again = Engine(settings_of(tmp_path), log=engine.log, state=restore(engine.log))
    Bundles(again, data_dir=tmp_path).begin(None)
    assert again.bundle_id == old[1]
    (store.path(old[1]) / "encoder.json").unlink()
    with pytest.raises(BundleRefused, match=r"encoder\.json"):
        Bundles(Engine(settings_of(tmp_path), log=engine.log, state=restore(engine.log)), data_dir=tmp_path).begin(None)


def test_two_releases_at_once_do_not_both_happen(tmp_path: Path) -> None:
    engine = Engine(settings_of(tmp_path), log=MemoryLog(), state=State())
    seen = engine.state.stages.changes
    assert engine.take_release(change("promote", "sha256:" + "a" * 64), unless_changed_since=seen) is not None
    assert engine.take_release(change("promote", "sha256:" + "b" * 64), unless_changed_since=seen) is None
    assert engine.state.stages.live == "sha256:" + "a" * 64
