"""What each kind of feature says, online and offline alike, at the edges of tiles and windows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from honour.errors import BadInput, LogContractBroken
from honour.features.catalogue import CATALOGUE, FEATURES
from honour.features.columns import CANDIDATE_COLUMNS, PAYMENT_COLUMNS, read_payment
from honour.features.offline import features_of
from honour.features.online import FeatureState
from honour.features.view import DAY, DISTINCT_MAX, HOUR, Catalogue, DecayedFeature, LastColumn, LastFeature, WindowFeature
from honour.records.attempt import Status
from honour.records.payment import Card, Payment
from honour.records.route import Candidate

SECOND = 1_000_000
MIDNIGHT_US = 1_772_323_200 * SECOND  # 2026-03-01 00:00 UTC, a boundary of every tile
ACQ_1, ACQ_2 = Candidate("acq_1", "none", "pan"), Candidate("acq_2", "none", "pan")
WINDOWS = [feature for feature in FEATURES if isinstance(feature, WindowFeature)]


def payment(payment_id: str = "pay_1", *, issuer: str | None = None, amount_minor: int = 1000) -> Payment:
    card = Card(card_id="crd_1", bin="411111", network="visa", funding="credit", issuer=issuer, issuer_country="BR")
    return Payment(payment_id=payment_id, merchant_id="mer_1", amount_minor=amount_minor, currency="BRL", card=card)


Answer = tuple[int, Payment, Candidate, Status, str | None]


def asked_both_ways(
    answers: Sequence[Answer],
    *,
    about: Payment,
    candidate: Candidate,
    at_us: int,
    catalogue: Catalogue = CATALOGUE,
    latencies_ms: Sequence[int | None] = (),
) -> dict[str, Any]:
    """Features as of `at_us`, after checking that both executions say the same."""
    state = FeatureState(catalogue)
    told = list(zip_longest(answers, latencies_ms))
    for (arrived_us, paid, sent, status, code), latency_ms in told:
        state.update(paid, sent, status=status, response_code=code, arrived_us=arrived_us, latency_ms=latency_ms)
    served = state.as_of(about, [candidate], at_us=at_us)
    online = dict(zip(catalogue.names, (*served.payment, *served.candidates[0]), strict=True))
    columns = (*PAYMENT_COLUMNS, *CANDIDATE_COLUMNS)
    folded = [
        {"seq": seq, "arrived_us": arrived_us, "status": status, "response_code": code, "latency_ms": latency_ms}
        | dict(zip(columns, (*read_payment(paid), *sent), strict=True))
        for seq, ((arrived_us, paid, sent, status, code), latency_ms) in enumerate(told, start=1)
        if status != "unknown"
    ]
    spine = [{"row_id": 0, "seq": len(answers) + 1, "at_us": at_us} | dict(zip(columns, (*read_payment(about), *candidate), strict=True))]
    nothing = pa.table({"seq": pa.array([], pa.int64()), "arrived_us": pa.array([], pa.int64()), "status": pa.array([], pa.string())})
    table = features_of(pa.Table.from_pylist(folded) if folded else nothing, spine=pa.Table.from_pylist(spine), catalogue=catalogue)
    (offline,) = table.to_pylist()
    for name, value in online.items():
        assert offline[name] == (pytest.approx(value, rel=1e-9, abs=0) if isinstance(value, float) else value), name
    return online


@pytest.mark.parametrize("feature", WINDOWS, ids=lambda feature: feature.name)
def test_a_window_covers_whole_tiles_from_the_first_microsecond_of_one_to_the_last_of_another(feature: WindowFeature) -> None:
    counting = Catalogue(
        (WindowFeature(name="n", entity=feature.entity, measure="count", window_s=feature.window_s, tile_s=feature.tile_s),)
    )
    answers: list[Answer] = [
        (MIDNIGHT_US - 1, payment(), ACQ_1, "approved", None),
        (MIDNIGHT_US, payment(), ACQ_1, "approved", None),
    ]
    for at_us, expected in (
        (MIDNIGHT_US + (feature.window_s - feature.tile_s) * SECOND - 1, 2),
        (MIDNIGHT_US + (feature.window_s - feature.tile_s) * SECOND, 1),
        (MIDNIGHT_US + feature.window_s * SECOND - 1, 1),
        (MIDNIGHT_US + feature.window_s * SECOND, 0),
    ):
        if at_us >= MIDNIGHT_US:
            assert asked_both_ways(answers, about=payment(), candidate=ACQ_1, at_us=at_us, catalogue=counting) == {"n": expected}


def test_without_answers_rates_ratios_and_last_answers_are_not_known_and_counts_are_zero() -> None:
    values = asked_both_ways([], about=payment(), candidate=ACQ_1, at_us=MIDNIGHT_US)
    counted = {feature.name: int(feature.measure == "next_number") for feature in WINDOWS if feature.measure in ("count", "next_number")}
    context = {"amount_minor", "currency", "network", "funding", "issuer_country", "merchant_id", "initiator", "usage", "installments"}
    context |= {
        "has_network_token",
        "shopper_country",
        "sca_scope",
        "local_hour",
        "local_weekday",
        "local_day_of_month",
        *CANDIDATE_COLUMNS,
    }
    assert {name: value for name, value in values.items() if value is not None and name not in context} == counted
    assert (values["local_hour"], values["local_weekday"], values["local_day_of_month"]) == (21, 5, 28)


@pytest.mark.parametrize(
    ("expires", "hours_later", "expected"), [("2026-02", 2, 0), ("2026-02", 3, 1), ("2026-03", 3, 0), ("2025-12", 0, 1), (None, 0, None)]
)
def test_a_card_is_past_its_month_when_the_shopper_s_calendar_says_so(expires: str | None, hours_later: int, expected: int | None) -> None:
    about = payment()  # In Brazil, where March begins three hours after it does in UTC.
    about = msgspec.structs.replace(about, card=msgspec.structs.replace(about.card, expires=expires))
    values = asked_both_ways([], about=about, candidate=ACQ_1, at_us=MIDNIGHT_US + hours_later * HOUR * SECOND)
    assert values["card_expired"] == expected


def test_a_decline_whose_code_means_approved_is_no_approval() -> None:
    approvals = Catalogue((WindowFeature(name="n", entity=("card_id",), measure="count", window_s=DAY, tile_s=HOUR, only="approved"),))
    answers: list[Answer] = [
        (MIDNIGHT_US, payment("pay_1"), ACQ_1, "approved", "00"),
        (MIDNIGHT_US, payment("pay_2"), ACQ_1, "declined", "00"),
    ]
    assert asked_both_ways(answers, about=payment("pay_3"), candidate=ACQ_1, at_us=MIDNIGHT_US, catalogue=approvals) == {"n": 1}


def test_a_thin_group_is_pulled_to_its_parent() -> None:
    answers: list[Answer] = [(MIDNIGHT_US, payment(f"pay_{i}"), ACQ_2, "approved", None) for i in range(9)]
    answers.append((MIDNIGHT_US, payment("pay_9"), ACQ_1, "declined", "51"))
    values = asked_both_ways(answers, about=payment("pay_10"), candidate=ACQ_1, at_us=MIDNIGHT_US)
    assert values["overall_approval_rate_7d"] == 0.9
    assert values["route_approval_rate_7d"] == pytest.approx((0 + 20 * 0.9) / 21)
    assert values["route_approval_rate_24h"] == pytest.approx((0 + 20 * values["route_approval_rate_7d"]) / 21)
    assert values["route_approval_rate_1h"] == pytest.approx((0 + 10 * values["route_approval_rate_24h"]) / 11)
    assert (values["route_answers_1h"], values["route_last_approved"]) == (1, 0)


def test_a_route_that_never_reaches_issuers_shows_in_its_failed_rate_within_the_hour() -> None:
    answers: list[Answer] = [
        (MIDNIGHT_US, payment("pay_1"), ACQ_1, "failed", None),
        (MIDNIGHT_US, payment("pay_2"), ACQ_1, "declined", "05"),
        (MIDNIGHT_US, payment("pay_3"), ACQ_1, "abandoned", None),
        (MIDNIGHT_US, payment("pay_4"), ACQ_1, "approved", None),
    ]
    assert asked_both_ways(answers, about=payment("pay_5"), candidate=ACQ_1, at_us=MIDNIGHT_US)["route_failed_rate_1h"] == 0.25


def test_a_payment_knows_its_earlier_answers_and_whether_they_came_on_this_route() -> None:
    answers: list[Answer] = [
        (MIDNIGHT_US, payment(), ACQ_1, "declined", "51"),
        (MIDNIGHT_US + 30 * SECOND, payment(), ACQ_2, "failed", None),
    ]
    for candidate, same in ((ACQ_1, 0), (ACQ_2, 1)):
        values = asked_both_ways(answers, about=payment(), candidate=candidate, at_us=MIDNIGHT_US + 90 * SECOND)
        assert (values["attempt_number"], values["payment_route_answers"], values["payment_last_route_is_same"]) == (3, 1, same)
        assert (values["payment_last_status"], values["payment_last_response_code"]) == ("failed", None)
        assert (values["payment_seconds_since_answer"], values["card_seconds_since_answer"]) == (60.0, 60.0)


def test_the_last_answers_of_a_card_stand_one_behind_the_other_as_far_as_they_arrived_within_the_window() -> None:
    def back(nth: int) -> tuple[LastFeature, ...]:
        columns: tuple[LastColumn, ...] = ("status", "route", "seconds_since", "amount_minor")
        return tuple(
            LastFeature(name=f"{column}_{nth}", entity=("card_id",), column=column, window_s=7200, tile_s=3600, nth=nth)
            for column in columns
        )

    catalogue = Catalogue((*back(1), *back(2), *back(8)))
    answers: list[Answer] = [
        (MIDNIGHT_US - 3600 * SECOND - 1, payment(amount_minor=1), ACQ_1, "declined", "51"),
        (MIDNIGHT_US - 1800 * SECOND, payment(amount_minor=2), ACQ_1, "failed", None),
        (MIDNIGHT_US, payment(amount_minor=3), ACQ_2, "approved", None),
    ]
    values = asked_both_ways(answers, about=payment(), candidate=ACQ_1, at_us=MIDNIGHT_US + SECOND, catalogue=catalogue)
    assert {name: value for name, value in values.items() if value is not None} == {
        "status_1": "approved",
        "route_1": "acq_2",
        "seconds_since_1": 1.0,
        "amount_minor_1": 3,
        "status_2": "failed",
        "route_2": "acq_1",
        "seconds_since_2": 1801.0,
        "amount_minor_2": 2,
    }
    eight: list[Answer] = [(MIDNIGHT_US, payment(amount_minor=number), ACQ_1, "declined", None) for number in range(9)]
    assert asked_both_ways(eight, about=payment(), candidate=ACQ_1, at_us=MIDNIGHT_US, catalogue=catalogue)["amount_minor_8"] == 1


def test_amounts_and_latencies_are_added_up_averaged_and_read_off_at_a_quantile() -> None:
    about: dict[str, Any] = {"entity": ("card_id",), "window_s": 3600, "tile_s": 300}
    catalogue = Catalogue(
        (
            WindowFeature(name="amount", measure="sum", of="amount_minor", **about),
            WindowFeature(name="latency", measure="mean", of="latency_ms", **about),
            WindowFeature(name="median", measure="quantile", of="latency_ms", q=0.5, **about),
            WindowFeature(name="high", measure="quantile", of="latency_ms", q=0.99, **about),
            WindowFeature(name="routes", measure="distinct", of="route", **about),
            WindowFeature(name="reasons", measure="distinct", of="reason", **about),
        )
    )
    answers: list[Answer] = [
        (MIDNIGHT_US - 3600 * SECOND, payment(amount_minor=7), ACQ_2, "declined", "05"),
        (MIDNIGHT_US, payment(amount_minor=1), ACQ_1, "declined", "51"),
        (MIDNIGHT_US, payment(amount_minor=2), ACQ_1, "declined", "51"),
        (MIDNIGHT_US, payment(amount_minor=4), ACQ_1, "approved", "00"),
        (MIDNIGHT_US, payment(amount_minor=8), ACQ_1, "failed", None),
    ]
    values = asked_both_ways(
        answers, about=payment(), candidate=ACQ_1, at_us=MIDNIGHT_US, catalogue=catalogue, latencies_ms=[9_999, 4, 5, 9, None]
    )
    # Two of three latencies lie from 4 to below 6: the 1.5th of them is three quarters of the way.
    assert values == {"amount": 15, "latency": 6.0, "median": 5.5, "high": pytest.approx(8 + 4 * 0.97), "routes": 1, "reasons": 1}


def test_an_answer_weighs_half_as_much_after_each_half_life_and_nothing_once_it_has_faded() -> None:
    everything = DecayedFeature(name="rate", entity=(), measure="approval_rate", half_life_s=3600)
    card = DecayedFeature(name="n", entity=("card_id",), measure="count", half_life_s=3600)
    catalogue = Catalogue((everything, card))
    answers: list[Answer] = [
        (MIDNIGHT_US - 2 * 3600 * SECOND, payment(), ACQ_1, "approved", None),
        (MIDNIGHT_US, payment(), ACQ_1, "declined", None),
    ]
    hour_later = asked_both_ways(answers, about=payment(), candidate=ACQ_1, at_us=MIDNIGHT_US + 3600 * SECOND, catalogue=catalogue)
    assert hour_later == pytest.approx({"rate": 0.2, "n": 0.625})
    for hours, missing in ((63, False), (64, True)):
        at_us = MIDNIGHT_US + hours * 3600 * SECOND
        values = asked_both_ways(answers, about=payment(), candidate=ACQ_1, at_us=at_us, catalogue=catalogue)
        assert (values["rate"] is None, values["n"] == 0) == (missing, missing)
    for days in range(0, 60, 7):  # Over the ends of eras, which are 512 half-lives long.
        start_us = MIDNIGHT_US + days * 86_400 * SECOND
        steady: list[Answer] = [(start_us + hour * 3600 * SECOND, payment(), ACQ_1, "approved", None) for hour in range(40)]
        values = asked_both_ways(steady, about=payment(), candidate=ACQ_1, at_us=steady[-1][0], catalogue=catalogue)
        assert values["n"] == pytest.approx(2.0)


def test_only_answers_of_one_kind_count_where_a_feature_says_so() -> None:
    about: dict[str, Any] = {"entity": ("card_id",), "window_s": 86_400, "tile_s": 3600}
    catalogue = Catalogue(
        (
            WindowFeature(name="refused", measure="count", only="declined", **about),
            WindowFeature(name="without_money", measure="count", only="insufficient_funds", **about),
            LastFeature(name="since_approval", column="seconds_since", only="approved", **about),
            LastFeature(name="reason", column="reason", **about),
        )
    )
    answers: list[Answer] = [
        (MIDNIGHT_US, payment(), ACQ_1, "approved", "00"),
        (MIDNIGHT_US, payment(), ACQ_1, "declined", "51"),
        (MIDNIGHT_US, payment(), ACQ_1, "declined", "54"),
    ]
    values = asked_both_ways(answers, about=payment(), candidate=ACQ_1, at_us=MIDNIGHT_US + SECOND, catalogue=catalogue)
    assert values == {"refused": 2, "without_money": 1, "since_approval": 1.0, "reason": "card_expired"}


def test_more_values_than_are_counted_count_as_many_as_that() -> None:
    merchants = WindowFeature(name="n", entity=("card_id",), measure="distinct", of="payment_id", window_s=3600, tile_s=300)
    answers: list[Answer] = [(MIDNIGHT_US, payment(f"pay_{number}"), ACQ_1, "approved", None) for number in range(DISTINCT_MAX + 3)]
    for n in (DISTINCT_MAX - 1, DISTINCT_MAX + 3):
        values = asked_both_ways(answers[:n], about=payment(), candidate=ACQ_1, at_us=MIDNIGHT_US, catalogue=Catalogue((merchants,)))
        assert values == {"n": min(n, DISTINCT_MAX)}


def test_past_its_bound_a_table_lets_the_longest_unanswered_entity_go_and_counts_it() -> None:
    count = WindowFeature(name="n", entity=("payment_id",), measure="count", window_s=86_400, tile_s=3600)
    state = FeatureState(Catalogue((count,)), entities_max=3)
    for number in (0, 1, 2, 0, 3):
        state.update(payment(f"pay_{number}"), ACQ_1, status="declined", response_code=None, arrived_us=MIDNIGHT_US)
    assert [state.as_of(payment(f"pay_{number}"), [ACQ_1], at_us=MIDNIGHT_US).payment for number in range(4)] == [(2,), (0,), (1,), (1,)]
    assert (state.n_entities, state.n_evicted) == (3, 1)
    restored = FeatureState.from_bytes(state.to_bytes(), catalogue=Catalogue((count,)), entities_max=3)
    later_us = MIDNIGHT_US + 2 * 86_400 * SECOND
    for one in (state, restored):
        one.update(payment("pay_4"), ACQ_1, status="declined", response_code=None, arrived_us=later_us)
    assert (restored.n_evicted, restored.to_bytes()) == (1, state.to_bytes())


def test_an_answer_that_is_still_unknown_counts_nowhere() -> None:
    answers: list[Answer] = [(MIDNIGHT_US, payment(), ACQ_1, "unknown", None)]
    settled: list[Answer] = [*answers, (MIDNIGHT_US + SECOND, payment(), ACQ_1, "approved", "00")]
    before = asked_both_ways(answers, about=payment(), candidate=ACQ_1, at_us=MIDNIGHT_US + 2 * SECOND)
    after = asked_both_ways(settled, about=payment(), candidate=ACQ_1, at_us=MIDNIGHT_US + 2 * SECOND)
    assert (before["attempt_number"], before["payment_last_status"]) == (1, None)
    assert (after["attempt_number"], after["payment_last_status"]) == (2, "approved")


def test_cards_whose_issuer_is_not_known_are_a_group_of_their_own() -> None:
    answers: list[Answer] = [
        (MIDNIGHT_US, payment("pay_1", issuer=None), ACQ_1, "approved", None),
        (MIDNIGHT_US, payment("pay_2", issuer=""), ACQ_1, "declined", None),
    ]
    share = Catalogue((WindowFeature(name="rate", entity=("issuer",), measure="approval_rate", window_s=3600, tile_s=300),))
    for issuer, expected in ((None, 1.0), ("", 0.0), ("itau", None)):
        about = payment("pay_3", issuer=issuer)
        assert asked_both_ways(answers, about=about, candidate=ACQ_1, at_us=MIDNIGHT_US, catalogue=share) == {"rate": expected}


def test_an_amount_is_compared_with_the_mean_of_its_merchant_and_currency() -> None:
    answers: list[Answer] = [
        (MIDNIGHT_US, payment("pay_1", amount_minor=100), ACQ_1, "approved", None),
        (MIDNIGHT_US, payment("pay_2", amount_minor=300), ACQ_1, "declined", None),
    ]
    about = payment("pay_3", amount_minor=500)
    assert asked_both_ways(answers, about=about, candidate=ACQ_1, at_us=MIDNIGHT_US)["amount_ratio"] == 2.5
    free: list[Answer] = [(MIDNIGHT_US, payment("pay_1", amount_minor=0), ACQ_1, "approved", None)]
    assert asked_both_ways(free, about=about, candidate=ACQ_1, at_us=MIDNIGHT_US)["amount_ratio"] is None


def test_asking_about_the_far_future_changes_nothing_for_who_asks_next() -> None:
    state = FeatureState()
    state.update(payment(), ACQ_1, status="approved", response_code=None, arrived_us=MIDNIGHT_US)
    before, data = state.as_of(payment(), [ACQ_1], at_us=MIDNIGHT_US), state.to_bytes()
    state.as_of(payment(), [ACQ_1], at_us=MIDNIGHT_US + 90 * 86_400 * SECOND)
    assert state.as_of(payment(), [ACQ_1], at_us=MIDNIGHT_US) == before
    assert state.to_bytes() == data


def test_entities_whose_windows_have_run_empty_leave_memory_and_bytes() -> None:
    state = FeatureState()
    for number in range(50):
        state.update(payment(f"pay_{number}"), ACQ_1, status="approved", response_code=None, arrived_us=MIDNIGHT_US)
    crowded = len(state.to_bytes())
    for number in range(50):
        later_us = MIDNIGHT_US + (31 * 86_400 + number) * SECOND
        state.update(payment("pay_last"), ACQ_1, status="approved", response_code=None, arrived_us=later_us)
    assert len(state.to_bytes()) < crowded / 5
    assert sum(len(table.rings) for table in state.tables) == len(state.tables)


def test_a_state_of_another_catalogue_is_refused() -> None:
    other = Catalogue(FEATURES[:5])
    with pytest.raises(LogContractBroken, match="replay the log"):
        FeatureState.from_bytes(FeatureState(other).to_bytes())


def test_answers_out_of_their_order_of_arrival_are_refused() -> None:
    spine = pa.table({"row_id": [0], "seq": [9], "at_us": [MIDNIGHT_US]})
    answers = {"seq": [1, 2], "arrived_us": [5, 4], "status": ["approved", "approved"]}
    with pytest.raises(LogContractBroken, match=r"answers.arrived_us\[1\] is 4 after 5"):
        features_of(pa.table(answers), spine=spine)
    with pytest.raises(LogContractBroken, match=r"answers.seq\[1\] is 1 after 1"):
        features_of(pa.table(answers | {"seq": [1, 1]}), spine=spine)
    with pytest.raises(BadInput, match="column status is absent"):
        features_of(pa.table({"seq": [1], "arrived_us": [1]}), spine=spine)
