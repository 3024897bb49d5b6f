"""Decisions that are made together, a step of each in turn, are those that would have been made one after the other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray
from shop import NOON_US, SETTINGS, Fixed, engine, payment

from honour.errors import HonourError
from honour.outcomes.state import State
from honour.records.decision import DecisionRequest
from honour.records.event import ServedFeatures
from honour.records.instant import from_us
from honour.records.payment import Payment
from honour.records.settings import ServingSettings
from honour.serving.hot_path import Engine
from honour.serving.queue import TOGETHER_MAX, TOGETHER_NS, Queue
from honour.serving.steps import Steps
from honour.stores.memory import MemoryLog

ASKED = st.lists(
    st.builds(
        lambda name, card, currency, merchant, route: (name, card, currency, merchant, route),
        st.sampled_from([f"pay_{number}" for number in range(6)]),
        st.sampled_from(["crd_1", "crd_2", "crd_3"]),
        st.sampled_from(["EUR", "BRL"]),
        st.sampled_from(["mer_1", "mer_2"]),
        st.sampled_from([None, "acq_1", "acq_unknown"]),
    ),
    max_size=12,
)


@examples(max_examples=100)
@given(asked=ASKED)
def test_together_is_as_one_after_the_other(asked: list[tuple[Any, ...]]) -> None:
    requests = [_request(*one) for one in asked]
    alone, shop = engine(model=Fixed()), engine(model=Fixed())
    told = _together([partial(shop.deciding, request) for request in requests])
    assert list(map(_said, told)) == [_said(_or_error(alone, request)) for request in requests]
    assert (shop.log.last_seq, shop.state.seq) == (alone.log.last_seq, alone.log.last_seq)
    again = State()
    for logged in shop.log.read():
        again.apply(logged)
    assert again.to_bytes() == shop.state.to_bytes()


def test_each_step_is_done_for_all_before_the_next_one_and_an_error_is_of_one_only() -> None:
    done: list[tuple[str, int]] = []

    def work(name: str, *, fails_at: int | None = None) -> Steps[str]:
        for step in range(2):
            if step == fails_at:
                raise ValueError(name)
            done.append((name, step))
            yield
        return name

    told = _together([partial(work, "a"), partial(work, "b", fails_at=1), partial(work, "c")], after=partial(work, "first"))
    assert done == [("first", 0), ("first", 1), ("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1)]
    assert [str(one) for one in told] == ["a", "b", "c"]
    assert isinstance(told[1], ValueError)


def test_a_slow_decision_makes_those_that_are_made_with_it_no_slower_by_what_they_say() -> None:
    now_ns, slow = 0, "mer_slow"

    class Slow(Fixed):
        """A model that takes 20 ms for one merchant."""

        def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
            nonlocal now_ns
            now_ns += 20_000_000 if slow in served.payment else 1_000_000
            return super().predict_many(served)

    shop = Engine(SETTINGS, log=MemoryLog(), state=State(), model=Slow(), bundle_id="bdl_test", timer_ns=lambda: now_ns)
    requests = [_request(f"pay_{at}", f"crd_{at}", "EUR", merchant, None) for at, merchant in enumerate(("mer_1", slow, "mer_2"))]
    told = _together([partial(shop.deciding, request) for request in requests])
    assert [one.answer.elapsed_us for one in told] == [1_000, 20_000, 1_000]


def test_no_more_are_begun_together_than_are_done_in_time_by_what_one_took() -> None:
    now_ns, under_way, most = 0, 0, [0]

    def work(took_ns: int) -> Steps[None]:
        nonlocal now_ns, under_way
        under_way += 1
        most[-1] = max(most[-1], under_way)
        yield
        now_ns += took_ns
        under_way -= 1

    async def go() -> None:
        queue = Queue(ServingSettings, timer_ns=lambda: now_ns)
        for took_ns in (TOGETHER_NS // 4, TOGETHER_NS * 2, 1):
            await asyncio.gather(*(queue.run("decision", partial(work, took_ns)) for _ in range(40)), return_exceptions=True)
            most.append(0)

    asyncio.run(go())
    assert most == [4, 4, TOGETHER_MAX, 0]


def _together(works: list[Callable[[], Steps[Any]]], *, after: Callable[[], Steps[Any]] | None = None) -> list[Any]:
    """What each gave, or the error; done together after a first one, which shows that they take no time."""

    def nothing() -> Steps[None]:
        yield

    async def go() -> list[Any]:
        queue = Queue(lambda: ServingSettings(queue_delay_ms=60_000), timer_ns=lambda: 0)
        asked = [queue.run("decision", one) for one in (after or nothing, *works)]
        return (await asyncio.gather(*asked, return_exceptions=True))[1:]

    return asyncio.run(go())


def _or_error(shop: Engine, request: DecisionRequest) -> Any:
    try:
        return shop.decide(request)
    except HonourError as error:
        return error


def _said(told: Any) -> Any:
    """An answer without its name, which holds its place in the log, and without how long it took."""
    if isinstance(told, HonourError):
        return type(told), re.sub(r"dec_\w+", "", str(told))
    return msgspec.structs.replace(told.answer, decision_id="", elapsed_us=0), told.is_news, told.route


def _request(name: str, card_id: str, currency: str, merchant_id: str, route: str | None) -> DecisionRequest:
    card = {"card_id": card_id, "bin": "411111", "network": "visa"}
    told = payment(name, card=card, currency=currency, merchant_id=merchant_id)
    return DecisionRequest(payment=msgspec.convert(told, Payment), routes=(route,) if route else None, at=from_us(NOON_US))
