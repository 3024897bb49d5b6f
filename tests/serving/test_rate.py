"""A key may ask as often as it was given leave to, and no key pays for another."""

from __future__ import annotations

import msgspec
import pytest
from shop import SETTINGS, Fixed, ask_all, engine, payment

from honour.errors import RateExceeded
from honour.serving.app import Service
from honour.serving.keys import Holder, new_key
from honour.serving.rate import Rates

SECOND_NS = 1_000_000_000


def test_a_second_may_be_used_at_once_and_comes_back_at_its_rate() -> None:
    now_ns = 0
    rates, shop = Rates(timer_ns=lambda: now_ns), Holder("shop", frozenset(("decide",)), None, 10)

    def taken(n: int) -> int:
        done = 0
        for _ in range(n):
            try:
                rates.take(shop)
            except RateExceeded:
                continue
            done += 1
        return done

    assert taken(50) == 10
    now_ns = SECOND_NS // 2
    assert taken(50) == 5
    now_ns = 100 * SECOND_NS
    assert taken(50) == 10


def test_keys_are_counted_apart_and_a_key_without_a_limit_has_none() -> None:
    rates = Rates(timer_ns=lambda: 0)
    limited, other, free = (Holder(name, frozenset(("decide",)), None, n) for name, n in (("a", 1), ("b", 1), ("c", None)))
    for holder in (limited, other, *[free] * 100):
        rates.take(holder)
    with pytest.raises(RateExceeded, match="key 'a' may make 1 requests a second"):
        rates.take(limited)


def test_too_many_requests_are_a_429_with_a_time_to_come_again() -> None:
    key, kept = new_key("shop", scopes=["decide"], merchants=["*"], per_s_max=2)
    settings = msgspec.structs.replace(SETTINGS, serving=msgspec.structs.replace(SETTINGS.serving, keys=(kept,)))
    service = Service(engine(model=Fixed(), settings=settings), timer_ns=lambda: 0)
    headers = {"authorization": f"Bearer {key}"}
    answers = ask_all(
        service, [("POST", "/v1/decisions", {"json": {"payment": payment(f"pay_{n}")}, "headers": headers}) for n in range(3)]
    )
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert (answers[2].headers["retry-after"], answers[2].json()["type"]) == ("1", "/docs#rate-exceeded")
