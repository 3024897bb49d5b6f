"""What is expected of data: the same counts from tables and from events, and what each kind of expectation says of a day."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honour.errors import BadSettings
from honour.features.expectation import Expected, breaking, expected_of, refusing, shipped, values_of
from honour.features.from_log import LogReader
from honour.features.tallier import Tallier
from honour.features.tally import DAY_US, HOUR_US, Judged, Tally, exceeds, freshness, index_of, judge, missing_days, schema
from honour.features.tally_arrow import tally_of
from honour.records.attempt import Attempt
from honour.records.event import AttemptReported, LoggedEvent
from honour.records.expectation import Expectation
from honour.records.instant import from_us
from honour.records.payment import Card, Payment

NOON_US = 20_000 * DAY_US + 12 * HOUR_US


def attempt(at: int = 0, *, amount_minor: int = 100, route: str = "a", bin: str = "411111", **more: Any) -> Attempt:
    card = Card(card_id=f"crd_{at}", bin=bin, network="visa", issuer=more.pop("issuer", None))
    payment = Payment(
        payment_id=f"pay_{at}", merchant_id="m", amount_minor=amount_minor, currency="EUR", card=card, risk_score=more.pop("risk", None)
    )
    told = {"status": "approved", **more}
    return Attempt(attempt_id=f"att_{at}", payment=payment, route=route, attempted_at=from_us(NOON_US), **told)


def table(attempts: list[Attempt]) -> pa.Table:
    reader = LogReader()
    for at, one in enumerate(attempts, start=1):
        reader.read(LoggedEvent(seq=at, arrived_us=NOON_US + at, event=AttemptReported(attempt=one)))
    return reader.take()


def tallied(attempts: list[Attempt], expected: Expected) -> Tally:
    tallier, tally = Tallier(expected), Tally(day=NOON_US // DAY_US)
    for at, one in enumerate(attempts, start=1):
        tally.n, tally.last_us = tally.n + 1, NOON_US + at
        tallier.count(tally, values_of(one), attempt_id=one.attempt_id)
    return tally


ATTEMPTS = st.builds(
    attempt,
    st.integers(0, 99),
    amount_minor=st.integers(0, 10**12),
    route=st.sampled_from(["a", "b", "elsewhere"]),
    bin=st.sampled_from(["411111", "522222"]),
    issuer=st.sampled_from([None, "itau"]),
    risk=st.none() | st.floats(allow_nan=True),
    status=st.sampled_from(["approved", "declined", "failed"]),
    response_code=st.none() | st.sampled_from(["00", "51"]),
    latency_ms=st.none() | st.floats(0, 1e6),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ATTEMPTS, min_size=1, max_size=30))
def test_a_table_and_its_events_one_by_one_give_the_same_tally(attempts: list[Attempt]) -> None:
    expected = expected_of(routes=["a", "b"])
    whole, one_by_one = tally_of(table(attempts), expected=expected), tallied(attempts, expected)
    assert +whole.broken == +one_by_one.broken
    assert whole.judged == one_by_one.judged
    assert {name: +counts for name, counts in whole.counts.items() if counts} == one_by_one.counts
    assert (whole.n, whole.day, whole.last_us, whole.examples) == (one_by_one.n, one_by_one.day, one_by_one.last_us, one_by_one.examples)


def day(at: int, n: int = 200, **counts: dict[str, int]) -> Tally:
    return Tally(day=at, n=n, last_us=(at + 1) * DAY_US - HOUR_US, counts={name: Counter(of) for name, of in counts.items()})


def one(kind: Any, **told: Any) -> Expectation:
    return Expectation(name="it", kind=kind, **told)


def judged(expectation: Expectation, tally: Tally, before: list[Tally], *, goes_on: bool = True) -> list[Judged]:
    return judge(tally, before=before, expected=Expected((expectation,)), goes_on=goes_on)


@pytest.mark.parametrize(("n", "holds"), [(200, True), (99, False), (101, True), (601, False), (0, False)])
def test_a_day_is_held_against_what_is_usual(n: int, holds: bool) -> None:
    (found,) = judged(one("volume"), day(9, n), [day(at) for at in range(9)])
    assert found.holds is holds


def test_a_day_that_is_missing_is_a_day_without_attempts() -> None:
    before = [day(at) for at in range(9)]
    (missing,) = missing_days(10, before=before)
    (found,) = judged(one("volume"), missing, before)
    assert (found.holds, found.day, found.found) == (False, missing_day(9), "no attempts, 200 are usual")


def missing_day(at: int) -> Any:
    return (from_us(0) + timedelta(days=at)).date()


def test_each_merchant_is_held_against_what_is_usual_for_it_and_small_ones_are_left_alone() -> None:
    before = [day(at, merchant_id={"big": 150, "small": 50}) for at in range(9)]
    found = judged(one("volume", by="merchant_id"), day(9, 150, merchant_id={"big": 20, "small": 0}), before)
    assert [(of.holds, of.found) for of in found] == [(False, "20 attempts of merchant_id big, 150 are usual")]


def test_the_same_weekday_is_what_is_usual_where_there_are_two() -> None:
    before = [day(at, 2_000 if at % 7 == 0 else 200) for at in range(14)][1:]
    before = [day(0, 2_000), *before]
    (found,) = judged(one("volume", reference_days=15), day(14, 2_000), [day(-7, 2_000), *before])
    assert (found.holds, found.found) == (True, "2000 attempts, 2000 are usual")


@pytest.mark.parametrize(
    ("expectation", "tally", "before", "goes_on"),
    [
        (one("volume"), day(2, 1), [day(at) for at in range(2)], True),
        (one("volume"), Tally(day=9, n=5, last_us=9 * DAY_US + HOUR_US), [day(at) for at in range(9)], False),
        (one("distribution", column="route"), day(9, route={"a": 9}), [day(8, route={"a": 900})], True),
        (one("referential", column="bin", known="earlier"), day(2, bin={"1": 900}), [day(1, bin={"2": 900})], True),
    ],
    ids=["too few days before", "the day is not over", "too few attempts", "too few days to know values"],
)
def test_what_cannot_be_said_is_said_so_and_breaks_nothing(
    expectation: Expectation, tally: Tally, before: list[Tally], goes_on: bool
) -> None:
    (found,) = judged(expectation, tally, before, goes_on=goes_on)
    assert (found.figure, found.holds) == (None, True)


def test_another_mix_of_routes_is_told_with_what_moved() -> None:
    before = [day(at, route={"a": 500, "b": 500}) for at in range(5)]
    (found,) = judged(one("distribution", column="route"), day(5, route={"a": 950, "b": 50}), before)
    assert not found.holds
    assert "a 50.0% to 95.0%" in found.found


def test_values_that_were_not_there_before_are_counted_and_named() -> None:
    before = [day(at, bin={"411111": 500}) for at in range(5)]
    (found,) = judged(one("referential", column="bin", known="earlier", share_max=0.1), day(5, bin={"411111": 60, "522222": 40}), before)
    assert (found.holds, found.figure, found.found) == (False, 0.4, "40 of 100 attempts with a bin that is new: 522222")


def test_values_that_are_rare_come_for_the_first_time_on_any_day_and_are_not_told() -> None:
    rare = {f"b{at}": 1 for at in range(200)}
    before = [day(at, bin={"411111": 100, **{f"{value}_{at}": 1 for value in rare}}) for at in range(5)]
    (found,) = judged(one("referential", column="bin", known="earlier", share_max=0.1), day(5, bin={"411111": 100, **rare}), before)
    assert (found.holds, found.figure) == (True, 0.0)


@given(st.integers(1, 400), st.floats(0.01, 0.5), st.integers(0, 2**32))
def test_a_share_that_is_what_is_allowed_is_hardly_ever_told(n: int, share_max: float, seed: int) -> None:
    drawn = random.Random(seed)
    told = [exceeds(sum(drawn.random() < share_max for _ in range(n)), n=n, share_max=share_max) for _ in range(20)]
    assert sum(told) <= 2
    assert exceeds(n, n=n, share_max=0.0)


def test_an_index_of_samples_of_one_distribution_is_near_nothing_and_grows_when_it_moves() -> None:
    same = index_of({str(at): 50 for at in range(20)}, {str(at): 45 + 10 * (at % 2) for at in range(20)})
    assert same < 0.02 < index_of({"a": 500, "b": 500}, {"a": 600, "b": 400})


def test_the_newest_event_may_be_so_old() -> None:
    expectation = one("freshness", hours_max=2)
    assert freshness(expectation, newest_us=NOON_US, now_us=NOON_US + HOUR_US).holds
    assert not freshness(expectation, newest_us=NOON_US, now_us=NOON_US + 3 * HOUR_US).holds


def test_columns_that_are_gone_new_or_of_another_kind_are_named() -> None:
    known = {"id": "text", "amount": "number", "old": "text", "note": "empty"}
    found = schema(one("schema"), columns={"id": "text", "amount": "text", "added": "text", "note": "text"}, known=known, day=0)
    assert (found.holds, found.found) == (False, "gone: old; new: added; of another kind: amount (number, now text)")
    assert schema(one("schema"), columns=known, known=known, day=0).holds


def test_a_row_is_refused_only_for_what_is_to_be_refused() -> None:
    told = one("domain", column="amount_minor", max=50)
    assert refusing(expected_of([told]))(attempt(amount_minor=51)) is None
    strict = refusing(expected_of([one("domain", column="amount_minor", max=50, severity="refuse")]))
    assert strict(attempt(amount_minor=51)) == "amount_minor breaks the expectation 'it': amount_minor at most 50"
    assert strict(attempt(amount_minor=50)) is None


def test_an_installation_replaces_what_is_shipped_by_name_and_takes_it_away() -> None:
    own = [
        Expectation(name="latency", kind="domain", column="latency_ms", max=5),
        Expectation(name="status", kind="domain", severity="off"),
    ]
    with pytest.raises(BadSettings, match="needs column"):
        expected_of(own)
    own[1] = Expectation(name="status", kind="domain", column="status", allowed=("approved",), severity="off")
    in_force = {of.name: of for of in expected_of(own).expectations}
    assert in_force["latency"].max == 5
    assert in_force.keys() == {of.name for of in shipped()} - {"status"}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ([one("domain", column="amount_minor")], "a domain needs allowed, min or max"),
        ([one("nulls", column="colour")], "'colour' is no column of attempts. Allowed: payment_id,"),
        ([one("volume", less_max=1, more_max=1)], "less_max 1 is not below more_max 1"),
        ([one("volume"), one("volume")], "the name is given 2 times"),
        ([one("referential", known="routes")], "needs column"),
    ],
)
def test_an_expectation_that_cannot_be_is_refused_with_its_place(own: list[Expectation], said: str) -> None:
    with pytest.raises(BadSettings, match=r"quality.expectations\[0\] \(it\): .*" + said):
        expected_of(own)


def test_every_shipped_expectation_is_sound() -> None:
    assert len(expected_of(shipped()).expectations) == len(shipped())
    assert breaking(one("referential", column="route", known="routes"), routes=()) is None  # Where no routes are set, none is foreign.
