"""A model is learned from a table, judged on days it has not seen, and shipped with its card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from honour.approval.card import TrainedModel
from honour.approval.model import ApprovalModel
from honour.errors import CannotTrain
from honour.features.catalogue import FEATURES
from honour.learning.blocks import distance
from honour.learning.by_segment import STRENGTHS
from honour.learning.calibrate import segment_choice
from honour.learning.kinds.named import available
from honour.learning.train import train
from honour.release.bundle import load_bundle, write_bundle

pytestmark = pytest.mark.slow
MakeTable = Callable[..., pa.Table]


@pytest.fixture(scope="module")
def trained(make_table: MakeTable) -> TrainedModel:
    return train(make_table(3_000), seed=1, holdout_days=6)


def test_a_signal_is_found_and_shown_on_days_that_were_kept_aside(trained: TrainedModel) -> None:
    card = trained.training
    assert card.baselines["base_rate"].low > 0.0
    assert card.metrics["auc"].low > 0.65
    assert 450 < card.metrics["log_loss"].n < 750
    assert card.n_rows == 3_000
    assert card.evidence.refitted


def test_the_card_says_what_was_weighed(trained: TrainedModel) -> None:
    evidence = trained.training.evidence
    assert {"small", "middle", "large"} <= set(evidence.configurations)
    kinds = {"identity", "platt", "beta", "quadratic_logit", "isotonic", "venn_abers"}
    assert set(evidence.calibrators) == kinds | {segment_choice(strength) for strength in STRENGTHS}
    assert len(evidence.blocks) == 4
    assert [block.from_us for block in evidence.blocks] == sorted(block.from_us for block in evidence.blocks)
    assert all(block.until_us <= trained.training.judged_from_us for block in evidence.blocks)


def test_the_better_route_gets_the_higher_probability(trained: TrainedModel, make_table: MakeTable) -> None:
    model = ApprovalModel(trained.onnx, calibrator=trained.calibrator, encoder=trained.encoder, offsets=trained.offsets)
    table = make_table(300, seed=5)
    means = []
    for route in ("acq_1", "acq_2", "acq_3"):
        columns = {feature.name: table[feature.name] for feature in FEATURES} | {"route": [route] * 300}
        means.append(model.predict_matrix(trained.encoder.encode_columns(columns)).mean())
    assert means[0] > means[1] + 0.05 > means[2] + 0.1


def test_the_same_table_and_seed_give_the_same_bundle(trained: TrainedModel, make_table: MakeTable, tmp_path: Path) -> None:
    again = train(make_table(3_000), seed=1, holdout_days=6)
    ids = [write_bundle(tmp_path / str(at), trained=one) for at, one in enumerate((trained, again))]
    assert ids[0] == ids[1]
    assert load_bundle(tmp_path / "0").bundle_id == ids[0]


def test_without_a_signal_nothing_is_gained_and_little_is_lost(make_table: MakeTable) -> None:
    card = train(make_table(2_000, signal=0.0), seed=1, holdout_days=8).training
    assert card.baselines["base_rate"].low <= 0.0
    assert card.baselines["base_rate"].value > -0.01


def test_progress_is_told(make_table: MakeTable) -> None:
    told: list[str] = []
    train(make_table(600), holdout_days=6, progress=lambda what, _done, _total: told.append(what))
    assert list(dict.fromkeys(told)) == [
        "choosing the model",
        "fitting and judging",
        "calibrating",
        "fitting on everything",
        "fitting what follows a refusal",
    ]


def test_too_few_rows_are_refused_with_their_number(make_table: MakeTable) -> None:
    with pytest.raises(CannotTrain, match=r"499 attempts.*at least 500"):
        train(make_table(499))


def test_one_answer_only_is_refused(make_table: MakeTable) -> None:
    table = make_table(600)
    approved = table.set_column(table.column_names.index("approved"), "approved", pa.array(np.ones(600, dtype=np.int64)))
    with pytest.raises(CannotTrain, match="all of them approved"):
        train(approved)


@pytest.mark.parametrize("holdout_days", [0.001, 29.9])
def test_a_hold_out_that_leaves_nothing_on_one_side_is_refused(make_table: MakeTable, holdout_days: float) -> None:
    with pytest.raises(CannotTrain, match="--holdout-days"):
        train(make_table(600), holdout_days=holdout_days)


def test_a_table_of_another_catalogue_is_refused(make_table: MakeTable) -> None:
    with pytest.raises(CannotTrain, match="column risk_score is absent"):
        train(make_table(600).drop_columns(["risk_score"]))


def test_features_that_are_dates_in_disguise_are_left_out_where_that_helps(make_table: MakeTable) -> None:
    table = make_table(3_000)
    place = table.column_names.index("merchant_answers_24h")
    dated = table.set_column(place, "merchant_answers_24h", table["at_us"].cast(pa.float64()))
    evidence = train(dated, seed=1, holdout_days=6).training.evidence
    assert any("steady features" in name for name in evidence.configurations)
    assert not evidence.left_out or "merchant_answers_24h" in evidence.left_out


def test_two_samples_are_as_far_apart_as_kolmogorov_and_smirnov_say() -> None:
    assert distance(np.arange(10.0), np.arange(10.0)) == 0.0
    assert distance(np.arange(10.0), np.arange(10.0, 20.0)) == 1.0
    assert distance(np.array([np.nan]), np.array([1.0])) == 0.0


def test_a_new_route_is_judged_between_those_that_are_known(trained: TrainedModel, make_table: MakeTable) -> None:
    model = ApprovalModel(trained.onnx, calibrator=trained.calibrator, encoder=trained.encoder, offsets=trained.offsets)
    table = make_table(300, seed=5)
    means = {}
    for route in ("acq_1", "acq_2", "acq_3", "acq_new"):
        columns = {feature.name: table[feature.name] for feature in FEATURES} | {"route": [route] * 300}
        means[route] = model.predict_matrix(trained.encoder.encode_columns(columns)).mean()
    assert means["acq_3"] < means["acq_new"] < means["acq_1"]


@pytest.mark.parametrize("kind", [name for name in available() if name not in ("forest", "lightgbm")])
def test_another_kind_is_chosen_calibrated_and_written_as_a_bundle_in_the_same_way(
    kind: str, make_table: MakeTable, tmp_path: Path
) -> None:
    made = train(make_table(1_500), kind=kind, seed=1, holdout_days=6)
    assert made.training.evidence.kind == kind
    assert made.training.metrics["auc"].low > 0.6
    write_bundle(tmp_path / kind, trained=made)
    assert load_bundle(tmp_path / kind).manifest.training.evidence.size == made.training.evidence.size
