"""A run is done once for the same inputs, goes on where it was cut off, and says what it did in one log."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from pipeline_shop import Cut, Shop

from honour.errors import BadInput
from honour.pipeline.folder import alone
from honour.pipeline.handover import Handover
from honour.pipeline.result import Ran
from honour.release.bundle import load_bundle

pytestmark = pytest.mark.slow


def _lines(shop: Shop) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in (shop.path / "pipeline" / "log.ndjson").read_bytes().splitlines()]


def test_the_same_inputs_again_do_nothing_and_say_so(finished: tuple[Shop, Ran]) -> None:
    shop, ran = finished
    again = shop.run()
    assert (again.was_there, again.result) == (True, ran.result)
    assert _lines(shop)[-1]["event"] == "nothing to do"


def test_a_run_that_was_cut_off_goes_on_and_makes_the_same_bundle(cut: Cut) -> None:
    ran = cut.again_from("evaluate")
    assert set(ran.result.seconds) == {"evaluate", "register"}
    assert ran.result.bundle_id == load_bundle(cut.folder / "bundle").bundle_id
    before = [line["stage"] for line in _lines(cut.shop) if line["event"] == "stage taken from before"]
    assert before == ["quality", "features", "train"]


def test_registering_twice_gives_the_same_version(cut: Cut) -> None:
    assert cut.again_from("register").result.version == 1


def test_every_stage_and_gate_is_a_line_of_the_log_with_seconds(finished: tuple[Shop, Ran]) -> None:
    shop, ran = finished
    lines = [line for line in _lines(shop) if line["run"] == ran.result.run]
    stages = {line["stage"]: line["seconds"] for line in lines if line["event"] == "stage"}
    assert stages == ran.result.seconds
    assert len([line for line in lines if line["event"] == "gate"]) == len(ran.result.gates)


def test_other_settings_and_seeds_are_other_runs(finished: tuple[Shop, Ran], tmp_path: Path) -> None:
    shop, ran = finished
    shutil.copytree(shop.path, tmp_path / "data")
    copy = Shop.__new__(Shop)
    copy.path, copy.ends_us = tmp_path / "data", shop.ends_us
    strict = msgspec.structs.replace(shop.settings.gates, later_attempts_min=10**6)
    other = copy.run(settings=msgspec.structs.replace(shop.settings, gates=strict))
    assert other.result.run != ran.result.run
    assert (other.result.status, other.result.exit_code) == ("stopped", 12)


def test_a_stopped_run_is_done_again_when_the_champion_is_another(cut: Cut) -> None:
    """A gate that failed against one champion may hold against the next; what is the challenger already stays so."""
    shutil.copytree(cut.folder / "bundle", cut.shop.path / "bundle")
    strict = msgspec.structs.replace(cut.shop.settings.gates, later_attempts_min=301)
    settings = msgspec.structs.replace(cut.shop.settings, gates=strict)
    stopped = cut.shop.run(settings=settings)
    assert (stopped.was_there, stopped.result.exit_code) == (False, 12)  # The champion has seen every attempt.
    assert cut.shop.run(settings=settings).was_there
    shutil.rmtree(cut.shop.path / "bundle")
    again = cut.shop.run(settings=settings)
    assert (again.was_there, again.result.status) == (False, "registered")


def test_two_runs_at_a_time_are_refused(cut: Cut) -> None:
    with alone(cut.shop.path / "pipeline"), pytest.raises(BadInput, match="another `honour pipeline run` is at work"):
        cut.shop.run()


def test_the_model_card_lies_in_the_bundle_and_names_its_lineage(finished: tuple[Shop, Ran]) -> None:
    shop, ran = finished
    card = (shop.path / "pipeline" / ran.result.run / "bundle" / "model-card.md").read_text(encoding="utf-8")
    training_set = msgspec.json.decode((shop.path / "pipeline" / ran.result.run / "features.json").read_bytes())["content_hash"]
    assert ran.result.bundle_id is not None
    sections = ("## Precision and recall", "| retry |", "## Limits")
    for told in (ran.result.bundle_id, training_set, ran.result.run, "route=", "network=visa", *sections, "calibration error"):
        assert told in card


def test_the_challenger_goes_from_the_registry_into_shadow_and_becomes_the_champion(cut: Cut) -> None:
    bundle_id = load_bundle(cut.folder / "bundle").bundle_id
    handover = Handover(cut.shop.path, settings=cut.shop.settings)
    told = handover.shadow(None, why="test")
    assert (told.shadows, told.live) == ((bundle_id,), None)
    assert [(one.bundle, one.aliases) for one in told.versions] == [(bundle_id, ("challenger",))]
    told = handover.promote(None, why="test")
    assert (told.shadows, told.live) == ((), bundle_id)
    assert [(one.bundle, one.aliases) for one in told.versions] == [(bundle_id, ("champion",))]
    assert load_bundle(cut.shop.path / "bundle").bundle_id == bundle_id
