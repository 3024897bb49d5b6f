"""Gates by sabotage: whatever goes wrong is stopped by the gate that is meant for it, and a clean run passes them all."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pipeline_shop import Cut, Shop

from honour.approval.calibration import Platt
from honour.approval.model import ApprovalModel
from honour.approval.segment import Offset, SegmentOffsets
from honour.features.encode import Encoder
from honour.pipeline.result import Ran
from honour.pipeline.stages import EvaluateDone
from honour.records.attempt import Attempt
from honour.records.event import ServedFeatures
from honour.records.expectation import Expectation, QualitySettings
from honour.records.instant import to_us
from honour.release import model_figures
from honour.release.gate import DATA_GATES, EXPECTATIONS_GATE, MODEL_GATES

pytestmark = pytest.mark.slow

DAY_US = 86_400_000_000


def _failed(ran: Ran) -> list[str]:
    return [gate.name for gate in ran.result.gates if not gate.passed]


def test_a_clean_run_passes_every_gate_and_is_the_challenger(finished: tuple[Shop, Ran]) -> None:
    _, ran = finished
    assert [gate.name for gate in ran.result.gates] == [gate.name for gate in (EXPECTATIONS_GATE, *DATA_GATES, *MODEL_GATES)]
    assert _failed(ran) == []
    assert (ran.result.status, ran.result.exit_code, ran.result.version) == ("registered", 0, 1)


def test_data_that_are_not_as_expected_are_stopped_before_anything_is_computed(cut: Cut) -> None:
    expected = Expectation(name="amount", kind="domain", column="amount_minor", max=1, share_max=0.01, severity="refuse")
    settings = msgspec.structs.replace(cut.shop.settings, quality=QualitySettings(expectations=(expected,)))
    ran = cut.shop.run(settings=settings)
    assert _failed(ran) == ["expectations"]
    assert ran.result.exit_code == 9
    assert ran.result.gates[0].found.startswith("amount: ")
    assert set(ran.result.seconds) == {"quality"}


def test_a_leaked_label_is_stopped_before_anything_is_trained(tmp_path: Path) -> None:
    def leak(attempt: Attempt) -> Attempt:
        told = msgspec.structs.replace(attempt.payment, risk_score=0.1 if attempt.status == "approved" else 0.9)
        return msgspec.structs.replace(attempt, payment=told)

    ran = Shop(tmp_path, change=leak).run()
    assert _failed(ran) == ["feature_leak"]
    assert ran.result.exit_code == 15
    assert "risk_score" in ran.result.gates[-1].found
    assert set(ran.result.seconds) == {"quality", "features"}


def test_stale_data_are_stopped(cut: Cut) -> None:
    ran = cut.shop.run(as_of_us=cut.shop.ends_us + 7 * DAY_US)
    assert _failed(ran) == ["data_age"]
    assert ran.result.exit_code == 10


def test_a_network_that_no_longer_arrives_is_stopped(tmp_path: Path) -> None:
    shop = Shop(tmp_path, change=lambda one: None if one.payment.card.network == "visa" and _is_late(one) else one)
    ran = shop.run()
    assert "segments" in _failed(ran)
    found = next(gate for gate in ran.result.gates if gate.name == "segments")
    assert "network=visa" in found.found


def test_a_feed_with_holes_is_stopped(tmp_path: Path) -> None:
    shop = Shop(tmp_path, change=lambda one: None if to_us(one.attempted_at) // DAY_US % 3 == 0 else one)
    assert "silent_hours" in _failed(shop.run())


def test_shuffled_calibration_is_stopped(cut: Cut) -> None:
    flat = Platt(slope=0.2, intercept=-1.0)
    (cut.folder / "judged-calibrator.json").write_bytes(msgspec.json.encode(flat))
    ran = cut.again_from("evaluate")
    assert {"calibration", "segment_calibration"} <= set(_failed(ran))
    assert ran.result.exit_code in (18, 19)


def test_a_segment_whose_probabilities_do_not_hold_is_stopped_although_the_whole_holds(cut: Cut) -> None:
    judged = msgspec.json.decode((cut.folder / "evaluate.json").read_bytes(), type=EvaluateDone).judgement
    country = min((one for one in judged.segments if one.name.startswith("issuer_country=") and one.metrics), key=lambda one: one.n)
    encoder = msgspec.json.decode((cut.folder / "judged-encoder.json").read_bytes(), type=Encoder)
    number = float(np.float32(encoder.number(*country.name.split("="))))
    wrong = SegmentOffsets(of={"issuer_country": (Offset(number=number, log_odds=-4.0),)})
    (cut.folder / "judged-segments.json").write_bytes(msgspec.json.encode(wrong))
    ran = cut.again_from("evaluate")
    assert "segment_calibration" in _failed(ran)
    assert "calibration" not in _failed(ran)
    assert country.name in next(gate for gate in ran.result.gates if gate.name == "segment_calibration").found


def test_a_slow_model_is_stopped(cut: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = ApprovalModel.predict_many

    def slow(self: ApprovalModel, served: ServedFeatures) -> NDArray[np.float64]:
        if len(served.candidates) == model_figures.CANDIDATES:
            time.sleep(0.03)
        return quick(self, served)

    monkeypatch.setattr(ApprovalModel, "predict_many", slow)
    monkeypatch.setattr(model_figures, "TIMED", 20)
    ran = cut.again_from("evaluate")
    assert _failed(ran) == ["latency"]
    assert ran.result.exit_code == 22


@pytest.mark.parametrize("name", ["model.onnx", "calibrator.json", "encoder.json", "state.bin"])
def test_a_corrupted_file_is_stopped(cut: Cut, name: str) -> None:
    path = cut.folder / "bundle" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    ran = cut.again_from("evaluate")
    assert _failed(ran) == ["files"]
    assert name in ran.result.gates[-1].found


def test_features_that_a_server_would_have_had_otherwise_are_stopped(cut: Cut) -> None:
    path = cut.folder / "training.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("installments")
    pq.write_table(table.set_column(at, "installments", pc.add(table["installments"], 1)), path)
    ran = cut.again_from("evaluate")
    assert "feature_parity" in _failed(ran)
    assert "installments" in next(gate for gate in ran.result.gates if gate.name == "feature_parity").found


def test_a_model_that_knows_nothing_is_stopped(cut: Cut) -> None:
    (cut.folder / "judged-calibrator.json").write_bytes(msgspec.json.encode(Platt(slope=0.0, intercept=-2.0)))
    assert cut.again_from("evaluate").result.exit_code == 18


def _is_late(attempt: Attempt) -> bool:
    return attempt.attempted_at.day >= 18
