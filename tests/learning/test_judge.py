"""Later data are judged with intervals, by segment, and no gain is claimed where there is none."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from honour.approval.card import TrainedModel
from honour.approval.model import ApprovalModel
from honour.errors import BadInput
from honour.features.catalogue import CANDIDATE_FEATURES, PAYMENT_FEATURES, SCHEMA_ID
from honour.learning.judge import Judged, judge, retries_of
from honour.learning.train import train
from honour.records.event import ServedFeatures
from honour.records.payment import Card, Initiator, Payment

MakeTable = Callable[..., pa.Table]
MONTH_US = 30 * 86_400_000_000


def _rows(table: pa.Table, *, later_us: int) -> list[Judged]:
    def values(row: dict[str, object], features: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(row[feature.name] for feature in features)  # type: ignore[attr-defined]  # features have names

    return [
        Judged(
            served=ServedFeatures(schema=SCHEMA_ID, payment=values(row, PAYMENT_FEATURES), candidates=(values(row, CANDIDATE_FEATURES),)),  # type: ignore[arg-type]  # as the table holds them
            payment=_payment(row["payment_id"]),
            at_us=row["at_us"] + later_us,
            approved=bool(row["approved"]),
        )
        for row in table.to_pylist()
    ]


def _payment(payment_id: str) -> Payment:
    card = Card(card_id="crd_1", bin="411111", network="visa", issuer_country="DE")
    return Payment(payment_id=payment_id, merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=card)


@pytest.fixture(scope="module")
def trained(make_table: MakeTable) -> TrainedModel:
    table = make_table(3_000)
    at = table.column_names.index("attempt_number")
    numbers = pa.array(np.random.default_rng(0).integers(1, 9, 3_000).astype(float))
    return train(table.set_column(at, "attempt_number", numbers), seed=1, holdout_days=6)


@pytest.fixture(scope="module")
def model(trained: TrainedModel) -> ApprovalModel:
    return ApprovalModel(trained.onnx, calibrator=trained.calibrator, encoder=trained.encoder)


def test_a_gain_is_claimed_where_there_is_one(trained: TrainedModel, model: ApprovalModel, make_table: MakeTable) -> None:
    judgement = judge(_rows(make_table(1_500, seed=9), later_us=MONTH_US), model=model, training=trained.training)
    assert judgement.n == 1_500
    assert not judgement.nothing_to_gain
    assert judgement.verdict.startswith("The model is better than the base rate")
    assert judgement.gains["base_rate"].low > 0.0
    assert judgement.baselines["route_rate"].value < judgement.baselines["base_rate"].value
    assert set(judgement.metrics) == {"log_loss", "brier", "auc", "pr_auc", "calibration_error"}


def test_every_segment_counts_each_attempt_once(trained: TrainedModel, model: ApprovalModel, make_table: MakeTable) -> None:
    judgement = judge(_rows(make_table(600, seed=9), later_us=MONTH_US), model=model, training=trained.training)
    names = [segment.name for segment in judgement.segments]
    for kind in ("route", "network", "funding", "issuer_country", "attempt_number"):
        assert sum(segment.n for segment in judgement.segments if segment.name.startswith(f"{kind}=")) == 600
    assert "route=acq_1" in names
    assert "network=not known" in names
    assert all(bool(segment.metrics) == (segment.n >= 50) for segment in judgement.segments)


def test_no_gain_is_claimed_where_answers_have_nothing_to_do_with_what_is_known(
    trained: TrainedModel, model: ApprovalModel, make_table: MakeTable
) -> None:
    judgement = judge(_rows(make_table(1_500, seed=9, signal=0.0), later_us=MONTH_US), model=model, training=trained.training)
    assert judgement.nothing_to_gain
    assert judgement.verdict.startswith("Nothing to gain")


def test_attempts_of_the_training_range_are_not_judged_on(trained: TrainedModel, model: ApprovalModel, make_table: MakeTable) -> None:
    with pytest.raises(BadInput, match="not later than the training range"):
        judge(_rows(make_table(600), later_us=0), model=model, training=trained.training)


def test_nothing_to_judge_on_is_said(trained: TrainedModel, model: ApprovalModel) -> None:
    with pytest.raises(BadInput, match="no attempt to judge on"):
        judge([], model=model, training=trained.training)


def test_renewals_after_a_refusal_are_judged_as_retries_with_the_credential_of_the_attempt_before_them() -> None:
    def row(at_us: int, number: int, waited_s: float | None, credential: str, initiator: Initiator = "merchant") -> Judged:
        told = {
            "attempt_number": number,
            "payment_seconds_since_answer": waited_s,
            "payment_last_status": "declined",
            "credential": credential,
        }
        told |= {"payment_last_response_code": "54"}
        served = ServedFeatures(
            schema=SCHEMA_ID,
            payment=tuple(told.get(feature.name) for feature in PAYMENT_FEATURES),
            candidates=(tuple(told.get(feature.name) for feature in CANDIDATE_FEATURES),),
        )
        payment = msgspec.structs.replace(_payment(f"pay_{initiator}"), initiator=initiator)
        return Judged(served, payment, at_us, True)

    shoppers = [row(1, 1, None, "pan", "customer"), row(2, 2, 10.0, "pan", "customer")]
    found = list(retries_of([row(3, 2, 7_200.0, "updated_pan"), row(1, 1, None, "pan"), *shoppers]))
    assert [(one.before.number, one.before.credential, one.before.response_code, one.waited_h) for one in found] == [(2, "pan", "54", 2.0)]
    assert found[0].credential == "updated_pan"
