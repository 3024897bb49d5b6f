"""Every event log keeps these promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honour.errors import Contradiction, LogUnavailable
from honour.records.attempt import Attempt, Dispute, Status
from honour.records.event import AttemptReported, DisputeReported, Event, SettingsTaken
from honour.records.instant import from_us
from honour.records.payment import Card, Payment
from honour.records.settings import Settings
from honour.stores.memory import MemoryLog
from honour.stores.opening import postgres_log
from honour.stores.port import EventLog
from honour.stores.sqlite import sqlite_log
from real_postgres import RealPostgres


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    made: EventLog
    match request.param:
        case "memory":
            made = MemoryLog()
        case "sqlite":
            made = sqlite_log(tmp_path / "events.db")
        case _:
            made = postgres_log(request.getfixturevalue("real_postgres").new_address(), limit_s=10.0)
    yield made
    made.close()


def attempt(attempt_id: str, *, payment_id: str = "pay_1", status: Status = "declined") -> Event:
    card = Card(card_id="crd_1", bin="411111", network="visa")
    payment = Payment(payment_id=payment_id, merchant_id="mer_1", amount_minor=100, currency="EUR", card=card)
    return AttemptReported(attempt=Attempt(attempt_id=attempt_id, payment=payment, route="acq_1", attempted_at=from_us(1), status=status))


class TestEventLog:
    def test_an_empty_log_ends_at_zero(self, log: EventLog) -> None:
        assert (log.last_seq, log.last_arrived_us, log.why_unavailable) == (0, 0, None)
        assert list(log.read()) == []

    def test_what_was_appended_is_read_back_in_order_from_any_position(self, log: EventLog) -> None:
        events = [attempt(f"att_{number}") for number in range(5)]
        logged = [log.append(event, arrived_us=10 * number).result() for number, event in enumerate(events)]
        assert [one.seq for one in logged] == [1, 2, 3, 4, 5]
        assert [one.event for one in logged] == events
        for after_seq in range(7):
            assert list(log.read(after_seq=after_seq)) == logged[after_seq:]

    def test_the_position_is_known_as_soon_as_append_returns(self, log: EventLog) -> None:
        future = log.append(attempt("att_1"), arrived_us=7)
        assert (log.last_seq, log.last_arrived_us) == (1, 7)
        assert future.result().seq == 1

    def test_arrival_times_never_decrease(self, log: EventLog) -> None:
        futures = [log.append(attempt(f"att_{number}"), arrived_us=arrived_us) for number, arrived_us in enumerate([5, 3, 9, 9, 1])]
        assert [future.result().arrived_us for future in futures] == [5, 5, 9, 9, 9]
        assert [logged.arrived_us for logged in log.read()] == [5, 5, 9, 9, 9]

    def test_a_key_that_is_there_is_refused_and_leaves_no_gap(self, log: EventLog) -> None:
        first = log.append(attempt("att_1"), arrived_us=1)
        with pytest.raises(Contradiction, match="att_1"):
            log.append(attempt("att_1", status="approved"), arrived_us=2)
        first.result()
        with pytest.raises(Contradiction, match="att_1"):
            log.append(attempt("att_1"), arrived_us=3)
        log.append(attempt("att_2"), arrived_us=4).result()
        assert [(logged.seq, logged.arrived_us) for logged in log.read()] == [(1, 1), (2, 4)]

    def test_an_attempt_without_answer_and_its_answer_have_keys_of_their_own(self, log: EventLog) -> None:
        log.append(attempt("att_1", status="unknown"), arrived_us=1).result()
        log.append(attempt("att_1", status="approved"), arrived_us=2).result()
        assert log.last_seq == 2

    def test_settings_have_no_key_and_may_repeat(self, log: EventLog) -> None:
        for arrived_us in (1, 2):
            log.append(SettingsTaken(settings=Settings()), arrived_us=arrived_us).result()
        assert log.last_seq == 2

    def test_the_story_of_a_payment_holds_its_events_only_in_order(self, log: EventLog) -> None:
        mine = [attempt("att_1"), attempt("att_3"), DisputeReported(dispute=Dispute(dispute_id="dis_1", payment_id="pay_1"))]
        for event in (mine[0], attempt("att_2", payment_id="pay_2"), mine[1], SettingsTaken(settings=Settings()), mine[2]):
            log.append(event, arrived_us=1).result()
        assert [logged.event for logged in log.story("pay_1")] == mine
        assert log.story("pay_9") == []

    def test_an_event_is_found_by_its_key_at_once(self, log: EventLog) -> None:
        future = log.append(attempt("att_1"), arrived_us=1)
        assert log.find("attempt:att_1") == future.result() == log.find("attempt:att_1")
        assert log.find("attempt:att_2") is None

    def test_one_who_stops_waiting_does_not_stop_the_log(self, log: EventLog) -> None:
        future = log.append(attempt("att_1"), arrived_us=1)
        assert not future.cancel()
        assert future.result().seq == 1

    def test_an_import_repeated_changes_nothing(self, log: EventLog) -> None:
        pairs = [(attempt(f"att_{number}"), number) for number in range(12)]
        assert log.append_many(pairs[:8]) == 8
        assert log.append_many(pairs) == 4
        assert log.append_many(pairs) == 0
        assert [logged.event for logged in log.read()] == [event for event, _ in pairs]

    def test_of_two_events_with_one_key_in_an_import_the_first_is_kept(self, log: EventLog) -> None:
        assert (
            log.append_many([(attempt("att_1"), 1), (attempt("att_1", status="approved"), 2), (SettingsTaken(settings=Settings()), 3)]) == 2
        )
        assert [logged.event for logged in log.read()] == [attempt("att_1"), SettingsTaken(settings=Settings())]

    def test_an_import_says_how_far_it_is(self, log: EventLog) -> None:
        said: list[int] = []
        log.append_many(((attempt(f"att_{number}"), number) for number in range(12)), progress=said.append)
        assert said == sorted(said)
        assert said[-1] == 12

    def test_reading_ends_where_the_log_ended_when_it_started(self, log: EventLog) -> None:
        log.append_many([(attempt(f"att_{number}"), number) for number in range(3)])
        seen = []
        for logged in log.read():
            seen.append(logged.seq)
            log.append(attempt(f"later_{logged.seq}"), arrived_us=9).result()
        assert seen == [1, 2, 3]

    def test_a_closed_log_accepts_nothing(self, log: EventLog) -> None:
        log.append(attempt("att_1"), arrived_us=1)
        log.close()
        with pytest.raises(LogUnavailable, match="closed"):
            log.append(attempt("att_2"), arrived_us=2)
        log.close()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 50), st.booleans()), max_size=30))
def test_all_logs_hold_the_same_after_the_same_calls(
    tmp_path_factory: pytest.TempPathFactory, real_postgres: RealPostgres, calls: list[tuple[int, int, bool]]
) -> None:
    logs: list[EventLog] = [
        MemoryLog(),
        sqlite_log(tmp_path_factory.mktemp("log") / "events.db"),
        postgres_log(real_postgres.new_address(), limit_s=10.0),
    ]
    told: list[list[object]] = [[], [], []]
    for log, said in zip(logs, told, strict=True):
        for number, arrived_us, in_bulk in calls:
            try:
                if in_bulk:
                    said.append(log.append_many([(attempt(f"att_{number}"), arrived_us), (attempt(f"att_{number + 3}"), arrived_us)]))
                else:
                    said.append(log.append(attempt(f"att_{number}"), arrived_us=arrived_us).result())
            except Contradiction as error:
                said.append(str(error))
        said += list(log.read())
        log.close()
    assert told[0] == told[1] == told[2]
